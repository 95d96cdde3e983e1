"""The machine's clock jumps while a worker lives: it holds and says so; no row is missed, nothing is sent meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.store.tables import emails
from tests.faults.judging import Case, Tally
from tests.support.processes import Process, relay_process, wait_for

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
HOLDS = "nothing is sent: the clock"
FIRST, SECOND = 40, 20


class Clock:
    """What the worker's machine believes, in a file that libfaketime reads at every look. Monotonic time stays real."""

    def __init__(self, folder: Path) -> None:
        assert FAKETIME.exists(), "this run needs libfaketime (Debian: apt-get install libfaketime)"
        self._file = folder / "faketime"
        self.set("+0")
        self.under = (
            "env",
            f"LD_PRELOAD={FAKETIME}",
            f"FAKETIME_TIMESTAMP_FILE={self._file}",
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
        )

    def set(self, offset: str) -> None:
        """'+30d', '-2h', '+0': in one go, so that nobody reads half of it."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{offset}\n")
        fresh.replace(self._file)


def due_later(case: Case, number: int) -> None:
    """So many of the due mails wait: as if their hour had not come yet."""
    ids = sorted(case.due.values())[:number]
    with case.store.write() as connection:
        waiting = sa.update(emails).where(emails.c.id.in_(ids))
        connection.execute(waiting.values(not_before=case.now + timedelta(hours=1)))


def due_now(case: Case) -> None:
    with case.store.write() as connection:
        waiting = emails.c.id.in_(case.due.values()) & (emails.c.state == "planned")
        connection.execute(sa.update(emails).where(waiting).values(not_before=case.now))


def all_states(case: Case) -> Counter[str]:
    with case.store.read() as connection:
        return Counter(connection.execute(sa.select(emails.c.state)).scalars())


def said(worker: Process, words: str) -> int:
    return worker.log.read_text("utf-8", "replace").count(words)


@pytest.mark.slow
@pytest.mark.parametrize("offset", ["+30d", "-2h"])
def test_a_jump_between_two_rounds_holds_until_the_clock_is_right(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str, offset: str
) -> None:
    clock = Clock(tmp_path)
    with relay_process(tmp_path / "relay.jsonl") as port:
        case = case_of(FIRST + SECOND, port, tick_seconds="1")
        due_later(case, SECOND)
        with case.program:
            worker = case.program.start("worker", under=clock.under)
            wait_for(lambda: case.states()["sent"] == FIRST, "what is due")
            before = all_states(case)
            clock.set(offset)
            wait_for(lambda: said(worker, HOLDS) >= 1, "the alert", 20)
            due_now(case)
            wait_for(lambda: said(worker, HOLDS) >= 4, "more rounds", 20)
            assert all_states(case) == before
            assert len(case.copies()) == FIRST
            clock.set("+0")
            wait_for(lambda: case.states()["sent"] == FIRST + SECOND, "the rest", 30)
            worker.stop()
            tally = case.judge()
    assert (tally.sent, tally.twice, tally.missed) == (FIRST + SECOND, 0, 0)
    told(f"the clock jumps {offset} between rounds, {database_url.partition(':')[0]}", tally)


@pytest.mark.slow
@pytest.mark.parametrize("offset", ["+30d", "-2h"])
def test_a_jump_in_the_middle_of_a_round_misses_nothing(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str, offset: str
) -> None:
    clock = Clock(tmp_path)
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.05") as port:
        case = case_of(200, port, tick_seconds="1")
        with case.program:
            worker = case.program.start("worker", under=clock.under)
            wait_for(lambda: len(case.copies()) >= 40, "some mails")
            clock.set(offset)
            wait_for(lambda: said(worker, HOLDS) >= 2, "the alert", 30)
            assert not set(all_states(case)) & {"missed", "failed", "cancelled", "unconfirmed"}
            clock.set("+0")
            wait_for(lambda: set(case.states()) == {"sent"}, "the rest", 30)
            worker.stop()
            tally = case.judge()
    assert (tally.sent, tally.twice, tally.missed) == (200, 0, 0)
    told(f"the clock jumps {offset} in the middle of a round, {database_url.partition(':')[0]}", tally)
