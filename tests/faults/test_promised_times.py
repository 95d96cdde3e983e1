"""The times that are promised, measured on real clocks by the relay's log, and held against nothing but the promise."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions.sending import BATCH
from service.domain.reminder import Reason
from service.store.tables import attempts, emails
from tests.faults.judging import Case, Tally
from tests.faults.test_killed import kill_in_the_middle
from tests.support.processes import Lines, relay_process, wait_for

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]
#: What is promised: a lost worker's rows go on within its lease and a minute; 99 of 100 go within a minute of their time.
A_MINUTE = timedelta(seconds=60)
#: Longer than one worker needs for a whole batch: else the other one takes over what waits while both are alive.
LEASE = timedelta(seconds=20)


@pytest.mark.slow
def test_what_a_killed_worker_held_goes_on_within_its_lease_and_a_minute(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str
) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.2") as port:
        case = case_of(BATCH, port, lease_seconds=str(LEASE.seconds), relay_session_timeout="15")
        with case.program:
            lost = case.program.start("worker")
            wait_for(lambda: case.states()["claimed"] + case.states()["sending"] > BATCH - 50, "one that holds all")
            other = case.program.start("worker").says("working")
            kill_in_the_middle(case, lost, 40)
            killed_at, before = datetime.now(UTC), len(case.copies())
            held = case.states()["claimed"]
            assert held > BATCH // 10, "it held hardly anything"
            wait_for(lambda: set(case.states()) == {"sent", "in_doubt"}, "the rest", seconds=120)
            other.stop()
            went_on = case.copies()[before:]
            assert len(went_on) >= held
            with case.store.read() as connection:
                rescue = sa.select(sa.func.max(attempts.c.ended_at))
                listed = connection.execute(rescue.where(attempts.c.outcome == Reason.WORKER_LOST)).scalar_one()
            case.program.tick(case.at(45))
        tally = case.judge()
    last = max(copy.at for copy in went_on) - killed_at
    assert last <= LEASE + A_MINUTE
    assert listed - killed_at <= LEASE + A_MINUTE
    words = f"killed with {held} rows, lease {LEASE.seconds} s, all gone after {last.total_seconds():.1f} s"
    told(f"{words}, {database_url.partition(':')[0]}", tally)


MAILS, OVER = 500, timedelta(seconds=120)


def fall_due(case: Case, begin: datetime) -> dict[str, datetime]:
    """Spread the mails over two minutes; address -> when it is due."""
    due = {address: begin + OVER * place / MAILS for place, address in enumerate(case.due)}
    with case.store.write() as connection:
        for address, at in due.items():
            mine = emails.c.id == case.due[address]
            connection.execute(sa.update(emails).where(mine).values(due_at=at, not_before=at))
    return due


@pytest.mark.slow
def test_99_of_100_go_within_a_minute_of_their_time_while_the_relay_is_well(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str
) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.02") as port:
        case = case_of(MAILS, port, lease_seconds="1200", relay_session_timeout="900")
        with case.program:
            fall_due(case, datetime.now(UTC) + timedelta(hours=1))
            worker = case.program.start("worker").says("working")
            due = fall_due(case, datetime.now(UTC) + timedelta(seconds=3))
            seen = Lines(case.log)
            wait_for(lambda: seen.count() >= MAILS, "the last mail", OVER.total_seconds() + 120)
            worker.stop()
        tally = case.judge()
    late = sorted(copy.at - due[copy.address] for copy in case.copies())
    assert (len(late), tally.twice) == (MAILS, 0)
    assert late[0] >= timedelta(0), "before its time"
    assert late[MAILS * 99 // 100 - 1] <= A_MINUTE
    shown = {name: late[place].total_seconds() for name, place in (("50", 249), ("99", 494), ("100", 499))}
    words = ", ".join(f"{name} % {seconds:.1f} s" for name, seconds in shown.items())
    told(f"{MAILS} due over {OVER.seconds} s, late by: {words}, {database_url.partition(':')[0]}", tally)
