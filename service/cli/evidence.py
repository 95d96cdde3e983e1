"""Commands about what was decided and who did it: suppressed addresses, the audit."""

from __future__ import annotations

from typing import Any

import click

from service.cli.lists import utc_row
from service.cli.options import ID, desk_for, desk_options, writing
from service.cli.output import example, print_document, print_lines, print_table, say
from service.domain.plain import local

_SUPPRESSION = ("id", "clinic_id", "address", "reason", "email_id", "created_at", "lifted_at", "lifted_reason")
_AUDIT = ("id", "clinic_id", "at", "actor", "action", "subject", "detail")


@click.group("suppressions", epilog=example("aftercare suppressions list"))
def suppressions_command() -> None:
    """Addresses that are not written to any more, and why."""


@suppressions_command.command(
    "list", epilog=example("aftercare suppressions list", "aftercare suppressions list --all")
)
@click.option("--all", "all_", is_flag=True, help="The lifted ones too.")
@desk_options
def list_suppressions(json_: bool, now: str | None, clinic_id: int | None, all_: bool) -> None:
    """Suppressed addresses, newest last."""
    from service.store.lists import suppressed

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = [row for row in suppressed(connection, desk.clinic.id) if all_ or row["lifted_at"] is None]
    if json_:
        print_lines(utc_row({field: row[field] for field in _SUPPRESSION}) for row in rows)
        return
    told = [
        {
            "id": row["id"],
            "address": row["address"],
            "since": local(row["created_at"], desk.clinic.zone, desk.now),
            "why": row["reason"],
            "lifted": row["lifted_reason"] or "",
        }
        for row in rows
    ]
    print_table(told, {key: key for key in ("id", "address", "since", "why", "lifted")}, "Every address is written to.")


@suppressions_command.command(
    "lift", epilog=example("aftercare suppressions lift 3 --reason 'typo corrected, client confirmed by phone'")
)
@click.argument("suppression_id", type=ID)
@click.option("--reason", required=True, help="Why the address works after all; it stays on record.")
@desk_options
def lift_suppression(json_: bool, now: str | None, clinic_id: int | None, suppression_id: int, reason: str) -> None:
    """Write to this address again. What was cancelled meanwhile stays cancelled."""
    from service.actions.suppressing import lift
    from service.store.lists import suppressed

    with writing(clinic_id, now) as (desk, connection):
        lift(connection, desk.clinic, suppression_id, reason, desk.who)
        row = next(row for row in suppressed(connection, desk.clinic.id) if row["id"] == suppression_id)
    if json_:
        print_document(utc_row({field: row[field] for field in _SUPPRESSION}))
    else:
        say(f"Suppression {suppression_id} is lifted. Plan again what was cancelled: `aftercare treatment correct`.")


@click.command("audit", epilog=example("aftercare audit", "aftercare audit --verify"))
@click.option("--verify", is_flag=True, help="Check the seal of every line instead of listing them.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the newest so many.")
@desk_options
def audit_command(json_: bool, now: str | None, clinic_id: int | None, verify: bool, limit: int | None) -> int:
    """Who did what, when. With --verify: exit 1 if a line was changed or is missing."""
    from service.store.audit import broken_links
    from service.store.lists import audit_lines

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        broken = broken_links(connection, desk.clinic.id) if verify else []
        lines = [] if verify else audit_lines(connection, desk.clinic.id, limit)
    if verify:
        return _verified(broken, json_=json_)
    if json_:
        print_lines(utc_row({field: row[field] for field in _AUDIT}) for row in lines)
        return 0
    told: list[dict[str, Any]] = [
        {**{field: row[field] for field in _AUDIT}, "at": local(row["at"], desk.clinic.zone, desk.now)} for row in lines
    ]
    print_table(
        told, {"id": "id", "at": "when", "actor": "who", "action": "did", "subject": "to"}, "Nothing was done yet."
    )
    return 0


def _verified(broken: list[int], *, json_: bool) -> int:
    if json_:
        print_document({"ok": not broken, "broken": broken})
    elif broken:
        say(f"Changed, or their neighbour is missing: lines {', '.join(map(str, broken))}.")
    else:
        say("Every line is as it was written, and none is missing.")
    return 1 if broken else 0
