"""Engines, transactions and the one bridge from async code. SQLite and PostgreSQL from one code base.

Two handles: a page that reads never waits behind a writer's BEGIN IMMEDIATE. SQLite's driver opens no transaction
before a read and none before a leading WITH, which loses updates: so every transaction is begun here, explicitly.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from service.errors import BadConfiguration, Unavailable

P = ParamSpec("P")
R = TypeVar("R")
Work = Callable[Concatenate[sa.Connection, P], R]


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware UTC instant: timestamptz on PostgreSQL, sortable UTC text on SQLite. Refuses naive values."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else value.astimezone(UTC)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], datetime | None] | None:
        # From SQLite's text in one step: a claim reads thousands of instants, most of them alike.
        return _from_text if dialect.name == "sqlite" else super().result_processor(dialect, coltype)


@lru_cache(maxsize=1024)
def _from_text(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value).replace(tzinfo=UTC)


class database_clock(FunctionElement[datetime]):  # noqa: N801 - reads like the SQL function it is
    """The database's own clock plus some seconds: the only clock of leases, never compared with business time."""

    type = Instant()
    inherit_cache = True

    def __init__(self, seconds: int = 0) -> None:
        super().__init__(sa.bindparam("seconds", seconds, type_=sa.Integer, unique=True))


@compiles(database_clock, "sqlite")
def _sqlite_clock(element: database_clock, compiler: Any, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    # Six digits, as the driver writes instants, so that text order is time order.
    return f"strftime('%Y-%m-%d %H:%M:%f', 'now', {seconds} || ' seconds') || '000'"


@compiles(database_clock, "postgresql")
def _postgresql_clock(element: database_clock, compiler: Any, **kw: Any) -> str:
    return f"(clock_timestamp() + make_interval(secs => {compiler.process(element.clauses, **kw)}))"


_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=4000")
#: Seconds. A transaction that took longer sends the next one to the thread: the event loop has others to serve.
BRIEF = 0.05


class Store:
    """The two handles on one database, and the thread in which async code's transactions run.

    brief: as BRIEF, for a test.
    """

    def __init__(self, url: str, brief: float = BRIEF) -> None:
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writer = _engine(self.url, "BEGIN IMMEDIATE")
        self._reader = _engine(self.url, "BEGIN") if self.is_sqlite else self._writer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._unwaiting = _engine(self.url, "BEGIN IMMEDIATE", wait=0) if self.is_sqlite else None
        self._brief, self._was_brief = brief, True

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One writing transaction: committed at the end of the block, rolled back if it raises."""
        with _explained(self.url), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One reading transaction over a stable picture of the data."""
        with _explained(self.url), self._reader.begin() as connection:
            yield connection

    async def in_thread(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` as one whole writing transaction off the event loop, and wait for its commit."""

        def transaction() -> R:
            with self.write() as connection:
                return work(connection, *args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)

    async def in_brief(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Like in_thread, for what takes a few milliseconds: on SQLite in the event loop's own thread.

        Two threads that take turns at every commit cost a quarter of all speed. It waits for no lock there: while
        another writer is at work, or as long as the disk is slow, the thread does it.
        """
        began = time.monotonic()
        try:
            if self._unwaiting is not None and self._was_brief:
                with _explained(self.url), self._unwaiting.connect() as connection:
                    if _begun(connection):
                        done = work(connection, *args, **kwargs)
                        connection.commit()
                        return done
            return await self.in_thread(work, *args, **kwargs)
        finally:
            self._was_brief = time.monotonic() - began < self._brief

    def now(self) -> datetime:
        """Business time in live mode: the database's clock, so that a worker with a fast one sends nothing early."""
        with self.read() as connection:
            return connection.execute(sa.select(database_clock())).scalar_one()

    def close(self) -> None:
        self._thread.shutdown(wait=True)
        if self._unwaiting is not None:
            self._unwaiting.dispose()
        self._writer.dispose()
        self._reader.dispose()


#: A cable that is pulled says nothing: without these a worker would wait a quarter of an hour before it says so.
_WATCHED_LINE = {"keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}


def _begun(connection: sa.Connection) -> bool:
    """Begin a transaction, unless another writer of SQLite's is at work now."""
    try:
        connection.begin()
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _engine(url: sa.URL, begin: str, wait: int = 10) -> sa.Engine:
    """wait: seconds for another writer of SQLite's to end."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        return _sqlite_engine(url, begin, wait)
    if backend != "postgresql":
        raise BadConfiguration(
            f"AFTERCARE_DATABASE_URL: {backend} is not a database this program knows",
            field="AFTERCARE_DATABASE_URL",
            next_step="Use sqlite:///file.db or postgresql://user@host/name.",
        )
    arguments = {"connect_timeout": 10, "target_session_attrs": "read-write", **_WATCHED_LINE}
    # Reads see what is committed at each statement; the store locks what it will change.
    engine = sa.create_engine(url, hide_parameters=True, connect_args=arguments, pool_pre_ping=True, pool_size=5)

    @sa.event.listens_for(engine, "connect")
    def configure(connection: Any, _: object) -> None:
        # A process frozen inside a transaction must not keep its locks: the other workers would wait for it for ever.
        with connection.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = '30s'")
        connection.commit()

    return engine


def _sqlite_engine(url: sa.URL, begin: str, wait: int) -> sa.Engine:
    if url.database in (None, "", ":memory:"):
        raise BadConfiguration(
            "AFTERCARE_DATABASE_URL: a database in memory would forget every reminder",
            field="AFTERCARE_DATABASE_URL",
            next_step="Name a file: sqlite:///aftercare.db.",
        )
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": 10, "check_same_thread": False})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, f"busy_timeout={wait * 1000}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @sa.event.listens_for(engine, "begin")
    def start(connection: sa.Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextmanager
def _explained(url: sa.URL) -> Iterator[None]:
    """What a database's failure means for a person; the driver's words stay in the cause."""
    try:
        yield
    # InternalError: PostgreSQL says so of a server that has become read-only. TimeoutError: the pool is used up.
    except (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.TimeoutError) as error:
        words = str(getattr(error, "orig", error)).strip().splitlines()
        where, why = url.render_as_string(hide_password=True), words[0] if words else "no reason"
        raise Unavailable(
            f"the database {where} did not answer: {why}",
            field="AFTERCARE_DATABASE_URL",
            next_step="Check that it runs, that this user may write it, and that its disk is not full.",
        ) from error
    except sa.exc.DatabaseError as error:
        if type(error) is not sa.exc.DatabaseError:
            raise  # a constraint or a mistake in a statement: its own matter
        where = url.render_as_string(hide_password=True)
        raise Unavailable(
            f"{where} is not a database, or it is damaged",
            field="AFTERCARE_DATABASE_URL",
            next_step="Name another file, or restore the last backup.",
        ) from error


def make_private(path: Path) -> None:
    """A folder only this user can read: it holds clients' data."""
    path.mkdir(parents=True, exist_ok=True)
    os.chmod(path, 0o700)  # noqa: PTH101 - one call, no surprise with umask
