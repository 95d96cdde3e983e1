"""Commands for what a restored backup does not know: did these e-mails go out since?"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.lists import utc_row
from service.cli.options import ID, actor, json_option, now_option, service_for
from service.cli.output import example, print_document, print_lines, print_table, say, utc
from service.domain.plain import words
from service.errors import BadInput

if TYPE_CHECKING:
    from service.actions.uncertain import Answers, Found
    from service.wiring import Service

_FIELDS = ("id", "clinic_id", "client_id", "kind", "protocol", "step", "due_at", "useful_until", "message_id")
_STATES = ("sent", "planned", "missed", "unconfirmed")
_all_option = click.option("--all", "all_", is_flag=True, help="All of them.")
_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
_ids = click.argument("ids", type=ID, nargs=-1, metavar="[ID]...")


@click.group("uncertain", epilog=example("aftercare uncertain from-log /var/log/mail.log --dry-run"))
def uncertain_command() -> None:
    """E-mails on hold since a restore: they may have gone out after the backup was made."""


@uncertain_command.command("list", epilog=example("aftercare uncertain list"))
@json_option
@now_option
def list_uncertain(json_: bool, now: str | None) -> None:
    """What is not answered yet, of all clinics, by due time."""
    from service.store.uncertain import listed

    with service_for(now) as service, service.store.read() as connection:
        rows = [utc_row({field: getattr(row, field) for field in _FIELDS}) for row in listed(connection)]
    if json_:
        print_lines(rows)
        return
    told = [row | {"what": row["step"] or words(row["kind"])} for row in rows]
    columns = {"id": "id", "clinic_id": "clinic", "client_id": "client", "what": "what", "due_at": "due"}
    print_table(told, columns | {"useful_until": "useful until"}, "Nothing is uncertain.")


@uncertain_command.command(
    "from-log",
    epilog=example(
        "aftercare uncertain from-log /var/log/mail.log /var/log/mail.log.1 --dry-run",
        "journalctl -u postfix@- --since 2026-11-20 | aftercare uncertain from-log - --yes",
    ),
)
@click.argument("files", type=click.Path(path_type=Path, allow_dash=True), nargs=-1, required=True)
@click.option("--dry-run", is_flag=True, help="Say what would happen, and write nothing.")
@_yes_option
@json_option
@now_option
def answer_from_log(files: tuple[Path, ...], dry_run: bool, yes: bool, json_: bool, now: str | None) -> None:
    """Let the relay's log answer: what it took was sent, what it does not name goes out now.

    Give all of its log since the backup (text or .gz, - for standard input). A message that Postfix began to take and
    did not queue stays uncertain.
    """
    from service.actions.uncertain import Answers, compare, read_log
    from service.store.uncertain import restored_from

    with service_for(now) as service:
        log = read_log(_lines(files))
        with service.store.read() as connection:
            found, since = compare(connection, service.signer, log), restored_from(connection)
        if not json_:
            _tell(found, utc(since) or "the backup")
        if dry_run or not (found.sent or found.absent):
            counts: Counter[str] = Counter()
        else:
            _confirm(f"Does this log hold everything since {utc(since) or 'the backup'}?", yes=yes)
            counts = _answer(service, Answers(found.sent, found.absent, "the mail relay's log"))
    document = {"found": len(found.sent), "absent": len(found.absent), "unsure": list(found.unsure), "dry_run": dry_run}
    _show(counts, json_=json_, document=document)


@uncertain_command.command(
    "release", epilog=example("aftercare uncertain release 12 15", "aftercare uncertain release --all")
)
@_ids
@_all_option
@_yes_option
@json_option
@now_option
def release_uncertain(ids: tuple[int, ...], all_: bool, yes: bool, json_: bool, now: str | None) -> None:
    """They did not go out: send them now, or, where it is too late, list a call."""
    from service.actions.uncertain import Answers

    with service_for(now) as service:
        chosen = _chosen(service, ids, all_=all_)
        if all_ and chosen:
            _confirm(f"Send {len(chosen):,} e-mails that may have gone out already?", yes=yes)
        counts = _answer(service, Answers(stayed=chosen))
    _show(counts, json_=json_, document={})


@uncertain_command.command("sent", epilog=example("aftercare uncertain sent 12 15", "aftercare uncertain sent --all"))
@_ids
@_all_option
@_yes_option
@json_option
@now_option
def sent_uncertain(ids: tuple[int, ...], all_: bool, yes: bool, json_: bool, now: str | None) -> None:
    """They did go out: record that; they are never sent again."""
    from service.actions.uncertain import Answers

    with service_for(now) as service:
        chosen = _chosen(service, ids, all_=all_)
        if all_ and chosen:
            _confirm(f"Record {len(chosen):,} e-mails as sent, and send none of them?", yes=yes)
        counts = _answer(service, Answers(went=chosen))
    _show(counts, json_=json_, document={})


def _lines(files: Sequence[Path]) -> Iterator[str]:
    """The lines of all files, whatever their encoding: a Message-ID is plain letters."""
    import gzip

    for path in files:
        if str(path) == "-":
            yield from _decoded(sys.stdin.buffer)
            continue
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield from _decoded(file)


def _decoded(file: Iterable[bytes]) -> Iterator[str]:
    return (line.decode("utf-8", "replace") for line in file)


def _chosen(service: Service, ids: Sequence[int], *, all_: bool) -> list[int]:
    from service.store.uncertain import listed

    if all_ == bool(ids):
        raise BadInput("give ids, or --all", field="ids", next_step="See `aftercare uncertain list`.")
    if not all_:
        return list(ids)
    with service.store.read() as connection:
        return [row.id for row in listed(connection)]


def _answer(service: Service, answers: Answers) -> Counter[str]:
    from service.actions.revise import Who
    from service.actions.uncertain import answer

    who = Who(actor(), service.now())
    with service.store.write() as connection:
        return answer(connection, service.signer, answers, service.settings.doubt_retries, who)


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("this asks before it acts", field="yes", next_step="Add --yes, or look first with --dry-run.")
    click.confirm(question, abort=True, err=True)


def _tell(found: Found, since: str) -> None:
    say(f"In the log since {since}: {len(found.sent):,} e-mails were sent, {len(found.absent):,} were not.")
    if found.unsure:
        listed = " ".join(map(str, found.unsure[:20]))
        say(f"{len(found.unsure):,} were begun and the log does not show that they were queued: {listed}.")
        say("They stay on hold: look at the log, then `aftercare uncertain sent ID` or `release ID`.")


def _show(counts: Counter[str], *, json_: bool, document: dict[str, object]) -> None:
    if json_:
        print_document(document | {state: counts[state] for state in _STATES})
        return
    told = {"sent": "recorded as sent", "planned": "go out with the next round", "missed": "too late: on the call list"}
    told["unconfirmed"] = "may have arrived: on the call list"
    parts = [f"{counts[state]:,} {told[state]}" for state in _STATES if counts[state]]
    say(f"{', '.join(parts)}." if parts else "Nothing was changed.")
