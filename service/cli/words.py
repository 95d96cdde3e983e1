"""Commands about words and days: plan, protocols, texts, preview. Most need no database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.options import desk_for, desk_options, json_option, now_option, read_date
from service.cli.output import print_document, print_lines, print_table, say, utc
from service.errors import BadInput

if TYPE_CHECKING:
    from service.actions.words import TextKey
    from service.domain.protocol import FollowUpProtocol
    from service.mail.catalogue import Catalogue


def catalogue() -> Catalogue:
    from service.mail.catalogue import Catalogue

    return Catalogue.load()


def find_protocol(words: Catalogue, key: str) -> FollowUpProtocol:
    for protocol in words.protocols.values():
        if key.strip().casefold() in (protocol.key, protocol.title.casefold()):
            return protocol
    known = ", ".join(words.protocols)
    raise BadInput(f"there is no protocol {key!r}", field="protocol", next_step=f"Use one of {known}.")


@click.command(
    "plan", epilog="Example: aftercare plan --protocol scalp-micropigmentation --on 2026-11-20 --timezone Europe/London"
)
@click.option("--protocol", "key", required=True)
@click.option("--on", required=True, metavar="DATE", help="The day of the treatment.")
@click.option("--timezone", required=True, metavar="ZONE", help="IANA name, like Europe/London.")
@click.option("--send-at", default="10:00", show_default=True, metavar="HH:MM")
@json_option
@now_option
def plan_command(key: str, on: str, timezone: str, send_at: str, json_: bool, now: str | None) -> None:
    """When the e-mails of a treatment would go out; no database needed."""
    from service.clock import wall_clock
    from service.domain import schedule
    from service.domain.strict_table import read_clock_time
    from service.wiring import read_instant

    at = read_clock_time(send_at)
    if at is None:
        raise BadInput(f"{send_at!r} is not a time", field="send_at", next_step="Write it as HH:MM.")
    day, zone = read_date(on, "on"), schedule.read_zone(timezone)
    instant = read_instant(now) if now else wall_clock()
    protocol = find_protocol(catalogue(), key)
    try:
        entries = schedule.plan(protocol, day, schedule.ClinicTime(zone, at), instant)
    except OverflowError as error:
        raise BadInput(f"{on} is too far away", field="on", next_step="Check the year.") from error
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
    if json_:
        print_document({"plan": steps})
        return
    rows = [
        {
            "step": entry.step,
            "due": entry.due_at.astimezone(zone).strftime("%a %d %b %Y %H:%M %Z"),
            "until": entry.useful_until.astimezone(zone).strftime("%a %d %b %H:%M"),
            "state": entry.state + (f" ({entry.reason.replace('_', ' ')})" if entry.reason else ""),
        }
        for entry in entries
    ]
    print_table(rows, {"step": "step", "due": "goes out", "until": "useful until", "state": "state"}, "No steps.")


@click.group("protocols")
def protocols_command() -> None:
    """Treatment types: list, show, check. They are folders in templates/email."""


@protocols_command.command("list")
@json_option
def list_protocols(json_: bool) -> None:
    """All treatment types."""
    rows = [
        {"key": one.key, "title": one.title, "area": one.area, "days": [step.day for step in one.steps]}
        for one in catalogue().protocols.values()
    ]
    if json_:
        print_lines(rows)
    else:
        print_table(rows, {"key": "key", "title": "title", "days": "days"}, "No protocol: add a folder.")


@protocols_command.command("show")
@click.argument("key")
@json_option
def show_protocol(key: str, json_: bool) -> None:
    """Steps, shelf lives and limits of one treatment type."""
    one = find_protocol(catalogue(), key)
    steps = [
        {
            "step": step.key,
            "day": step.day,
            "text": step.text,
            "useful_until": f"day {step.until_day} {step.until_at:%H:%M}",
            "covered_by": step.covered_by,
        }
        for step in one.steps
    ]
    limits = {name: limit.ok_through_day for name, limit in one.limits.items()}
    if json_:
        print_document({"key": one.key, "title": one.title, "area": one.area, "steps": steps, "limits": limits})
        return
    say(f"{one.title} ({one.key}), area {one.area}")
    print_table(steps, {"step": "step", "day": "day", "useful_until": "useful until", "text": "text"}, "")
    for name, day in limits.items():
        say(f"{name.replace('_', ' ')}: normal through day {day}")


@protocols_command.command("check", epilog="Example: aftercare protocols check templates/email")
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


@click.group("texts")
def texts_command() -> None:
    """The words: list, show, edit, preview, approve, check."""


def _key(text: str, language: str) -> TextKey:
    from service.actions.words import TextKey

    protocol, slash, name = text.partition("/")
    if not slash:
        raise BadInput(
            f"{text!r} is not PROTOCOL/NAME", field="text", next_step="Write it like scalp-micropigmentation/day-01."
        )
    return TextKey(protocol, name, language)


language_option = click.option("--language", default="en", show_default=True)


@texts_command.command("list")
@desk_options
def list_texts(json_: bool, now: str | None, clinic_id: int | None) -> None:
    """Every version, newest first, with its approval."""
    from service.store import texts

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        versions = texts.versions(connection, [desk.clinic.id])
    rows = [
        {
            "id": one.id,
            "protocol": one.protocol,
            "name": one.name,
            "language": one.language,
            "version": one.version,
            "state": "withdrawn" if one.withdrawn_at else "approved" if one.approved_at else "draft",
            "approved_by": one.approved_by,
            "review_by": one.review_by,
            "sha256": one.sha256,
        }
        for one in versions
    ]
    if json_:
        print_lines(rows)
    else:
        columns = {"protocol": "protocol", "name": "text", "language": "language", "version": "version"}
        print_table(rows, columns | {"state": "state", "approved_by": "by", "review_by": "review by"}, "No texts yet.")


@texts_command.command("show", epilog="Example: aftercare texts show scalp-micropigmentation/day-01")
@click.argument("text")
@language_option
@click.option("--version", type=int, help="Default: the newest.")
@desk_options
def show_text(
    json_: bool, now: str | None, clinic_id: int | None, text: str, language: str, version: int | None
) -> None:
    """The source of one version."""
    from service.store import texts

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        found = texts.find(connection, desk.clinic.id, _key(text, language).as_dict(), version)
        source = texts.source(connection, found.id)
    if json_:
        print_document({"protocol": found.protocol, "name": found.name, "version": found.version, "source": source})
    else:
        click.echo(source, nl=False)


@texts_command.command("edit", epilog="Example: aftercare texts edit scalp-micropigmentation/day-01 day-01.md")
@click.argument("text")
@click.argument("file", required=False, type=click.File("r", encoding="utf-8"))
@language_option
@desk_options
def edit_text(json_: bool, now: str | None, clinic_id: int | None, text: str, file: Any, language: str) -> None:
    """Save FILE (- for standard input; none: your editor) as a new draft. A text without its red flags is refused."""
    from service.actions import words
    from service.actions.revise import Who
    from service.store import texts

    key = _key(text, language)
    with desk_for(clinic_id, now) as desk:
        if file is None:
            with desk.service.store.read() as connection:
                before = texts.source(connection, texts.find(connection, desk.clinic.id, key.as_dict()).id)
            source = click.edit(before, extension=".md")
        else:
            source = file.read()
        if source is None:
            say("Nothing was changed.")
            return
        with desk.service.store.write() as connection:
            who = Who(desk.actor, desk.now)
            saved = words.save(connection, desk.service.catalogue, desk.clinic, (key, source), who)
    if json_:
        print_document({"protocol": saved.protocol, "name": saved.name, "version": saved.version, "state": "draft"})
    else:
        say(f"Saved as version {saved.version}, a draft. Check it with `aftercare texts check`, then approve it.")


@texts_command.command(
    "approve",
    epilog="Example: aftercare texts approve scalp-micropigmentation/day-01 --by dr.lee@example.com "
    "--review-by 2027-11-20",
)
@click.argument("text")
@language_option
@click.option("--version", type=int, help="Default: the newest.")
@click.option("--by", required=True, metavar="EMAIL", help="A clinician of this clinic.")
@click.option("--review-by", required=True, metavar="DATE", help="When it must be read again; 12 months are usual.")
@desk_options
def approve_text(json_: bool, now: str | None, clinic_id: int | None, text: str, language: str, **given: Any) -> None:
    """Approve a version in a clinician's name."""
    from service.actions import words
    from service.actions.revise import Who

    approval = words.Approval(given["by"], read_date(given["review_by"], "review_by"), given["version"])
    with desk_for(clinic_id, now) as desk, desk.service.store.write() as connection:
        signed = (_key(text, language), approval)
        done = words.approve(connection, desk.service.catalogue, desk.clinic, signed, Who(desk.actor, desk.now))
    if json_:
        print_document({"name": done.name, "version": done.version, "state": "approved", "by": done.approved_by})
    else:
        say(f"{text} version {done.version} is approved by {done.approved_by}, to be reviewed by {done.review_by}.")


