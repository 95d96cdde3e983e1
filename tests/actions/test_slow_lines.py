"""A relay that ponders over one recipient (an address check at the other end, say) holds up nobody else."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.actions.deliver import Delivery
from service.actions.upkeep import WorkerLock
from service.clock import Clock, stopped_at
from service.store.engine import Store
from service.store.tables import emails
from tests.support.builders import at
from tests.support.relay_script import Hang, recipients
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import World, make_world

DAY_1 = "2026-11-21 10:00"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> Iterator[World]:
    # Should a round wait for the slow one after all, it ends after half a minute, and the test is red.
    made = make_world(store, tmp_path, relay_reply_timeout=30)
    lock = WorkerLock(made.service.locks, "w1")  # it lives: its rows are its own
    yield made
    lock.close()


def impatient(world: World, relay: ScriptedRelay, connections: int) -> Delivery:
    delivery = world.delivery(relay)
    delivery.rules = dataclasses.replace(delivery.rules, patience=0.0, connections=connections)
    return delivery


def state_of(world: World, client: int) -> str:
    return str(world.rows(emails.c.client_id == client)[0].state)


async def until_asked(delivery: Delivery, relay: ScriptedRelay, clock: Clock) -> None:
    """Rounds until the relay has heard of a recipient."""
    while not relay.counts["rcpt"]:
        await delivery.round(clock)


def test_who_comes_after_a_slow_recipient_is_sent_while_that_one_is_still_pondered_over(world: World) -> None:
    slow, quick = world.client("Slow Hand"), world.client("Ann Quick")
    world.treat(slow, "2026-11-20")

    async def run(delivery: Delivery, relay: ScriptedRelay) -> None:
        clock = stopped_at(at(DAY_1))
        await until_asked(delivery, relay, clock)
        world.treat(quick, "2026-11-20")
        while state_of(world, quick) != "sent":  # the relay's log is ahead of what is recorded: it does not end this
            await delivery.round(clock)
        assert state_of(world, slow) == "claimed"
        await delivery.cut()

    with ScriptedRelay(recipients({"slow@example.com": Hang()})) as relay:
        asyncio.run(run(impatient(world, relay, 2), relay))
    assert state_of(world, slow) == "planned"
    assert [said.rcpt_to for said in relay.log] == [("ann@example.com",)]


def test_lines_that_are_kept_waiting_count_among_the_connections_and_upkeep_goes_on(world: World) -> None:
    slow, quick, late = world.client("Slow Hand"), world.client("Ann Quick"), world.client("Lou Late")
    world.treat(slow, "2026-11-20")

    async def run(delivery: Delivery, relay: ScriptedRelay) -> None:
        await until_asked(delivery, relay, stopped_at(at(DAY_1)))
        world.treat(quick, "2026-11-20")
        world.treat(late, "2026-11-20")
        counts = await delivery.round(stopped_at(at("2026-11-24 10:00")))  # day 1 is over by then
        assert (counts["missed"], counts["claimed"]) == (2, 0)
        assert relay.connections == 1
        await delivery.cut()

    with ScriptedRelay(recipients({"slow@example.com": Hang()})) as relay:
        asyncio.run(run(impatient(world, relay, 1), relay))
    assert relay.log == []
