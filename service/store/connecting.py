"""From a database's URL to its connections: what each is told when it opens, what its failures mean for a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from service.errors import BadConfiguration, Unavailable

_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "wal_autocheckpoint=4000")
#: Seconds that a writer of SQLite's waits for another to end.
WAIT = 10
#: A cable that is pulled says nothing: without these a worker would wait a quarter of an hour before it says so.
_WATCHED_LINE = {"keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}
#: PostgreSQL's own patience with one statement, with one lock, and with a transaction that falls silent.
_PATIENCE = {"statement_timeout": "30s", "lock_timeout": "15s", "idle_in_transaction_session_timeout": "30s"}
#: What takes minutes by its nature: an import, a migration, a check of every promise.
_UNHURRIED = {"statement_timeout": "1h", "lock_timeout": "2min"}
#: PostgreSQL's codes for a statement and for a lock that took longer than that.
_TOO_LONG = ("57014", "55P03")


def take_time(connection: sa.Connection) -> None:
    """Let this transaction's statements take minutes: for what no reminder waits for."""
    if connection.dialect.name == "postgresql":
        for name, value in _UNHURRIED.items():
            connection.exec_driver_sql(f"SET LOCAL {name} = '{value}'")


def begun(connection: sa.Connection) -> bool:
    """Begin a transaction, unless another writer of SQLite's is at work now."""
    try:
        connection.begin()
    except sa.exc.OperationalError as error:
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def engine_of(url: sa.URL, begin: str, wait: int = WAIT) -> sa.Engine:
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
        # A process frozen inside a transaction must not keep its locks, and nobody must wait for a lock for ever.
        with connection.cursor() as cursor:
            for name, value in _PATIENCE.items():
                cursor.execute(f"SET {name} = '{value}'")
        connection.commit()

    return engine


def _sqlite_engine(url: sa.URL, begin: str, wait: int) -> sa.Engine:
    if url.database in (None, "", ":memory:"):
        raise BadConfiguration(
            "AFTERCARE_DATABASE_URL: a database in memory would forget every reminder",
            field="AFTERCARE_DATABASE_URL",
            next_step="Name a file: sqlite:///aftercare.db.",
        )
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": WAIT, "check_same_thread": False})

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
def explained(url: sa.URL) -> Iterator[None]:
    """What a database's failure means for a person; the driver's words stay in the cause."""
    try:
        yield
    # InternalError: PostgreSQL says so of a server that has become read-only. TimeoutError: the pool is used up.
    except (sa.exc.OperationalError, sa.exc.InternalError, sa.exc.TimeoutError) as error:
        words = str(getattr(error, "orig", error)).strip().splitlines()
        where, why = url.render_as_string(hide_password=True), words[0] if words else "no reason"
        if getattr(getattr(error, "orig", None), "sqlstate", None) in _TOO_LONG:
            raise Unavailable(
                f"the database {where} took too long: {why}",
                field="AFTERCARE_DATABASE_URL",
                next_step="See what keeps it busy or holds its locks (pg_stat_activity). It is tried again by itself.",
            ) from error
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
