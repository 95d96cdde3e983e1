"""Databases for tests: every test that asks for `store` runs on a migrated SQLite file and on a real PostgreSQL."""

from __future__ import annotations

import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import sqlalchemy as sa

from service.store.engine import Store
from service.store.schema import migrate
from tests.support.postgres import postgres_server

os.umask(0o077)
if "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK):
    # A test's databases need no disk: made in memory, thousands of them cost minutes less.
    os.environ["TMPDIR"] = tempfile.tempdir = "/dev/shm"
# Speed is the benchmark's business; the same examples every time, so that a red run can be repeated.
hypothesis.settings.register_profile("aftercare", deadline=None, derandomize=True)
hypothesis.settings.load_profile("aftercare")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    store = Store(f"sqlite:///{path}")
    migrate(store)
    store.close()
    return path


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[sa.URL]:
    """AFTERCARE_TEST_DATABASE_URL, else a server of our own; one server a session."""
    given = os.environ.get("AFTERCARE_TEST_DATABASE_URL")
    if given:
        yield sa.make_url(given)
        return
    with tempfile.TemporaryDirectory(prefix="aftercare-pg-") as folder, postgres_server(Path(folder)) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_template(postgres_url: sa.URL) -> Iterator[sa.URL]:
    """A migrated database to clone."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    _run(postgres_url, f'CREATE DATABASE "{name}"')
    url = postgres_url.set(database=name)
    store = Store(url.render_as_string(hide_password=False))
    migrate(store)
    store.close()
    yield url
    _run(postgres_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def _run(url: sa.URL, statement: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated database of its own."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        path = tmp_path / "aftercare.db"
        path.write_bytes(template.read_bytes())
        yield f"sqlite:///{path}"
        return
    source: sa.URL = request.getfixturevalue("postgres_template")
    server: sa.URL = request.getfixturevalue("postgres_url")
    name = f"test_{uuid.uuid4().hex[:12]}"
    _run(server, f'CREATE DATABASE "{name}" TEMPLATE "{source.database}" STRATEGY wal_log')
    yield source.set(database=name).render_as_string(hide_password=False)
    _run(server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = Store(database_url)
    yield opened
    opened.close()
