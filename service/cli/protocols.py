"""Commands about treatment types and their days: plan, protocols. None needs a database."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.options import find_protocol, json_option, now_option, read_date, read_instant, settings_for, shortened
from service.cli.output import example, print_document, print_lines, print_table, say, utc
from service.domain.plain import local, reason, words
from service.errors import BadInput

if TYPE_CHECKING:
    from service.domain.protocol import FollowUpProtocol
    from service.mail.catalogue import Catalogue


def catalogue() -> Catalogue:
    from service.mail.catalogue import Catalogue

    return Catalogue.load()


def _instant(now: str | None) -> datetime:
    from service.clock import wall_clock

    now = now or settings_for().now
    return read_instant(now, "now") if now else wall_clock()


@click.command(
    "plan",
    epilog=example("aftercare plan --protocol scalp-micropigmentation --on 2026-11-20 --timezone Europe/London"),
)
@click.option("--protocol", "key", required=True, help="Key or title of the treatment type.")
@click.option("--on", required=True, metavar="DATE", help="The day of the treatment.")
@click.option("--timezone", required=True, metavar="ZONE", help="IANA name, like Europe/London.")
@click.option("--send-at", default="10:00", show_default=True, metavar="HH:MM", help="Local hour to write at.")
@json_option
@now_option
def plan_command(key: str, on: str, timezone: str, send_at: str, json_: bool, now: str | None) -> None:
    """When the e-mails of a treatment would go out; no database needed."""
    from service.domain import schedule
    from service.domain.strict_table import read_clock_time

    at = read_clock_time(send_at)
    if at is None:
        raise BadInput(f"{shortened(send_at)} is not a time", field="send_at", next_step="Write it as HH:MM.")
    day, zone, instant = read_date(on, "on"), schedule.read_zone(timezone), _instant(now)
    entries = schedule.plan(find_protocol(catalogue(), key), day, schedule.ClinicTime(zone, at), instant)
    if json_:
        steps = [
            {
                "step": entry.step,
                "day": entry.day,
                "due_at": utc(entry.due_at),
                "useful_until": utc(entry.useful_until),
                "state": entry.state,
                "reason": entry.reason,
            }
            for entry in entries
        ]
        print_document({"plan": steps})
        return
    rows = [
        {
            "step": entry.step,
            "due": local(entry.due_at, zone, instant),
            "until": local(entry.useful_until, zone, instant),
            "state": words(entry.state),
            "why": reason(entry.reason),
        }
        for entry in entries
    ]
    columns = {"step": "step", "due": "goes out", "until": "useful until", "state": "state", "why": "why"}
    print_table(rows, columns, "No steps.")


@click.group("protocols", epilog=example("aftercare protocols list"))
def protocols_command() -> None:
    """Treatment types: list, show, check. They are folders in templates/email."""


@protocols_command.command("list", epilog=example("aftercare protocols list"))
@json_option
def list_protocols(json_: bool) -> None:
    """All treatment types."""
    rows: list[dict[str, Any]] = [
        {"key": one.key, "title": one.title, "area": one.area, "days": [step.day for step in one.steps]}
        for one in catalogue().protocols.values()
    ]
    if json_:
        print_lines(rows)
        return
    told = [row | {"days": ", ".join(map(str, row["days"]))} for row in rows]
    columns = {"key": "key", "title": "title", "days": "e-mails on days"}
    print_table(told, columns, "No treatment type yet: add a folder to templates/email.")


@protocols_command.command("show", epilog=example("aftercare protocols show scalp-micropigmentation"))
@click.argument("key")
@json_option
def show_protocol(key: str, json_: bool) -> None:
    """Steps, shelf lives and limits of one treatment type."""
    one = find_protocol(catalogue(), key)
    steps = _steps(one)
    limits = {name: limit.ok_through_day for name, limit in one.limits.items()}
    if json_:
        print_document({"key": one.key, "title": one.title, "area": one.area, "steps": steps, "limits": limits})
        return
    say(f"{one.title} ({one.key}), area {one.area}")
    print_table(steps, {"step": "step", "day": "day", "useful_until": "useful until", "text": "text"}, "No steps.")
    for name, day in limits.items():
        say(f"{words(name)}: normal through day {day}")


def _steps(one: FollowUpProtocol) -> list[dict[str, Any]]:
    return [
        {
            "step": step.key,
            "day": step.day,
            "text": step.text,
            "useful_until": f"day {step.until_day} {step.until_at:%H:%M}",
            "covered_by": step.covered_by,
        }
        for step in one.steps
    ]


@protocols_command.command(
    "check", epilog=example("aftercare protocols check", "aftercare protocols check templates/email")
)
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@json_option
def check_protocols(folder: Path | None, json_: bool) -> None:
    """Read every protocol of a folder of e-mail words; the first mistake is told with file, key and fix."""
    from service.mail.catalogue import Catalogue

    found = Catalogue.load(folder)
    rows: list[dict[str, Any]] = [
        {"key": key, "ok": True, "texts": len(one.texts)} for key, one in found.protocols.items()
    ]
    for protocol, name, language in found.sources:
        found.compile(protocol, name, language)
    if json_:
        print_lines(rows)
    else:
        say(f"{len(rows)} protocols and {len(found.sources)} texts are right: {', '.join(found.protocols)}.")
