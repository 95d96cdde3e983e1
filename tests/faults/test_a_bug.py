"""A bug that one e-mail meets after its mark: it costs that e-mail its answer, and nobody gets a third copy."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.actions.prepare import Preparer
from service.clock import stopped_at
from service.store.engine import Store
from service.store.outbox import ClaimedEmail
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import World, at, make_world

DAY_1 = ("2026-11-21 10:00", "2026-11-21 10:45", "2026-11-21 11:30", "2026-11-21 12:15")


@pytest.fixture
def world(store: Store, tmp_path: Path) -> Iterator[World]:
    """Whatever a test does to it, `check` finds no promise broken afterwards."""
    made = make_world(store, tmp_path)
    yield made
    assert made.red(DAY_1[-1]) == []


@dataclass
class RaisingPreparer(Preparer):
    """Raises for every e-mail once the relay has taken it."""

    def covers(self, row: ClaimedEmail) -> tuple[str, ...]:
        raise LookupError(row.id)


def test_a_bug_after_the_mark_repeats_a_mail_once_at_most_and_not_at_once(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay() as relay:
        delivery = world.delivery(relay)
        usual = delivery.preparer
        delivery.preparer = RaisingPreparer(usual.shelf, usual.writer)
        copies = []
        for now in DAY_1:
            asyncio.run(delivery.tick(stopped_at(at(now))))
            asyncio.run(delivery.tick(stopped_at(at(now))))
            copies.append(len(relay.log))
    assert copies == [1, 2, 2, 2]
    assert world.states()["day-01"].startswith("unconfirmed")
