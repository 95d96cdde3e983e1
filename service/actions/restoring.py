"""Restore a backup that does not resend: what may have gone out since is held before any worker can see it.

Nothing half-written: the database takes its place whole, held and migrated, or what was there stays.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.actions.backing_up import (
    Backup,
    Installation,
    about_files,
    counted,
    described,
    extract,
    require_fitting,
    store_of,
)
from service.actions.backup_file import BackupFile
from service.actions.revise import Who
from service.errors import NotAllowed
from service.store import audit, backup, dump
from service.store.audit import Deed
from service.store.connecting import take_time
from service.store.engine import Store
from service.store.schema import migrate
from service.store.uncertain import RESTORED


@dataclass(frozen=True)
class Restored:
    """kept: where the old SQLite file and the old secret key are now. key_fits: old links and Message-IDs hold."""

    backup: Backup
    kept: tuple[Path, ...]
    key_fits: bool


def restore(house: Installation, source: Path, who: Who, *, force: bool) -> Restored:
    """Put a backup in the database's place. Call with no worker alive.

    Raises NotAllowed for a database that holds a clinic, or another secret key, unless `force`.
    """
    kept = []
    with about_files(source):
        file = BackupFile(source, house.backup_key)
        require_fitting(house, file)
        _require_replaceable(house, file, force=force)
        if house.store.is_sqlite:
            made, old = _restore_sqlite(house, file, who)
            kept = [old] if old else []
        else:
            made = _restore_postgresql(house, file, who)
    kept += _restore_key(house, file, who.now)
    has_key = house.key_file is None or house.key_file.exists()
    return Restored(made, tuple(kept), has_key and house.signed_by == file.header.signed_by)


def _restore_sqlite(house: Installation, file: BackupFile, who: Who) -> tuple[Backup, Path | None]:
    """Everything is done to a draft beside; then it takes the database's place in one step."""
    database = backup.sqlite_file(house.store)
    draft = database.with_name(f".{database.name}.restoring")
    database.parent.mkdir(parents=True, exist_ok=True)
    backup.forget(draft)
    try:
        extract(file, draft)
        made = described(file, counted(draft, who.now))
        store = store_of(draft)
        try:
            _hold(store, file, who)
            migrate(store)
        finally:
            store.close()
        return made, backup.replace_sqlite(draft, database, _kept(who.now))
    finally:
        backup.forget(draft)


def _restore_postgresql(house: Installation, file: BackupFile, who: Who) -> Backup:
    tools = dump.programs(house.store)
    made = described(file, dump.scan(tools, file.database(), who.now))
    dump.require_alone(house.store)
    # Without its revision no worker starts on it; that comes in the transaction that holds the rows.
    dump.load(tools, file.database())
    _hold(house.store, file, who)
    migrate(house.store)
    return made


def _hold(store: Store, file: BackupFile, who: Who) -> None:
    with store.write() as connection:
        take_time(connection)
        if not store.is_sqlite:
            dump.write_revision(connection, file.header.schema)
        for clinic_id, number in backup.hold(connection, who.now).items():
            detail = {"taken_at": file.header.taken_at.isoformat(), "uncertain": number}
            audit.note(connection, clinic_id, Deed(who.actor, RESTORED, "database", detail), who.now)


def _restore_key(house: Installation, file: BackupFile, now: datetime) -> list[Path]:
    """Bring back the secret key that travels with the backup. Returns where another one was put that stood there."""
    secret, place = file.secret(), house.key_file
    if place is None or not _is_other(place, secret):
        return []
    draft = place.with_name(f".{place.name}.restoring")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(secret)
        out.flush()
        os.fsync(handle)
    kept = []
    if place.exists():
        kept.append(backup.free_name(place.with_name(f"{place.name}.{_kept(now)}")))
        kept[0].hardlink_to(place)
    draft.replace(place)
    backup.sync(place.parent)
    return kept


def _is_other(place: Path, secret: bytes) -> bool:
    """Whether the backup brings a key that is not the one there."""
    return bool(secret) and not (place.exists() and place.read_bytes() == secret)


def _kept(now: datetime) -> str:
    return f"before-restore-{now:%Y%m%dT%H%M%SZ}"


def _require_replaceable(house: Installation, file: BackupFile, *, force: bool) -> None:
    found = backup.look(house.store.url.render_as_string(hide_password=False))
    place = house.key_file
    if found.filled and not force:
        raise NotAllowed(
            "there is a database with a clinic here already",
            field="force",
            next_step="Add --force to replace it; back it up first if it may be needed.",
        )
    if place is not None and place.exists() and _is_other(place, file.secret()) and not force:
        raise NotAllowed(
            f"{place} is not the secret key of this backup",
            field="force",
            next_step="Add --force to bring back the backup's; the other one is kept beside it.",
        )
    if house.store.is_sqlite:
        return
    if found.strangers or found.revision not in (None, file.header.schema):
        why = f"tables of others ({', '.join(found.strangers)})" if found.strangers else "tables of another version"
        raise NotAllowed(
            f"the database holds {why}",
            field="AFTERCARE_DATABASE_URL",
            next_step="Make an empty one (dropdb, createdb) and restore into that.",
        )