@texts_command.command("check", epilog="Example: aftercare texts check scalp-micropigmentation")
@click.argument("which", required=False, metavar="[PROTOCOL[/NAME]]")
@json_option
def check_texts(which: str | None, json_: bool) -> None:
    """Read the shipped texts as a strict editor would: words, cards, red flags, limits. Exit 1 on findings."""
    from service.mail.lint import lint

    words = catalogue()
    rows = []
    for protocol, name, language in words.sources:
        if which not in (None, protocol, f"{protocol}/{name}"):
            continue
        compiled = words.compile(protocol, name, language)
        for finding in lint(compiled, words.protocols[protocol]):
            place = f"{protocol}/{name}.{language}.md:{finding.line}"
            rows.append({"where": place, "rule": finding.rule, "message": finding.message, "fix": finding.fix})
    if json_:
        print_lines(rows)
    elif rows:
        print_table(rows, {"where": "where", "message": "what", "fix": "what to do"}, "")
    else:
        say("Nothing to mend.")
    if rows:
        sys.exit(1)


_FORMATS = click.Choice(["html", "text", "eml"])


@click.command("preview", epilog="Example: aftercare preview scalp-micropigmentation day-03 --format text")
@click.argument("protocol")
@click.argument("step")
@click.option("--client", "client_id", type=int, metavar="ID", help="With this client's data; default: a sample.")
@click.option("--language", help="Default: the client's or English.")
@click.option("--format", "format_", type=_FORMATS, default="text", show_default=True)
@desk_options
def preview_command(
    json_: bool, now: str | None, clinic_id: int | None, protocol: str, step: str, **given: Any
) -> None:
    """One e-mail as it would look, on standard output."""
    from service.cli.previews import of_client, of_sample

    if given["client_id"] is None:
        written = of_sample(protocol, step, given["language"] or "en")
    else:
        with desk_for(clinic_id, now) as desk:
            written = of_client(desk, (protocol, step), given["client_id"], given["language"])
    if json_:
        print_document(written.parts())
    else:
        click.echo(written.shown(given["format_"]), nl=False)


texts_command.add_command(preview_command, "preview")
