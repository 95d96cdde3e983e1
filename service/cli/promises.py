"""Commands that look ahead and look back: simulate, check."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

import click

from service.cli.options import desk_for, desk_options, json_option, now_option, service_for
from service.cli.output import print_document, print_lines, print_table, say, utc
from service.errors import BadInput


@click.command("check", epilog="Example: aftercare check --json")
@json_option
@now_option
def check_command(json_: bool, now: str | None) -> None:
    """Ask the database about every promise; red ones come with the ids that break them. Exit 1 if one is red."""
    from service.store.promises import ask_all

    with service_for(now) as service, service.store.read() as connection:
        findings = ask_all(connection, service.now())
    items = [
        {
            "name": one.name,
            "state": "green" if not one.ids else "red" if one.grave else "yellow",
            "message": one.promise if not one.ids else f"{one.promise}: broken by {', '.join(map(str, one.ids))}",
            "next_step": one.next_step if one.ids else None,
            "ids": list(one.ids),
        }
        for one in findings
    ]
    ok = not any(item["state"] == "red" for item in items)
    if json_:
        print_document({"ok": ok, "items": items})
    else:
        print_table(items, {"state": "state", "name": "promise", "message": "what"}, "")
        for item in items:
            if item["next_step"]:
                say(f"{item['name']}: {item['next_step']}")
    if not ok:
        sys.exit(1)


@click.command("simulate", epilog="Example: aftercare simulate --days 7 --down 2026-11-21T00:00Z..2026-11-23T08:00Z")
@click.option("--days", type=click.IntRange(1, 366), required=True, help="How far to look.")
@click.option("--down", metavar="FROM..TO", help="An outage: two instants, ISO 8601 with zone.")
@desk_options
def simulate_command(json_: bool, now: str | None, clinic_id: int | None, days: int, down: str | None) -> None:
    """What each client would get, late, missed, or need a call for. Works on a copy; sends nothing."""
    from service.actions import simulate

    with desk_for(clinic_id, now) as desk:
        span = simulate.Span(desk.now, desk.now + timedelta(days=days), _outage(down))
        rows = simulate.run(desk.service.store, dict(desk.service.catalogue.protocols), span)
    told = [_told(row) for row in rows if row["clinic_id"] == desk.clinic.id]
    if json_:
        print_lines(told)
        return
    columns = {"client_id": "client", "step": "step", "due_at": "due", "what": "what happens", "call": "call"}
    print_table(told, columns, f"Nothing would happen in {days} days.")


def _outage(raw: str | None) -> Any:
    from service.wiring import read_instant

    if raw is None:
        return None
    start, dots, end = raw.partition("..")
    if not dots:
        raise BadInput(f"{raw!r} is not FROM..TO", field="down", next_step="Write two instants with .. between.")
    span = (read_instant(start), read_instant(end))
    if span[0] >= span[1]:
        raise BadInput("the outage ends before it starts", field="down", next_step="Put the earlier instant first.")
    return span


def _told(row: dict[str, Any]) -> dict[str, Any]:
    late = row["sent_at"] is not None and row["sent_at"] > row["due_at"]
    what = "sent late, still right" if late else row["state"].replace("_", " ")
    if row["reason"] and row["state"] != "sent":
        what += f" ({row['reason'].replace('_', ' ')})"
    fields = ("clinic_id", "client_id", "kind", "protocol", "step", "state", "reason")
    told = {field: row[field] for field in fields}
    told |= {"due_at": utc(row["due_at"]), "sent_at": utc(row["sent_at"]), "late": late, "call": bool(row["call"])}
    return told | {"what": what}
