"""On a day that the clinic marked as closed, its e-mails say what they say on a weekly closed day."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from service.actions import clinic_setup
from service.store import clinics
from service.store.clinics import Clinic
from service.store.engine import Store
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import World, at, make_world, text_of

# The clinic of these tests is open on Saturdays from 10 to 14, and never on Sundays.
SATURDAY, MONDAY = date(2026, 11, 21), date(2026, 11, 23)


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def changed(world: World, **fields: str) -> Clinic:
    with world.store.write() as connection:
        clinic_setup.change_clinic(connection, world.clinic, fields, world.who("2026-11-20 09:00"))
        world.clinic = clinics.get(connection, world.clinic.id)
    return world.clinic


def mails(world: World) -> list[str]:
    """What day 1 (a Saturday) and day 3 (a Monday) say."""
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
        world.tick(relay, "2026-11-23 10:00")
    return [text_of(message) for message in relay.log][-2:]


def test_mails_of_closed_days_say_so_and_others_do_not(world: World) -> None:
    changed(world, closed_days="2026-11-20..2026-11-21")
    day_1, day_3 = mails(world)
    assert "We are closed on Saturday 21 November." in day_1
    assert "We are closed" not in day_3


@pytest.mark.parametrize("fields", [{"closed_days": "2026-11-21"}, {"hours": "mon-fri 09:00-18:00"}], ids=str)
def test_a_closed_day_reads_as_a_weekly_one(world: World, fields: dict[str, str]) -> None:
    changed(world, **fields)
    said = mails(world)[0]
    without_hours = [line for line in said.splitlines() if not line.startswith("We are open")]
    assert without_hours.count("We are closed on Saturday 21 November.") == 1


def test_a_closed_day_counts_also_where_nobody_said_the_hours(world: World) -> None:
    clinic = changed(world, hours="", closed_days="2026-11-21")
    assert clinic.is_closed_on(SATURDAY)
    assert not clinic.is_closed_on(MONDAY)
    assert not clinic.is_closed_at(at("2026-11-23 03:00"))
    assert clinic.is_closed_at(at("2026-11-21 12:00"))


def test_closed_now_is_by_the_clinics_own_day_and_clock(world: World) -> None:
    clinic = changed(world, closed_days="2026-11-23", timezone="America/New_York")
    assert clinic.is_closed_at(at("2026-11-23 15:00"))
    assert not clinic.is_closed_at(at("2026-11-24 15:00"))
    assert clinic.is_closed_at(at("2026-11-24 13:59"))
    assert not clinic.is_closed_at(at("2026-11-24 14:00"))
