"""A consistent copy of a living SQLite database, a file put in the place of one, and what a restored database owes.

An old copy believes that yesterday's mails are still to be sent: whatever may have gone out since is held until a
person has answered.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.errors import NotAllowed, Unavailable
from service.store.engine import Instant, Store
from service.store.outbox import NO_LEASE
from service.store.tables import beats, clients, clinics, duties, emails, metadata, paces

#: What stands beside an open database.
_BESIDE = ("-wal", "-shm", "-journal")
#: Pages copied at once.
STEP = 1000
#: Seconds until another process must have let go of the file.
_PATIENCE = 2.0


@dataclass(frozen=True)
class Contents:
    """What a database holds. uncertain: e-mails that may have gone out since it was copied."""

    clients: int
    emails: int
    uncertain: int


@dataclass(frozen=True)
class Found:
    """What is in a restore's way. strangers: tables that are not ours."""

    filled: bool
    revision: str | None
    strangers: tuple[str, ...]


def sqlite_file(store: Store) -> Path:
    assert store.url.database is not None
    return Path(store.url.database)


def copy_sqlite(database: Path, into: Path, progress: Callable[[int, int, int], None] | None = None) -> None:
    """One moment of a database that others go on writing to. Nobody waits: in WAL mode a reader stops no writer.

    progress: called after each step with a status, the pages left and the pages of all.
    """
    with _told(database), closing(sqlite3.connect(database, timeout=10)) as source:
        source.isolation_level = None
        # Kept open, it is that moment for all steps: a copy of a busy database would else begin anew at each of them.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        with closing(sqlite3.connect(into)) as target:
            source.backup(target, pages=STEP, sleep=0.01, progress=progress)


def require_sound(database: Path) -> None:
    """Raises Unavailable for a file that SQLite finds a fault in."""
    with _told(database), closing(sqlite3.connect(database)) as connection:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != ("ok",):
        raise _unsound(database)


@contextmanager
def _told(database: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(
            f"{database} could not be read or copied: {error}",
            field=str(database),
            next_step="Check that this user may read and write there and that the disk is not full.",
        ) from error
    except sqlite3.DatabaseError as error:
        raise _unsound(database) from error


def _unsound(database: Path) -> Unavailable:
    return Unavailable(
        f"{database} is not a database, or it is damaged", field=str(database), next_step="Restore an older backup."
    )


def contents(store: Store, now: datetime) -> Contents:
    """Counts; uncertain at `now`, as `hold` would find them."""
    numbers = [
        sa.select(sa.func.count()).select_from(clients),
        sa.select(sa.func.count()).select_from(emails),
        sa.select(sa.func.count()).select_from(emails).where(_may_be_out(now)),
    ]
    with store.read() as connection:
        return Contents(*(int(connection.execute(number).scalar_one()) for number in numbers))


def may_be_out(state: str, not_before: datetime, now: datetime) -> bool:
    """Whether a row of an old copy may have gone out by `now`: it was on its way, or its time has come since.

    However long ago that was: what waited at the copy for a relay in trouble may have gone out a minute later. What was
    held for another cause may have been freed and sent.
    """
    waiting = (State.PLANNED, State.HELD)
    return state in (State.CLAIMED, State.SENDING, State.IN_DOUBT) or (state in waiting and not_before <= now)


def _may_be_out(now: datetime) -> sa.ColumnElement[bool]:
    """The same in SQL."""
    on_its_way = emails.c.state.in_([State.CLAIMED, State.SENDING, State.IN_DOUBT])
    return on_its_way | (emails.c.state.in_([State.PLANNED, State.HELD]) & (emails.c.not_before <= now))


def hold(connection: sa.Connection, now: datetime) -> dict[int, int]:
    """Hold every row that may have gone out, and forget the workers of the old life. Clinic id -> rows held.

    A row whose message was being said at the copy is in doubt from its mark on.
    """
    marked = sa.func.coalesce(emails.c.doubt_since, emails.c.marked_at, sa.literal(now, Instant))
    doubt = sa.case((emails.c.state == State.SENDING, marked), else_=emails.c.doubt_since)
    held = connection.execute(
        sa.update(emails)
        .where(_may_be_out(now))
        .values(state=State.HELD, reason=Reason.RESTORED, doubt_since=doubt, **NO_LEASE)
        .returning(emails.c.clinic_id)
    )
    counts = dict.fromkeys(connection.execute(sa.select(clinics.c.id)).scalars(), 0)
    for clinic_id in held.scalars():
        counts[clinic_id] += 1
    for table in (beats, paces):
        connection.execute(sa.delete(table))
    # What was done for a day stays done: forgotten, it would be done twice.
    connection.execute(sa.update(duties).values(lease_token=None, lease_until=None))
    return counts


def look(url: str) -> Found:
    """What the database holds now; a damaged SQLite file counts as filled. Makes no file and leaves none open."""
    store = Store(url)
    try:
        if store.is_sqlite and not sqlite_file(store).exists():
            return Found(filled=False, revision=None, strangers=())
        with store.read() as connection:
            tables = set(sa.inspect(connection).get_table_names())
            filled = "clinics" in tables and connection.execute(sa.select(clinics.c.id).limit(1)).first() is not None
            query = sa.text("SELECT version_num FROM alembic_version")
            revision = connection.execute(query).scalar_one_or_none() if "alembic_version" in tables else None
            return Found(filled, revision, tuple(sorted(tables - {*metadata.tables, "alembic_version"})))
    except Unavailable as error:
        if type(error.__cause__) is sa.exc.DatabaseError:
            return Found(filled=True, revision=None, strangers=())
        raise
    finally:
        store.close()


def replace_sqlite(new: Path, database: Path, kept: str) -> Path | None:
    """Put the file `new` in the place of `database` in one step; the old one stays beside, named with `kept`.

    Returns where the old one is, None if there was none. Raises NotAllowed while another process has it open.
    """
    old = free_name(database.with_name(f"{database.name}.{kept}"))
    there = database.exists()
    if there:
        _settle(database)
        old.hardlink_to(database)
    for end in _BESIDE:
        # A log of the old database would be played into the new one.
        with suppress(FileNotFoundError):
            Path(f"{database}{end}").replace(f"{old}{end}")
    sync(new)
    new.replace(database)
    sync(database.parent)
    return old if there else None


def _settle(database: Path) -> None:
    """Bring everything into the one file. Leaving WAL mode needs the file alone, so it shows who else has it open."""
    try:
        with closing(sqlite3.connect(database, timeout=_PATIENCE)) as connection:
            connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.OperationalError as error:
        raise NotAllowed(
            f"another process has {database} open",
            field="AFTERCARE_DATABASE_URL",
            next_step="Stop every worker, the pages and whatever else reads it; then restore again.",
        ) from error
    except sqlite3.DatabaseError:
        return  # damaged: it is kept as it is


def free_name(wanted: Path) -> Path:
    """`wanted`, or with a number if that is taken."""
    names = (wanted.with_name(f"{wanted.name}-{number}") for number in range(2, 10_000))
    return next(name for name in (wanted, *names) if not name.exists())


def forget(path: Path) -> None:
    """Remove a SQLite file and what stands beside it."""
    for end in ("", *_BESIDE):
        Path(f"{path}{end}").unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
