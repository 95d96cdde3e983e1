"""Commands about treatments: what was done to whom, and what goes out because of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from service.cli.options import (
    ID,
    Desk,
    desk_for,
    desk_options,
    find_protocol,
    limit_option,
    read_date,
    read_pairs,
    writing,
)
from service.cli.output import example, print_document, print_lines, print_table, say, utc
from service.domain.plain import local, reason, words

if TYPE_CHECKING:
    from service.actions.register import Planned

_FIELDS = ("id", "clinic_id", "client_id", "protocol", "treated_on", "treated_at", "cancelled_at", "lot", "note")
_NONE_YET = "No treatments yet. Add one with: aftercare treatment add --client ID --protocol KEY --on DATE"


@click.group(
    "treatment",
    epilog=example("aftercare treatment add --client 7 --protocol scalp-micropigmentation --on 2026-11-20"),
)
def treatment_command() -> None:
    """Treatments: add, show, correct, set, cancel, list."""


@treatment_command.command(
    "add",
    epilog=example(
        "aftercare treatment add --client 7 --protocol scalp-micropigmentation --on 2026-11-20",
        "aftercare treatment add --client 7 --protocol scalp-micropigmentation --on 2026-11-20 --lot B-2291",
    ),
)
@click.option("--client", "client_id", type=ID, required=True, metavar="ID", help="Who was treated.")
@click.option("--protocol", required=True, help="Key or title of the treatment type.")
@click.option("--on", required=True, metavar="DATE", help="The day it was done, in the clinic's zone.")
@click.option("--at", default="", metavar="HH:MM", help="When, if you want it noted.")
@click.option("--lot", default="", help="The pigment's lot, as its label says; for the clinic only.")
@click.option("--note", default="", help="The technician's note, on one line; for the clinic only.")
@desk_options
def add_treatment(json_: bool, now: str | None, clinic_id: int | None, **given: Any) -> None:
    """Register a treatment that was done, and print the plan."""
    from service.actions import register
    from service.domain.remarks import Remarks

    on = read_date(given["on"], "on")
    with desk_for(clinic_id, now) as desk:
        protocol = find_protocol(desk.service.catalogue, given["protocol"])
        remarks = Remarks(given["lot"], given["note"])
        new = register.NewTreatment(given["client_id"], protocol, on, given["at"], remarks)
        with desk.service.store.write() as connection:
            planned = register.add_treatment(connection, desk.clinic, new, desk.actor, desk.now)
    if not planned.created:
        say(f"Treatment {planned.treatment_id} was registered already; nothing was changed.")
    _show_plan(planned, desk, json_)


def _show_plan(planned: Planned, desk: Desk, json_: bool, **more: Any) -> None:
    """The rows as read back: JSON, or a table in the clinic's zone. more: further keys of the document."""
    if json_:
        steps = [
            {
                "step": row["step"],
                "day": row["day"],
                "due_at": utc(row["due_at"]),
                "useful_until": utc(row["useful_until"]),
                "state": row["state"],
                "reason": row["reason"],
            }
            for row in planned.rows
        ]
        print_document({"treatment_id": planned.treatment_id, "plan": steps, **more})
        return
    rows = [
        {
            "step": row["step"],
            "due": local(row["due_at"], desk.clinic.zone, desk.now),
            "state": words(row["state"]),
            "reason": reason(row["reason"]),
        }
        for row in planned.rows
    ]
    say(f"Treatment {planned.treatment_id}, times in {desk.clinic.timezone}:")
    print_table(rows, {"step": "step", "due": "goes out", "state": "state", "reason": "why"}, "No steps.")


