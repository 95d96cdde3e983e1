"""What slows sending down on purpose: the gap between two reminders, the relay's minute, a clinic's day."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions import clinic_setup, hello
from service.actions.survey import look
from service.clock import stopped_at
from service.domain.reminder import State
from service.errors import BadInput
from service.store import clinics
from service.store.engine import Store, database_clock
from service.store.pace import room, take
from service.store.tables import emails, paces, treatments
from service.store.watch import standing
from tests.support.scripted_relay import Reply, ScriptedRelay
from tests.support.scripted_relay import at as when
from tests.support.world import TATTOO, World, at, make_world

DAY_1 = "2026-11-21 10:00"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


@pytest.fixture
def relay() -> Iterator[ScriptedRelay]:
    with ScriptedRelay() as running:
        yield running


def treated_twice(world: World, second_on: str = "2026-11-20") -> int:
    """A client with two treatments of different areas, so that neither replaces the other."""
    client = world.client()
    world.treat(client, "2026-11-20")
    with world.store.write() as connection:
        connection.execute(sa.update(treatments).values(area="arm"))
    world.treat(client, second_on, protocol=TATTOO)
    return client


def set_cap(world: World, cap: str) -> None:
    with world.store.write() as connection:
        clinic_setup.change_clinic(connection, world.clinic, {"daily_cap": cap}, world.who("2026-11-20 16:00"))


# --- the gap


def test_two_reminders_of_one_client_due_together_go_twelve_hours_apart(world: World, relay: ScriptedRelay) -> None:
    treated_twice(world)
    world.tick(relay, DAY_1)
    assert len(relay.log) == 1
    waiting = world.rows(emails.c.step == "day-01", emails.c.state == State.PLANNED)
    assert [(row.reason, row.not_before) for row in waiting] == [("gap", at("2026-11-21 22:00"))]
    world.tick(relay, "2026-11-21 21:59")
    assert len(relay.log) == 1
    world.tick(relay, "2026-11-21 22:00")
    assert len(relay.log) == 2
    assert all(row.attempts == 1 for row in world.rows(emails.c.step == "day-01"))


def test_a_reminder_that_would_be_out_of_date_after_the_gap_goes_at_once(world: World, relay: ScriptedRelay) -> None:
    treated_twice(world)
    world.tick(relay, "2026-11-22 09:00")  # both are useful until 12:00
    assert len(relay.log) == 2


def test_a_hello_neither_makes_a_reminder_wait_nor_waits_itself(world: World, relay: ScriptedRelay) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    for now in ("2026-11-21 09:59", "2026-11-21 10:01"):
        with world.store.write() as connection:
            hello.say_hello(connection, world.clinic, client, at(now))
        world.tick(relay, now)
    assert len(relay.log) == 3


def test_a_retry_does_not_wait_for_the_gap(world: World) -> None:
    treated_twice(world)
    with ScriptedRelay(when("rcpt", Reply(451, "4.7.1 come back later"), only=1)) as relay:
        world.tick(relay, DAY_1)  # the other one goes
        world.tick(relay, "2026-11-21 10:10")
    assert len(relay.log) == 2


# --- the relay's minute


def test_no_more_go_in_a_minute_than_the_relay_allows_and_the_rest_waits(
    store: Store, tmp_path: Path, relay: ScriptedRelay
) -> None:
    world = make_world(store, tmp_path, relay_per_minute=3)
    for number in range(5):
        world.treat(world.client(f"Client{number} Reed"), "2026-11-20")
    counts = asyncio.run(world.delivery(relay).tick(stopped_at(at(DAY_1))))
    assert (len(relay.log), counts["paced"]) == (3, 2)
    assert asyncio.run(world.delivery(relay, "w2").tick(stopped_at(at(DAY_1))))["sent"] == 0
    assert len(relay.log) == 3
    with store.write() as connection:  # the minute passes
        connection.execute(sa.update(paces).values(at=database_clock(-70)))
    asyncio.run(world.delivery(relay).tick(stopped_at(at(DAY_1))))
    assert len(relay.log) == 5
    assert {row.attempts for row in world.rows(emails.c.step == "day-01")} == {1}


def test_the_minute_is_counted_at_the_mark_whoever_claimed_how_much(
    store: Store, tmp_path: Path, relay: ScriptedRelay
) -> None:
    world = make_world(store, tmp_path, relay_per_minute=4)
    for number in range(4):
        world.treat(world.client(f"Client{number} Reed"), "2026-11-20")
    delivery = world.delivery(relay)
    with store.write() as connection:
        assert take(connection, 2, 4) == 2
        assert room(connection, 4) == 2
    delivery.rules = replace(delivery.rules, per_minute=3)
    asyncio.run(delivery.tick(stopped_at(at(DAY_1))))
    assert len(relay.log) == 1
    with store.write() as connection:
        assert take(connection, 5, 3) == 0
    assert {row.state for row in world.rows(emails.c.step == "day-01")} == {"sent", "planned"}


# --- a clinic's day


def test_a_clinics_daily_limit_stops_a_runaway_and_goes_on_the_next_day(world: World, relay: ScriptedRelay) -> None:
    set_cap(world, "2")
    for number in range(4):
        world.treat(world.client(f"Client{number} Reed"), "2026-11-20")
    world.tick(relay, DAY_1)
    assert len(relay.log) == 2
    waiting = world.rows(emails.c.step == "day-01", emails.c.state == State.PLANNED)
    assert {(row.reason, row.attempts) for row in waiting} == {("daily_cap", 0)}
    world.tick(relay, "2026-11-21 23:00")
    assert len(relay.log) == 2
    world.tick(relay, "2026-11-22 10:00")
    assert len(relay.log) == 4


def test_a_used_up_day_is_told_until_it_is_over(world: World, relay: ScriptedRelay) -> None:
    set_cap(world, "1")
    for number in range(2):
        world.treat(world.client(f"Client{number} Reed"), "2026-11-20")
    world.tick(relay, DAY_1)

    def open_alerts(now: str) -> list[str]:
        with world.store.write() as connection:
            look(connection, at(now), standing(connection))
            return list(standing(connection))

    key = f"cap:{world.clinic.id}"
    assert key in open_alerts("2026-11-21 10:05")
    assert key in open_alerts("2026-11-21 10:06")
    assert key not in open_alerts("2026-11-22 10:05")


def test_one_clinics_limit_is_nothing_to_another(world: World, relay: ScriptedRelay) -> None:
    set_cap(world, "1")
    with world.store.write() as connection:
        other = clinic_setup.add_clinic(
            connection,
            world.service.catalogue,
            {"name": "Southgate", "timezone": "Europe/London", "phone": "01632 960 002", "reply_to": "d@s.example.com",
             "emergency_number": "999", "urgent_line_name": "NHS 111", "urgent_line_number": "111"},
            world.who("2026-01-01 00:00"),
        )  # fmt: skip
    south = World(world.service, other)
    for number in range(2):
        world.treat(world.client(f"North{number} Reed"), "2026-11-20")
        south.treat(south.client(f"South{number} Reed"), "2026-11-20")
    world.tick(relay, DAY_1)
    assert len(relay.log) == 3


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1.5", "1000001", "١"])
def test_a_daily_limit_that_is_no_number_of_mails_is_refused(world: World, wrong: str) -> None:
    with pytest.raises(BadInput) as refused:
        set_cap(world, wrong)
    assert refused.value.field == "daily_cap"


def test_a_daily_limit_can_be_taken_away(world: World) -> None:
    set_cap(world, "5")
    set_cap(world, "")
    with world.store.read() as connection:
        assert clinics.get(connection, world.clinic.id).daily_cap is None
