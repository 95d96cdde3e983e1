"""Fault runs collect one line each; the table is printed when all have ended, also when they ran in several processes."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.faults.judging import BrokenError, Case, Tally, make_case

SHORT_LEASE = {"lease_seconds": "3", "relay_session_timeout": "2"}


def _tell(item: pytest.Item, fault: str, tally: Tally) -> None:
    # As a property of the test: so it also comes home from another process (xdist).
    item.user_properties.append(("fault", (fault, *astuple(tally))))


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[str, Tally], None]:
    """Adds a line to the table."""
    return lambda fault, tally: _tell(request.node, fault, tally)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Iterator[None]:  # a broken promise has a line too
    if call.excinfo is not None and isinstance(call.excinfo.value, BrokenError):
        _tell(item, f"BROKEN {item.name}", call.excinfo.value.tally)
    return (yield)


def table(lines: Sequence[tuple[str, Tally]]) -> str:
    """The table of a run: fault, mails planned, sent, twice, lost, missed, promises broken."""
    head = f"{'fault':<68}{'planned':>8}{'sent':>7}{'twice':>7}{'lost':>6}{'missed':>8}{'broken':>8}"
    body = [
        f"{name.replace('+psycopg', ''):<68}{t.planned:>8}{t.sent:>7}{t.twice:>7}{t.lost:>6}{t.missed:>8}{t.broken:>8}"
        for name, t in lines
    ]
    return "\n".join([head, *body])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for some in terminalreporter.stats.values() for report in some]
    told = [
        (value[0], Tally(*value[1:]))
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == "fault"
    ]
    if told:
        terminalreporter.section("faults")
        terminalreporter.write_line(table(told))


@pytest.fixture
def case_of(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Case]]:
    """(mails, port, **settings) -> a case on the test's database; on PostgreSQL with a lease of seconds."""
    made: list[Case] = []

    def make(mails: int, port: int, **settings: str) -> Case:
        short = {} if database_url.startswith("sqlite") else SHORT_LEASE
        made.append(make_case(database_url, tmp_path, mails, port, **(short | settings)))
        return made[-1]

    yield make
    for case in made:
        with case.program:
            case.store.close()


@dataclass(frozen=True)
class Fresh:
    """An empty migrated database and a folder, thrown away together."""

    url: str
    folder: Path


@pytest.fixture
def fresh(
    database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Callable[[], AbstractContextManager[Fresh]]:
    """Makes as many databases like the test's own as a test wants."""
    is_sqlite = database_url.startswith("sqlite")
    server: sa.URL = sa.make_url(database_url) if is_sqlite else request.getfixturevalue("postgres_url")

    @contextmanager
    def make() -> Iterator[Fresh]:
        name = f"fresh_{uuid.uuid4().hex[:12]}"
        folder = tmp_path / name
        folder.mkdir()
        try:
            if is_sqlite:
                shutil.copy(database_url.removeprefix("sqlite:///"), folder / "aftercare.db")
                yield Fresh(f"sqlite:///{folder}/aftercare.db", folder)
                return
            own = sa.make_url(database_url)
            _administer(server, f'CREATE DATABASE "{name}" TEMPLATE "{own.database}" STRATEGY wal_log')
            try:
                yield Fresh(own.set(database=name).render_as_string(hide_password=False), folder)
            finally:
                _administer(server, f'DROP DATABASE "{name}" WITH (FORCE)')
        finally:
            shutil.rmtree(folder)

    return make


def _administer(server: sa.URL, statement: str) -> None:
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
