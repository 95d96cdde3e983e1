"""Commands that look ahead and look back: simulate, check."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from service.cli.options import desk_for, desk_options, json_option, now_option, read_instant, service_for, shortened
from service.cli.output import example, print_document, print_lines, print_table, say, utc
from service.domain.plain import local, reason, words
from service.errors import BadInput

if TYPE_CHECKING:
    from service.cli.options import Desk


@click.command("check", epilog=example("aftercare check", "aftercare check --json"))
@json_option
@now_option
def check_command(json_: bool, now: str | None) -> int:
    """Ask the database about every promise; red ones come with the ids that break them. Exit 1 if one is red."""
    from service.store.connecting import take_time
    from service.store.promises import ask_all

    with service_for(now) as service:
        at = service.now()
        with service.store.read() as connection:
            take_time(connection)
            findings = ask_all(connection, at)
    items = [
        {
            "name": one.name,
            "state": one.state,
            "message": one.message,
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
    return 0 if ok else 1


@click.command(
    "simulate",
    epilog=example(
        "aftercare simulate --days 12",
        "aftercare simulate --days 7 --down 2026-11-21T00:00Z..2026-11-23T08:00Z",
    ),
)
@click.option("--days", type=click.IntRange(1, 366), required=True, help="How far to look.")
@click.option("--down", metavar="FROM..TO", help="An outage: two instants, ISO 8601 with zone.")
@desk_options
def simulate_command(json_: bool, now: str | None, clinic_id: int | None, days: int, down: str | None) -> None:
    """What each client would get, late, missed, or need a call for. Works on a copy; sends nothing."""
    from service.actions import simulate

    outage = _outage(down)
    with desk_for(clinic_id, now) as desk:
        span = simulate.Span(desk.now, desk.now + timedelta(days=days), outage)
        settings = desk.service.settings
        rules = simulate.Rules(desk.service.catalogue, settings.doubt_retries, not settings.live)
        rows = simulate.run(desk.service.store, rules, span, _progress(span.start, days))
    mine = [row for row in rows if row["clinic_id"] == desk.clinic.id]
    if json_:
        print_lines(_document(row) for row in mine)
        return
    told = [_told(row, desk) for row in mine]
    columns = {key: key for key in ("client", "step", "due", "goes out", "call")} | {"what": "what happens"}
    print_table(told, columns, f"Nothing would happen in {days} days.")
    if told:
        say(_sum(mine))


def _outage(raw: str | None) -> tuple[datetime, datetime] | None:
    if raw is None:
        return None
    start, dots, end = raw.partition("..")
    if not dots:
        fix = "Write two instants with .. between."
        raise BadInput(f"{shortened(raw)} is not FROM..TO", field="down", next_step=fix)
    span = (read_instant(start, "down"), read_instant(end, "down"))
    if span[0] >= span[1]:
        raise BadInput("the outage ends before it starts", field="down", next_step="Put the earlier instant first.")
    return span


def _progress(start: datetime, days: int) -> Callable[[datetime], None] | None:
    """A line that counts the days, on a terminal only."""
    if not sys.stderr.isatty():
        return None

    def seen(at: datetime) -> None:
        click.echo(f"\rday {(at - start).days} of {days} ", nl=False, err=True)

    return seen


def _is_late(row: dict[str, Any]) -> bool:
    return row["sent_at"] is not None and bool(row["sent_at"] > row["due_at"])


def _document(row: dict[str, Any]) -> dict[str, Any]:
    fields = ("clinic_id", "client_id", "kind", "protocol", "step", "state", "reason")
    times = {"due_at": utc(row["due_at"]), "sent_at": utc(row["sent_at"])}
    return {field: row[field] for field in fields} | times | {"late": _is_late(row), "call": bool(row["call"])}


def _told(row: dict[str, Any], desk: Desk) -> dict[str, Any]:
    why = reason(row["reason"]) if row["state"] != "sent" else ""
    what = "sent late, still right" if _is_late(row) else words(row["state"])
    return {
        "client": row["client_id"],
        "step": row["step"] or words(row["kind"]),
        "due": local(row["due_at"], desk.clinic.zone, desk.now),
        "goes out": local(row["sent_at"], desk.clinic.zone, desk.now),
        "call": "call" if row["call"] else "",
        "what": f"{what}: {why}" if why else what,
    }


def _sum(rows: list[dict[str, Any]]) -> str:
    """How many ended how, like '12 sent (2 late), 3 missed; 3 calls'."""
    states = Counter(row["state"] for row in rows)
    late, asked = sum(map(_is_late, rows)), sum(bool(row["call"]) for row in rows)
    parts = [
        f"{number} {words(state)}" + (f" ({late} late)" if state == "sent" and late else "")
        for state, number in states.items()
    ]
    return ", ".join(parts) + (f"; {asked} calls" if asked else "")