@treatment_command.command("correct", epilog=example("aftercare treatment correct 12 --on 2026-11-19"))
@click.argument("treatment_id", type=ID)
@click.option("--on", required=True, metavar="DATE", help="The day it was really done.")
@click.option("--at", default="", metavar="HH:MM", help="When, if you want it noted.")
@desk_options
def correct_treatment(json_: bool, now: str | None, clinic_id: int | None, treatment_id: int, on: str, at: str) -> None:
    """Correct the day of a treatment; what is open is planned anew."""
    from service.actions import register, revise
    from service.store import clients

    day = read_date(on, "on")
    with writing(clinic_id, now) as (desk, connection):
        treatment = clients.get_treatment(connection, desk.clinic.id, treatment_id)
        protocol = find_protocol(desk.service.catalogue, treatment["protocol"])
        new = register.NewTreatment(treatment["client_id"], protocol, day, at or treatment["treated_at"])
        planned = revise.correct_treatment(connection, desk.clinic, treatment_id, new, desk.who)
    _show_plan(planned, desk, json_, kept=list(planned.kept))
    if planned.kept:
        say(f"Kept because they were sent rightly or are being sent: {', '.join(planned.kept)}.")


@treatment_command.command("set", epilog=example("aftercare treatment set 12 lot=B-2291 note='second pass was light'"))
@click.argument("treatment_id", type=ID)
@click.argument("pairs", nargs=-1, required=True, metavar="KEY=VALUE…")
@desk_options
def set_treatment(
    json_: bool, now: str | None, clinic_id: int | None, treatment_id: int, pairs: tuple[str, ...]
) -> None:
    """Change lot or note: what the technician knows, for the clinic only."""
    from service.actions import remarking
    from service.store import clients

    given = read_pairs(pairs)
    with writing(clinic_id, now) as (desk, connection):
        remarking.change_remarks(connection, desk.clinic, treatment_id, (None, given), desk.who)
        treatment = clients.get_treatment(connection, desk.clinic.id, treatment_id)
    _show(treatment, json_)


@treatment_command.command("show", epilog=example("aftercare treatment show 12"))
@click.argument("treatment_id", type=ID)
@desk_options
def show_treatment(json_: bool, now: str | None, clinic_id: int | None, treatment_id: int) -> None:
    """One treatment, with its lot and note."""
    from service.store import clients

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        treatment = clients.get_treatment(connection, desk.clinic.id, treatment_id, lock=False)
    _show(treatment, json_)


def _show(treatment: Any, json_: bool) -> None:
    """One treatment: all fields as a document, or as a table of what is set."""
    shown = _shown(treatment)
    if json_:
        print_document(shown)
        return
    rows = [{"field": words(name), "value": value} for name, value in shown.items() if value and name != "clinic_id"]
    print_table(rows, {"field": "field", "value": "value"}, "")


def _shown(treatment: Any) -> dict[str, Any]:
    return {name: treatment[name] for name in _FIELDS}


@treatment_command.command("cancel", epilog=example("aftercare treatment cancel 12"))
@click.argument("treatment_id", type=ID)
@desk_options
def cancel_treatment(json_: bool, now: str | None, clinic_id: int | None, treatment_id: int) -> None:
    """Cancel a treatment; nothing more of it goes out."""
    from service.actions import revise
    from service.store import clients

    with writing(clinic_id, now) as (desk, connection):
        treatment = clients.get_treatment(connection, desk.clinic.id, treatment_id)
        protocol = find_protocol(desk.service.catalogue, treatment["protocol"])
        planned = revise.cancel_treatment(connection, desk.clinic, treatment_id, protocol, desk.who)
    _show_plan(planned, desk, json_)


@treatment_command.command("list", epilog=example("aftercare treatment list --client 7"))
@click.option("--client", "client_id", type=ID, metavar="ID", help="Only this client's.")
@limit_option
@desk_options
def list_treatments(
    json_: bool, now: str | None, clinic_id: int | None, client_id: int | None, limit: int | None
) -> None:
    """Treatments, oldest first."""
    from service.store import clients

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        if client_id is not None:
            clients.get(connection, desk.clinic.id, client_id)
        rows = clients.list_treatments(connection, desk.clinic.id, client_id, limit)
    shown = [_shown(row) for row in rows]
    if json_:
        print_lines(shown)
        return
    told = [row | {"state": "cancelled" if row["cancelled_at"] else ""} for row in shown]
    columns = {"id": "id", "client_id": "client", "treated_on": "done on", "protocol": "protocol", "state": "state"}
    print_table(told, columns, _NONE_YET)
