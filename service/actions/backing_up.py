"""Back up: one verified file, made while workers send. It gets its name when it was read back, not before."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from service.actions import backup_file
from service.actions.backup_file import CHUNK, BackupFile, Header
from service.actions.backup_lock import require_good_key
from service.errors import BadConfiguration, BadInput, NotAllowed, Unavailable
from service.mail.signing import Signer
from service.store import backup, dump
from service.store.backup import Contents
from service.store.engine import Store
from service.store.schema import HEAD, REVISIONS, revision


@dataclass(frozen=True)
class Installation:
    """What is backed up, and what a backup goes into.

    backup_key: encrypts; None: plain. key_file: where the secret key lies; None if a setting holds it.
    signer: made from the secret key when asked for.
    """

    store: Store
    data_dir: Path
    backup_key: str | None
    key_file: Path | None
    signer: Callable[[], Signer]

    @property
    def kind(self) -> str:
        return self.store.url.get_backend_name()

    @property
    def signed_by(self) -> str:
        """Which secret key signs here; says nothing about the key."""
        return self.signer().message_id(0, "backup", "aftercare.invalid")[1:31]


@dataclass(frozen=True)
class Backup:
    """A file that was read to its end. size: bytes. has_key: the secret key travels with it."""

    header: Header
    contents: Contents
    size: int
    encrypted: bool
    has_key: bool


def back_up(house: Installation, target: Path, now: datetime, *, force: bool) -> Backup:
    """Write and verify a backup; nothing is left of one that fails.

    Raises NotAllowed if `target` exists and `force` does not say so, or if it is no backup that would be replaced.
    """
    require_good_key(house.backup_key)
    header = Header(_known_revision(house.store), house.kind, now, house.signed_by)
    draft = target.with_name(f".{target.name}.partial")
    with about_files(target), _scratch(house.data_dir) as folder:
        _require_free(target, force=force)
        try:
            backup_file.write(draft, header, (_secret(house), _copy(house, folder)), house.backup_key)
            made = _look_into(house, BackupFile(draft, house.backup_key), folder, now)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
        backup.sync(target.parent)
    return made


def check(house: Installation, source: Path, now: datetime) -> Backup:
    """Read a backup to its end and say what a restore would hold at `now`. Changes nothing."""
    with about_files(source), _scratch(house.data_dir) as folder:
        file = BackupFile(source, house.backup_key)
        require_fitting(house, file)
        return _look_into(house, file, folder, now)


@contextmanager
def about_files(path: Path) -> Iterator[None]:
    """What a disk's failure means for a person. path: the file it is about if nothing else is named."""
    try:
        yield
    except OSError as error:
        place = str(error.filename or path)
        raise Unavailable(
            f"{place}: {error.strerror or error}; nothing was changed",
            field=place,
            next_step="Check that the folder exists, that this user may write there, and that the disk is not full.",
        ) from error


def _look_into(house: Installation, file: BackupFile, folder: Path, now: datetime) -> Backup:
    if house.store.is_sqlite:
        copy = folder / "copy.db"
        extract(file, copy)
        held = counted(copy, now)
    else:
        held = dump.scan(dump.programs(house.store), file.database(), now)
    return described(file, held)


def described(file: BackupFile, held: Contents) -> Backup:
    return Backup(file.header, held, file.path.stat().st_size, file.encrypted, bool(file.secret()))


def extract(file: BackupFile, into: Path) -> None:
    """The SQLite file that a backup holds; private, because the folder may not be."""
    into.unlink(missing_ok=True)
    into.touch(mode=0o600)
    with into.open("wb") as out:
        for piece in file.database():
            out.write(piece)


def counted(database: Path, now: datetime) -> Contents:
    """What a copied SQLite file holds. Raises Unavailable if it is not sound."""
    backup.require_sound(database)
    store = store_of(database)
    try:
        return backup.contents(store, now)
    finally:
        store.close()


def store_of(database: Path) -> Store:
    return Store(sa.URL.create("sqlite", database=str(database)).render_as_string())


def require_fitting(house: Installation, file: BackupFile) -> None:
    """Raises for a backup of the other kind of database, and for one of a newer program."""
    theirs = file.header.database
    if theirs != house.kind:
        raise BadConfiguration(
            f"{file.path} holds a {theirs} database, and this installation uses {house.kind}",
            field="AFTERCARE_DATABASE_URL",
            next_step=f"Set AFTERCARE_DATABASE_URL to an empty {theirs} database.",
        )
    if file.header.schema not in REVISIONS:
        raise BadInput(
            f"{file.path} is newer than this program (it is at {file.header.schema}, this knows up to {HEAD})",
            field="file",
            next_step="Install the Aftercare it was made with, or a newer one.",
        )


def _copy(house: Installation, folder: Path) -> Iterable[bytes]:
    """One moment of the database, piece by piece."""
    if not house.store.is_sqlite:
        return dump.dump(dump.programs(house.store))
    copy = folder / "copy.db"
    copy.touch(mode=0o600)
    backup.copy_sqlite(backup.sqlite_file(house.store), copy)
    return _pieces(copy)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def _secret(house: Installation) -> bytes:
    """The secret key travels only where it is encrypted: whoever has it can forge links."""
    return house.key_file.read_bytes() if house.backup_key is not None and house.key_file is not None else b""


@contextmanager
def _scratch(data_dir: Path) -> Iterator[Path]:
    """A private folder for a plain copy, emptied before and after; for one command at a time."""
    folder = data_dir / ".backup"
    with (data_dir / ".backup.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NotAllowed(
                "another backup or check is running", field="file", next_step="Wait until it has ended."
            ) from error
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _require_free(target: Path, *, force: bool) -> None:
    if not target.exists():
        return
    if not force:
        raise NotAllowed(f"{target} exists", field="file", next_step="Name another file, or add --force.")
    with target.open("rb") as file:
        if file.read(len(backup_file.NAME)) != backup_file.NAME:
            raise NotAllowed(f"{target} is no backup of Aftercare", field="file", next_step="Name another file.")


def _known_revision(store: Store) -> str:
    found = revision(store)
    if found is None:
        raise BadConfiguration(
            "there is no Aftercare database here yet",
            field="AFTERCARE_DATABASE_URL",
            next_step="Set AFTERCARE_DATABASE_URL or AFTERCARE_DATA_DIR to the one you have.",
        )
    if found not in REVISIONS:
        raise BadConfiguration(
            f"the database is newer than this program (it is at {found}, this knows up to {HEAD})",
            field="AFTERCARE_DATABASE_URL",
            next_step="Back it up with the newer Aftercare.",
        )
    return found
