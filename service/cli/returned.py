"""The command `returned`: what a returned message is, whose, and what follows from it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.options import actor, json_option, now_option, service_for, settings_for
from service.cli.output import example, print_lines, print_table, say
from service.domain.plain import words
from service.errors import BadConfiguration, BadInput, Unavailable

if TYPE_CHECKING:
    from service.actions.returned import Meaning
    from service.mail.signing import Signer
    from service.store.engine import Store
    from service.wiring import Service

_DOES = {
    "sent": "it did go out",
    "bounced": "record it",
    "suppress": "write to this address no more",
    "stop": "stop the reminders",
    "call": "list a call",
}


@click.command(
    "returned",
    epilog=example(
        "aftercare returned bounce.eml --dry-run --json",
        "aftercare returned ~/Maildir/new/*",
        "aftercare returned --fetch",
    ),
)
@click.argument("files", type=click.Path(path_type=Path, allow_dash=True), nargs=-1)
@click.option("--dry-run", is_flag=True, help="Say what would happen, and write nothing; no database needed.")
@click.option("--fetch", is_flag=True, help="Read what is new in AFTERCARE_MAILBOX_URL, as a worker does each minute.")
@json_option
@now_option
def returned_command(files: tuple[Path, ...], dry_run: bool, fetch: bool, json_: bool, now: str | None) -> None:
    """Read returned messages: bounces, complaints, stops, replies; and do what follows.

    Only what carries our signed address can end reminders. The same message twice changes nothing more.
    """
    if fetch == bool(files) or (fetch and dry_run):
        raise BadInput(
            "give files, or --fetch alone",
            field="fetch" if fetch else "files",
            next_step="See `aftercare returned -h`.",
        )
    if fetch:
        _fetch(now, json_=json_)
        return
    with _open(now, dry_run=dry_run) as (service, signer):
        lines = []
        for file in files:
            raw, problem = _content(file)
            meaning = _meaning(service, signer, raw, dry_run=dry_run)
            line = _document(str(file), meaning, problem)
            lines.append(line if service else line | _by_key(meaning))
            if json_:
                print_lines(lines[-1:])
    if not json_:
        _show(lines)
        if dry_run:
            say("Nothing was written. Leave out --dry-run to act.")


def _fetch(now: str | None, *, json_: bool) -> None:
    """One round over the mailbox, by hand."""
    from service.wiring import fetching

    lines: list[dict[str, Any]] = []

    def told(name: str, meaning: Meaning, problem: str) -> None:
        lines.append(_document(name, meaning, problem))
        if json_:
            print_lines(lines[-1:])

    with service_for(now) as service:
        duty = fetching(service, actor())
        if duty is None:
            fix = "Set it to imaps://user:password@host/FOLDER or maildir:/path, or name files."
            raise BadConfiguration("AFTERCARE_MAILBOX_URL is not set", field="AFTERCARE_MAILBOX_URL", next_step=fix)
        fetched = duty.round(service.now(), told, by_hand=True)
    if fetched is None:
        fix = "Wait until it is done, five minutes at most."
        raise Unavailable("a worker is reading the mailbox now", field="fetch", next_step=fix)
    if not json_:
        _show(lines)
    if not lines:
        say("Nothing new in the mailbox.")
    if fetched.more:
        say("There is more: run it again.")


@contextmanager
def _open(now: str | None, *, dry_run: bool) -> Iterator[tuple[Service | None, Signer | None]]:
    """The service and its signer; for a dry run without a database none, and the key alone if there is one."""
    from service.store.engine import Store
    from service.wiring import Service

    settings = settings_for(now)
    store = Store(settings.database) if dry_run else None
    try:
        if store is not None and not _is_database(store):
            say("There is no database here: nothing is compared with e-mails.")
            yield None, _key(Service(settings, store))
            return
    finally:
        if store is not None:
            store.close()
    with service_for(now) as service:
        yield service, service.signer


def _is_database(store: Store) -> bool:
    """Whether it is ours and of this version. Looks without making a file."""
    from service.store.schema import require_current

    if store.is_sqlite and not Path(store.url.database or "").is_file():
        return False
    try:
        require_current(store)
    except BadConfiguration:
        return False
    return True


def _key(service: Service) -> Signer | None:
    """The signer of this installation; a dry run makes no key."""
    if service.settings.secret_key is None and not (service.data_dir / "secret.key").is_file():
        return None
    return service.signer


def _content(file: Path) -> tuple[bytes, str]:
    """The bytes of one message, no more of them than anybody reads, and why there are none."""
    from service.mail.reports_mime import MOST_BYTES

    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(MOST_BYTES + 1), ""
        with file.open("rb") as opened:
            return opened.read(MOST_BYTES + 1), ""
    except OSError as error:
        return b"", f"not read: {error.strerror or error}"


def _meaning(service: Service | None, signer: Signer | None, raw: bytes, *, dry_run: bool) -> Meaning:
    from service.actions.returned import Meaning, examine, read, take_in
    from service.actions.revise import Who

    message = read(raw, signer)
    if service is None:
        return Meaning(message.report)
    if dry_run:
        with service.store.read() as connection:
            return examine(connection, service.signer, message, service.now())
    who = Who(actor(), service.now())
    with service.store.write() as connection:
        return take_in(connection, service.signer, message, who)


def _document(file: str, meaning: Meaning, problem: str) -> dict[str, Any]:
    report, found = meaning.report, meaning.found
    recipients = [
        {
            "address": one.address,
            "action": one.action,
            "status": one.status,
            "class": str(one.bounce_class),
            "would_suppress": meaning.suppresses(one),
        }
        for one in report.recipients
    ]
    return {
        "file": file,
        "kind": str(report.kind),
        "recipients": recipients,
        "email_id": found.email.id if found and found.email else None,
        "verified": found is not None and found.verified,
        "client_id": found.client.id if found else None,
        "found_by": found.by if found else None,
        "does": list(meaning.does),
        "reason": problem or report.reason,
    }


def _by_key(meaning: Meaning) -> dict[str, Any]:
    """Without a database the key alone says that a signed address is ours, and of which e-mail or client."""
    from service.actions.answer import named

    whose = named(meaning.report.stop_subject)
    if whose is not None:
        return {"client_id": whose.client_id, "verified": True, "found_by": "token"}
    subject = meaning.report.token_subject
    if subject is None or not subject.isdigit():
        return {}
    return {"email_id": int(subject), "verified": True, "found_by": "token"}


def _show(lines: Sequence[dict[str, Any]]) -> None:
    told = []
    for line in lines:
        classes = sorted({one["class"] for one in line["recipients"]} - {"none"})
        whose = f"client {line['client_id']}" if line["client_id"] else "nobody known"
        told.append(
            {
                "file": line["file"],
                "what": " ".join([words(line["kind"]), *classes]),
                "whose": whose + ("" if line["verified"] or not line["client_id"] else " (not proven)"),
                "does": ", ".join(_DOES[one] for one in line["does"]) or "nothing",
                "why": line["reason"],
            }
        )
    print_table(told, {key: key for key in ("file", "what", "whose", "does", "why")}, "")
