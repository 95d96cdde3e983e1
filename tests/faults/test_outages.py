"""Hours and days in which the relay takes nothing: nobody fails for it, and nothing out of date is sent afterwards.

The rounds run in this process, so that days pass in seconds; the relay is a real one or none.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions.deliver import Delivery
from service.clock import SteppedClock
from service.store.tables import calls, emails
from tests.faults.judging import Case, Tally
from tests.faults.working import worker_of
from tests.support.processes import free_port
from tests.support.relay_script import Action
from tests.support.scripted_relay import ScriptedRelay

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]
#: More often than the breaker probes.
ROUND = timedelta(seconds=20)


def rounds(case: Case, delivery: Delivery, clock: SteppedClock, until: datetime, every: timedelta = ROUND) -> None:
    """Round after round until `until`."""

    async def run() -> None:
        while clock() < until:
            case.program.clock.says(clock())
            await delivery.until_idle(clock)
            clock.advance(every)

    asyncio.run(run())


@pytest.mark.slow
def test_a_wrong_password_for_an_hour_costs_nobody_an_attempt_and_does_not_lock_us_out(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str
) -> None:
    tries: list[datetime] = []
    clock: SteppedClock | None = None

    def script(stage: str, _argument: str, _count: int) -> Action | None:
        if stage == "auth":
            assert clock is not None
            tries.append(clock())
        return None

    with ScriptedRelay(script, auth={"clinic": "right"}, log_file=tmp_path / "relay.jsonl") as relay:
        case = case_of(50, relay.port, relay_username="clinic", relay_password="wrong")
        clock = SteppedClock(case.now)
        with case.program:
            rounds(case, worker_of(case), clock, case.now + timedelta(hours=1))
            assert case.states() == {"planned": 50}
            assert {row.attempts for row in case.rows()} == {0}
            assert case.copies() == []
            # A relay locks an account after some wrong tries: they stop until the settings change.
            assert 2 <= len(tries) <= 10
            assert all(later - one >= timedelta(minutes=1) for one, later in itertools.pairwise(tries))
            rounds(case, worker_of(case, relay_password="right"), clock, clock() + ROUND)
            tally = case.judge(at=90)
    assert (tally.sent, tally.twice) == (50, 0)
    told(f"wrong password for an hour, {database_url.partition(':')[0]}", tally)


@pytest.mark.slow
def test_ten_days_without_a_relay_miss_what_is_stale_and_owe_each_client_one_note(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str
) -> None:
    accepted: list[tuple[str, datetime]] = []
    clock: SteppedClock | None = None

    def script(stage: str, argument: str, _count: int) -> Action | None:
        if stage == "dot":
            assert clock is not None
            accepted.append((argument, clock()))
        return None

    port = free_port()
    case = case_of(30, port)
    clock = SteppedClock(case.now)
    with case.program:
        delivery = worker_of(case)
        # Every 10 minutes for some hours, then hourly: ten days.
        rounds(case, delivery, clock, case.now + timedelta(hours=6), timedelta(minutes=10))
        rounds(case, delivery, clock, case.now + timedelta(days=10), timedelta(hours=1))
        with case.store.read() as connection:
            stale = set(connection.execute(sa.select(emails.c.id).where(emails.c.useful_until <= clock())).scalars())
            spent = connection.execute(sa.select(emails.c.state, emails.c.attempts).distinct()).all()
        assert {state for state, _ in spent} <= {"planned", "missed"}
        assert {attempts for _, attempts in spent} == {0}
        with ScriptedRelay(script, port=port, log_file=tmp_path / "relay.jsonl"):
            rounds(case, delivery, clock, clock() + timedelta(days=4), timedelta(hours=1))
        tally = case.judge(at=14 * 24 * 60 + 120, everything=True)
        _nothing_was_late(case, accepted)
        _each_client_was_told(case, stale)
    assert tally.twice == 0
    told(f"no relay for 10 days, {database_url.partition(':')[0]}", tally)


def _nothing_was_late(case: Case, accepted: list[tuple[str, datetime]]) -> None:
    with case.store.read() as connection:
        rows = {row.message_id: row for row in connection.execute(sa.select(emails))}
    for message_id, at in accepted:
        row = rows[message_id]
        assert row.due_at <= at < row.useful_until, f"e-mail {row.id} ({row.step}) went at {at}"


def _each_client_was_told(case: Case, stale: set[int]) -> None:
    """Every stale reminder has a call, and no client got more than one note for the outage."""
    with case.store.read() as connection:
        called = set(connection.execute(sa.select(calls.c.email_id)).scalars())
        rows = connection.execute(sa.select(emails)).all()
    missed = [row for row in rows if row.id in stale and row.state == "missed" and row.kind == "reminder"]
    assert missed
    assert {row.id for row in missed} <= called
    notes = Counter(row.client_id for row in rows if row.kind == "catch_up" and row.state == "sent")
    assert notes
    assert set(notes.values()) == {1}
