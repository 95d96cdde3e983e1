"""A relay that loses replies, refuses everybody once, or does not answer a stopping worker, seen from outside."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.judging import Case, Tally
from tests.support.processes import relay_process, wait_for

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]


@pytest.mark.slow
def test_every_fifth_reply_is_lost(case_of: Cases, tmp_path: Path, told: Told, database_url: str) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--lose-every", "5") as port:
        case = case_of(200, port)
        with case.program:
            for minutes in (0, 45, 90):
                case.program.tick(case.at(minutes))
            tally = case.judge()
    assert tally.sent == 200
    assert 1 <= tally.twice <= 50
    told(f"every 5th reply to a message lost, {database_url.partition(':')[0]}", tally)


@pytest.mark.slow
def test_greylisting_delays_everybody_and_repeats_nothing(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str
) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--greylist") as port:
        case = case_of(200, port)
        with case.program:
            case.program.tick(case.at())
            assert case.copies() == []
            case.program.tick(case.at(7))
            tally = case.judge()
    assert (tally.sent, tally.twice) == (200, 0)
    told(f"greylisted once each, {database_url.partition(':')[0]}", tally)


@pytest.mark.slow
def test_a_relay_that_does_not_answer_a_stopping_worker_costs_only_what_was_being_said(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str
) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "60") as port:
        case = case_of(40, port, lease_seconds="1200", relay_session_timeout="900")
        with case.program:
            worker = case.program.start("worker")
            wait_for(lambda: case.states()["sending"] == 4, "four replies awaited")
            worker.send(signal.SIGTERM)
            assert worker.ended(45) == 0
            assert case.states() == {"sending": 4, "planned": 36}
            assert "did not answer in time" in worker.log.read_text("utf-8")
            wait_for(lambda: len(case.copies()) == 4, "the relay's log", 90)
    with relay_process(tmp_path / "relay.jsonl") as port, case.program:
        if not case.store.is_sqlite:
            case.let_leases_end()
        for minutes in (0, 45):
            case.program.tick(case.at(minutes), relay_port=str(port))
        tally = case.judge()
    assert (tally.sent, tally.twice) == (40, 4)
    told(f"a clean stop that the relay does not answer, {database_url.partition(':')[0]}", tally)
