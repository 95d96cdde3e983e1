"""kill -9 in the middle of sending, then again: everything arrives, at most twice, and what went twice is listed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.evidence import open_second_clinic
from tests.faults.judging import Case, Tally
from tests.support.processes import Process, relay_process, wait_for

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]


def kill_in_the_middle(case: Case, worker: Process, sent: int) -> None:
    """Kill a worker that has sent at least `sent` mails while the fate of at least one more is open."""

    def sending() -> bool:
        if len(case.copies()) < sent:
            return False
        worker.freeze()
        if case.states()["sending"]:
            return True
        worker.send(signal.SIGCONT)
        return False

    wait_for(sending, "a message whose fate is open")
    worker.kill()


def run_and_kill(case: Case, sent: int) -> None:
    """A killed run, a second at once, a third when the rows in doubt may be repeated."""
    kill_in_the_middle(case, case.program.start("tick", "--until-idle", "--now", case.at()), sent)
    left = case.states()
    assert left["sending"], "no fate was open"
    assert left["planned"] + left["claimed"], "it was killed when all was done"
    if not case.store.is_sqlite:
        wait_for(case.leases_are_over, "the end of the dead worker's lease")
    case.program.tick(case.at())
    assert set(case.states()) == {"sent", "in_doubt"}
    case.program.tick(case.at(31))
    assert set(case.states()) <= {"sent", "unconfirmed"}


def test_a_killed_worker_loses_no_mail_and_repeats_only_what_was_in_doubt(case_of: Cases, tmp_path: Path) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.05") as port:
        case = case_of(100, port)
        open_second_clinic(case.store, case.now)
        run_and_kill(case, sent=30)
        tally = case.judge()
    assert tally.sent == 100


@pytest.mark.slow
def test_2000_mails_into_a_slow_relay_with_a_kill_in_the_middle(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str
) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.05") as port:
        case = case_of(2000, port, relay_connections="8", lease_seconds="30", relay_session_timeout="20")
        run_and_kill(case, sent=1000)
        tally = case.judge()
    assert tally.sent == 2000
    told(f"kill -9 in the middle of 2,000, {database_url.partition(':')[0]}", tally)
