"""A wrong password is remembered by all workers and beyond a process: at the relay the account must not be locked."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from service.actions import lockout
from service.clock import stopped_at
from service.settings import Settings
from service.store.engine import Store
from service.wiring import Service
from tests.support.relay_script import Action
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import World, at, make_world


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    made = make_world(store, tmp_path)
    made.treat(made.client(), "2026-11-20")
    return made


def with_password(world: World, password: str) -> World:
    settings = world.service.settings.model_dump() | {"relay_username": "clinic", "relay_password": password}
    return World(Service(Settings.model_validate(settings), world.store), world.clinic)


def rounds(world: World, number: int) -> Counter[str]:
    """So many rounds five minutes apart, each of a process of its own. How often the relay was asked what."""
    asked: Counter[str] = Counter()

    def script(stage: str, _argument: str, _count: int) -> Action | None:
        asked[stage] += 1
        return None

    with ScriptedRelay(script, auth={"clinic": "right"}) as relay:
        for one in range(number):
            world.tick(relay, stopped_at(at("2026-11-21 10:00") + timedelta(minutes=5 * one)))
    return asked


def test_processes_that_follow_each_other_try_a_wrong_password_ten_times_in_all(world: World) -> None:
    assert rounds(with_password(world, "wrong"), 15)["auth"] == 10
    assert world.states()["day-01"] == "planned: relay_trouble"


def test_another_password_is_tried_at_once_and_what_it_sends_clears_the_count(world: World) -> None:
    rounds(with_password(world, "wrong"), 12)
    assert rounds(with_password(world, "right"), 1)["auth"] == 1
    assert world.states()["day-01"] == "sent"


def test_once_a_person_has_seen_it_work_the_same_password_is_tried_again(world: World) -> None:
    wrong = with_password(world, "wrong")
    rounds(wrong, 12)
    with world.store.write() as connection:
        lockout.forget(connection)
    assert rounds(wrong, 2)["auth"] == 2
