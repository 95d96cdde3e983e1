"""Commands that make a backup and bring one back."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.options import actor, json_option, now_option, service_for
from service.cli.output import example, print_document, say, utc
from service.errors import NotAllowed

if TYPE_CHECKING:
    from service.actions.backing_up import Backup, Installation
    from service.wiring import Service

_FILE = click.Path(path_type=Path)
_NO_KEY = "AFTERCARE_BACKUP_KEY is not set"


@click.command("backup", epilog=example("aftercare backup /var/backups/aftercare/today.backup"))
@click.argument("file", type=_FILE)
@click.option("--force", is_flag=True, help="Replace an older backup of that name.")
@json_option
@now_option
def backup_command(file: Path, force: bool, json_: bool, now: str | None) -> None:
    """Copy the database into one verified file while everything goes on. Encrypted if AFTERCARE_BACKUP_KEY is set."""
    from service.actions.backing_up import back_up

    with service_for(now, migrated=False) as service:
        made = back_up(_installation(service), file, service.now(), force=force)
        own_key = service.settings.secret_key is not None
    if json_:
        print_document({"file": str(file), **_described(made)})
        return
    say(f"{file}: {_counted(made)}, {made.size:,} bytes, read back and whole.")
    if not made.encrypted:
        say(f"It is not encrypted ({_NO_KEY}): whoever reads it reads every client's data.")
    if not made.has_key:
        what = "AFTERCARE_SECRET_KEY" if own_key else f"{service.data_dir / 'secret.key'}"
        say(f"Keep {what} separately: without it links in e-mails die, and a restore cannot be answered from a log.")


@click.command("restore", epilog=example("aftercare restore today.backup --check", "aftercare restore today.backup"))
@click.argument("file", type=_FILE)
@click.option("--check", "only_check", is_flag=True, help="Verify the file, say what it would hold, change nothing.")
@click.option("--force", is_flag=True, help="Replace the database that is here; an old SQLite file is kept beside.")
@json_option
@now_option
def restore_command(file: Path, only_check: bool, force: bool, json_: bool, now: str | None) -> None:
    """Bring a backup back. What may have gone out since is put on hold and asked about, never sent again by itself.

    Stop every worker and the pages first.
    """
    from service.actions.backing_up import check

    with service_for(now, migrated=False) as service:
        if not only_check:
            _restore(service, file, force=force, json_=json_)
            return
        seen = check(_installation(service), file, service.now())
    if json_:
        print_document({"file": str(file), **_described(seen), "would_hold": seen.contents.uncertain})
    else:
        say(f"{file} is whole: {_counted(seen)}.")
        say(f"Restored now, it would hold {seen.contents.uncertain:,} e-mails that may have gone out since.")


def _restore(service: Service, file: Path, *, force: bool, json_: bool) -> None:
    from service import wiring
    from service.actions.restoring import restore
    from service.actions.revise import Who

    with ExitStack() as alone:
        try:
            alone.enter_context(wiring.worker_lock(service, alone=True))
        except NotAllowed as error:
            raise NotAllowed(
                "a worker is running on this data folder",
                field="AFTERCARE_DATA_DIR",
                next_step="Stop it first: it would go on sending from the old database.",
            ) from error
        done = restore(_installation(service), file, Who(actor(), service.now()), force=force)
    kept = [str(path) for path in done.kept]
    held = done.backup.contents.uncertain
    if json_:
        fits = {"secret_key_fits": done.key_fits}
        print_document({"file": str(file), **_described(done.backup), "uncertain": held, "kept": kept, **fits})
        return
    say(f"Restored: {_counted(done.backup)}.")
    for path in kept:
        say(f"The old one is kept as {path}; delete it when nobody needs it any more.")
    if not done.key_fits:
        say("This backup does not hold the secret key that goes with it. Copy the old machine's secret.key (or its")
        say(f"AFTERCARE_SECRET_KEY) to {service.data_dir / 'secret.key'} before you go on: with another key links in")
        say("e-mails stay dead, and nothing can be answered from a log.")
    if held:
        say(f"{held:,} e-mails may have gone out since and are on hold. Answer before you start a worker:")
        say("  aftercare uncertain from-log /var/log/mail.log    what the relay took was sent, the rest goes now")
        say("  aftercare uncertain list                          see them")
    since = utc(done.backup.header.taken_at)
    say(f"What was registered, stopped, corrected, approved or erased after {since} is not in it: do that again now.")


def _installation(service: Service) -> Installation:
    from service.actions.backing_up import Installation

    settings = service.settings
    key = settings.backup_key.get_secret_value() if settings.backup_key else None
    key_file = service.data_dir / "secret.key" if settings.secret_key is None else None
    return Installation(service.store, service.data_dir, key, key_file, lambda: service.signer)


def _described(backup: Backup) -> dict[str, Any]:
    return {
        "taken_at": utc(backup.header.taken_at),
        "database": backup.header.database,
        "schema": backup.header.schema,
        "encrypted": backup.encrypted,
        "secret_key_included": backup.has_key,
        "bytes": backup.size,
        "clients": backup.contents.clients,
        "emails": backup.contents.emails,
    }


def _counted(backup: Backup) -> str:
    held = backup.contents
    return f"{held.clients:,} clients and {held.emails:,} e-mails as of {utc(backup.header.taken_at)}"
