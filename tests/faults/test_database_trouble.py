"""The database fails in the middle of a round: nothing hangs, no accepted mail is forgotten, none is sent unmarked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions import sending
from service.actions.prepare import Preparer
from service.clock import stopped_at
from service.domain.reminder import Reason, State
from service.errors import Unavailable
from service.store import ledger
from service.store.engine import Store, database_clock
from service.store.outbox import ClaimedEmail, Lease
from service.store.tables import attempts, calls, emails
from tests.support.processes import wait_for
from tests.support.scripted_relay import Delay, ScriptedRelay
from tests.support.scripted_relay import at as when
from tests.support.world import World, at, make_world

NOW = "2026-11-21 10:00"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> Iterator[World]:
    """Whatever a test does to it, `check` finds no promise broken afterwards."""
    made = make_world(store, tmp_path)
    yield made
    assert made.red(NOW) == []


def planned(world: World, number: int) -> None:
    for count in range(number):
        world.treat(world.client(f"Client{count} X"), "2026-11-20")


def refuse_attempts_of(world: World, email_id: int) -> None:
    """From now on the database refuses every attempt of one e-mail, as a broken constraint would."""
    with world.store.write() as connection:
        if world.store.is_sqlite:
            connection.exec_driver_sql(
                f"CREATE TRIGGER refused BEFORE INSERT ON attempts WHEN NEW.email_id = {email_id} "
                "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        else:
            connection.exec_driver_sql(f"ALTER TABLE attempts ADD CONSTRAINT refused CHECK (email_id <> {email_id})")


def states(world: World) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in world.rows(emails.c.step == "day-01"):
        found[row.state] = found.get(row.state, 0) + 1
    return found


def test_an_outcome_the_database_refuses_hangs_nobody_and_costs_no_other_mail(world: World) -> None:
    planned(world, 8)
    poison = world.rows(emails.c.step == "day-01")[3].id
    refuse_attempts_of(world, poison)
    with ScriptedRelay() as relay:
        delivery = world.delivery(relay)

        async def bounded() -> None:
            async with asyncio.timeout(20):
                await delivery.tick(stopped_at(at(NOW)))

        asyncio.run(bounded())
        assert len(relay.log) == 8
    # Its 250 could not be written: it stays what the mark made it, and the rescue will list it.
    assert states(world) == {"sent": 7, "sending": 1}


@dataclass
class FailingPreparer(Preparer):
    """Its second claim finds the database gone."""

    claims: int = 0

    def claim(self, connection: sa.Connection, ids: Sequence[int], lease: Lease, now: datetime) -> list[ClaimedEmail]:
        self.claims += 1
        if self.claims == 2:
            raise Unavailable("gone", field="AFTERCARE_DATABASE_URL", next_step="none")
        return super().claim(connection, ids, lease, now)


def test_a_claim_that_fails_forgets_no_reply_and_holds_no_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "BATCH", 8)
    planned(world, 16)
    with ScriptedRelay(when("dot", Delay(0.3))) as relay:
        delivery = world.delivery(relay)
        usual = delivery.preparer
        delivery.preparer = FailingPreparer(usual.shelf, usual.writer)
        with pytest.raises(Unavailable):
            world.tick(relay, NOW, delivery)
        relay.wait_until_alone()
        sent = len(relay.log)
    assert sent >= 1
    assert states(world) == {"sent": sent, "planned": 16 - sent}
    assert not world.rows(emails.c.lease_token.is_not(None))


def test_a_round_that_is_cut_gives_back_what_it_did_not_begin(world: World) -> None:
    planned(world, 12)
    with ScriptedRelay(when("dot", Delay(30))) as relay:
        delivery = world.delivery(relay)

        async def cut() -> None:
            round_ = asyncio.create_task(delivery.tick(stopped_at(at(NOW))))
            async with asyncio.timeout(20):
                await asyncio.to_thread(wait_for, lambda: relay.counts["dot"] == 4, "four replies awaited")
            round_.cancel()
            async with asyncio.timeout(20):
                await asyncio.gather(round_, return_exceptions=True)

        asyncio.run(cut())
    assert states(world) == {"sending": 4, "planned": 8}


def test_a_mark_renews_the_lease_so_that_it_outlives_the_conversation(world: World) -> None:
    """Rows of a batch wait for their turn; the lease of the last must not be over while it is being said."""
    planned(world, 1)
    row = emails.c.step == "day-01"
    seen: list[bool] = []

    def script(stage: str, _argument: str, _count: int) -> None:
        if stage == "mail":  # the row has waited for nearly all of its lease
            with world.store.write() as connection:
                connection.execute(sa.update(emails).where(row).values(lease_until=database_clock(1)))
        elif stage == "dot":
            with world.store.read() as connection:
                long = sa.select(emails.c.id).where(row, emails.c.lease_until > database_clock(600))
                seen.append(connection.execute(long).first() is not None)

    with ScriptedRelay(script) as relay:
        world.tick(relay, NOW)
    assert seen == [True]


def test_a_late_refusal_by_a_lost_worker_changes_nothing_and_calls_nobody(world: World) -> None:
    """The row was taken away and sent by another: what the first one heard later is evidence, not news."""
    planned(world, 1)
    with ScriptedRelay() as relay:
        world.tick(relay, NOW)
    row = world.rows(emails.c.step == "day-01")[0]
    late = ledger.Outcome(
        id=row.id,
        clinic_id=row.clinic_id,
        client_id=row.client_id,
        kind=row.kind,
        token="old",
        worker="lost",
        claimed_at=at(NOW),
        marked_at=at(NOW),
        ended_at=at(NOW),
        state=State.FAILED,
        reason=Reason.REFUSED,
        not_before=None,
        attempts=1,
        thaw=True,
        outcome="failed",
        stage="message",
        code=554,
    )
    with world.store.write() as connection:
        ledger.record(connection, [late])
    assert world.states()["day-01"] == "sent"
    with world.store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(calls)).scalar_one() == 0
        assert connection.execute(sa.select(attempts.c.token, attempts.c.outcome)).all()[-1] == ("old", "failed")
