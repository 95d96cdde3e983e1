"""Engines, transactions and the one bridge from async code. SQLite and PostgreSQL from one code base.

Two handles: a page that reads never waits behind a writer's BEGIN IMMEDIATE. SQLite's driver opens no transaction
before a read and none before a leading WITH, which loses updates: so every transaction is begun here, explicitly.
"""

from __future__ import annotations

import asyncio
import os
import threading
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

from service.store.connecting import WAIT, begun, engine_of, explained
from service.store.waits import Waits

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


#: Seconds. A transaction that took longer sends the next one to the thread: the event loop has others to serve.
BRIEF = 0.05


class Store:
    """The two handles on one database, and the thread in which async code's transactions run.

    brief: as BRIEF, for a test.
    """

    def __init__(self, url: str, brief: float = BRIEF) -> None:
        self.url = sa.make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._writer = engine_of(self.url, "BEGIN IMMEDIATE")
        self._reader = engine_of(self.url, "BEGIN") if self.is_sqlite else self._writer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._unwaiting = engine_of(self.url, "BEGIN IMMEDIATE", wait=0) if self.is_sqlite else None
        self._turn = threading.Lock()
        self.waits = Waits()
        self._brief, self._was_brief = brief, True

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One writing transaction: committed at the end of the block, rolled back if it raises."""
        with self._in_turn(), explained(self.url), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """SQLite's writers of one process take turns here: SQLite itself waits by sleeping, for longer each time."""
        # Whoever waits in vain asks SQLite, which says who is to blame.
        mine = self.is_sqlite and self._turn.acquire(timeout=WAIT)
        try:
            yield
        finally:
            if mine:
                self._turn.release()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One reading transaction over a stable picture of the data."""
        with explained(self.url), self._reader.begin() as connection:
            yield connection

    async def in_thread(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` as one whole writing transaction off the event loop, and wait for its commit."""

        def transaction() -> R:
            with self.write() as connection:
                return work(connection, *args, **kwargs)

        with self.waits.one():
            return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)

    async def in_brief(self, work: Work[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Like in_thread, for what takes a few milliseconds: on SQLite in the event loop's own thread.

        Two threads that take turns at every commit cost a quarter of all speed. It waits for no lock there: while
        another writer is at work, or as long as the disk is slow, the thread does it.
        """
        began = time.monotonic()
        try:
            if self._unwaiting is not None and self._was_brief and self._turn.acquire(blocking=False):
                try:
                    with explained(self.url), self._unwaiting.connect() as connection:
                        if begun(connection):
                            done = work(connection, *args, **kwargs)
                            connection.commit()
                            return done
                finally:
                    self._turn.release()
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


def make_private(path: Path) -> None:
    """A folder only this user can read: it holds clients' data."""
    path.mkdir(parents=True, exist_ok=True)
    os.chmod(path, 0o700)  # noqa: PTH101 - one call, no surprise with umask
