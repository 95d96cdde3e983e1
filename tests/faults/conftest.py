"""Fault runs collect one line each; the table is printed when all have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.judging import Case, Tally, make_case, table

_LINES = pytest.StashKey[list[tuple[str, Tally]]]()
SHORT_LEASE = {"lease_seconds": "3", "relay_session_timeout": "2"}


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Callable[[str, Tally], None]:
    """Adds a line to the table."""
    lines = request.config.stash.setdefault(_LINES, [])

    def add(fault: str, tally: Tally) -> None:
        lines.append((fault, tally))

    return add


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if lines := config.stash.get(_LINES, []):
        terminalreporter.section("faults")
        terminalreporter.write_line(table(lines))


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
