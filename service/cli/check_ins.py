"""Commands about what clients answered through a link."""

from __future__ import annotations

from typing import Any

import click

from service.cli.options import ID, desk_for, desk_options, limit_option
from service.cli.output import example, print_lines, print_table, utc
from service.domain.plain import LEVELS, local

_NOTHING = "No check-in yet. Clients answer through the link in their e-mails; see AFTERCARE_PUBLIC_URL."


@click.group("check-ins", epilog=example("aftercare check-ins list"))
def check_ins_command() -> None:
    """What clients answered through the link in their e-mails."""


@check_ins_command.command(
    "list", epilog=example("aftercare check-ins list --client 7", "aftercare check-ins list --json")
)
@click.option("--client", "client_id", type=ID, metavar="ID", help="Only this client's.")
@limit_option
@desk_options
def list_check_ins(
    json_: bool, now: str | None, clinic_id: int | None, client_id: int | None, limit: int | None
) -> None:
    """Check-ins in the order they came. A red one has a call: aftercare calls list."""
    from service.store import check_ins, clients

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        if client_id is not None:
            clients.get(connection, desk.clinic.id, client_id)
        found = check_ins.listed(connection, desk.clinic.id, client_id, limit)
    if json_:
        print_lines(as_document(one) for one in found)
        return
    told = [
        {
            "id": one.id,
            "client": one.client_id,
            "day": one.day,
            "answered": local(one.answered_at, desk.clinic.zone, desk.now),
            "level": f"{one.level}: {LEVELS[one.level]}",
            "call": one.call_id or "",
            "": "corrected later" if one.corrected else "",
        }
        for one in found
    ]
    print_table(told, {key: key for key in ("id", "client", "day", "answered", "level", "call", "")}, _NOTHING)


def as_document(one: Any) -> dict[str, Any]:
    """A check-in without its answers: those stand in the client's export."""
    names = ("id", "clinic_id", "client_id", "treatment_id", "day", "level", "rules", "rules_version")
    shown = {name: getattr(one, name) for name in (*names, "email_id", "call_id")}
    return shown | {"answered_at": utc(one.answered_at), "corrected": one.corrected}
