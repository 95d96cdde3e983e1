"""What is foreseen is what is then written: same days, same states, same reasons."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.actions import revise
from service.actions.foresee import Foreseen, Given, foresee
from service.domain.reminder import Reason, State
from service.errors import BadInput, NotAllowed, NotFound
from service.store import clients
from service.store.clients import Dead
from service.store.engine import Store
from tests.support.world import SMP, TATTOO, World, another_clinic, at, make_world

FRIDAY = "2026-11-20 16:40"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def seen(world: World, on: str = "2026-11-20", now: str = FRIDAY, protocol: str = SMP, **more: Any) -> Foreseen:
    what = Given(world.service.catalogue.protocols[protocol], date.fromisoformat(on), **more)
    with world.store.read() as connection:
        return foresee(connection, world.clinic, what, at(now))


def test_a_visit_today_gives_three_days_at_the_clinics_hour(world: World) -> None:
    plan = seen(world)
    assert [one.due_at for one in plan.steps] == [
        at("2026-11-21 10:00"),
        at("2026-11-23 10:00"),
        at("2026-11-30 10:00"),
    ]
    assert {one.state for one in plan.steps} == {State.PLANNED}
    assert (plan.replaces, plan.client, plan.others, plan.known, plan.call, plan.withheld) == ((), None, (), None, False, None)  # fmt: skip


def test_a_second_visit_says_what_it_replaces(world: World) -> None:
    client_id = world.client("Karim Haddad")
    world.treat(client_id, "2026-11-13", now="2026-11-13 16:00")
    plan = seen(world, client_id=client_id)
    assert [(one.day, one.treated_on, one.due_at) for one in plan.replaces] == [
        (1, date(2026, 11, 13), at("2026-11-14 10:00")),
        (3, date(2026, 11, 13), at("2026-11-16 10:00")),
        (10, date(2026, 11, 13), at("2026-11-23 10:00")),
    ]


def test_an_older_visit_is_told_that_a_newer_one_took_over(world: World) -> None:
    client_id = world.client("Karim Haddad")
    world.treat(client_id, "2026-11-20")
    plan = seen(world, on="2026-11-19", client_id=client_id)
    assert {(one.state, one.reason) for one in plan.steps} == {(State.CANCELLED, Reason.SUPERSEDED)}
    assert plan.replaces == ()


def test_a_late_registration_says_what_comes_late_what_not_and_that_somebody_is_to_phone(world: World) -> None:
    plan = seen(world, on="2026-11-18")
    first, third, _ = plan.steps
    assert (first.state, first.reason) == (State.MISSED, Reason.REGISTERED_LATE)
    assert (third.state, third.due_at) == (State.PLANNED, at("2026-11-21 10:00"))
    assert plan.call
    assert not seen(world, on="2026-10-01").call


def test_the_same_person_is_known_by_name_and_address_whatever_their_case(world: World) -> None:
    client_id = world.client("Karim Haddad", "karim@example.com")
    planned = world.treat(client_id, "2026-11-20")
    plan = seen(world, name="KARIM  haddad", email="Karim@example.com")
    assert plan.client is not None
    assert plan.client["id"] == client_id
    assert (plan.known, plan.replaces) == (planned.treatment_id, ())
    assert plan.others == ()


def test_others_with_the_same_address_are_named(world: World) -> None:
    world.client("Kim Day", "mum@example.com")
    world.client("Lou Day", "mum@example.com")
    assert seen(world, name="Ada Day", email="Mum@example.com").others == ("Kim Day", "Lou Day")
    assert seen(world, name="Lou Day", email="mum@example.com").others == ("Kim Day",)


def test_another_clinics_people_are_nobody(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    theirs = other.client("Karim Haddad", "karim@example.com")
    plan = seen(world, name="Karim Haddad", email="karim@example.com")
    assert (plan.client, plan.others) == (None, ())
    with pytest.raises(NotFound):
        seen(world, client_id=theirs)


def test_what_will_not_be_sent_is_said_before(world: World) -> None:
    client_id = world.client("Karim Haddad", "karim@example.com")
    with world.store.write() as connection:
        revise.stop(connection, world.clinic, client_id, world.who(FRIDAY))
        clients.suppress(connection, Dead(world.clinic.id, "dead@example.com", "test"), at(FRIDAY))
    assert seen(world, client_id=client_id).withheld == Reason.STOPPED
    plan = seen(world, name="Ada", email="dead@example.com")
    assert plan.withheld == Reason.SUPPRESSED
    assert {one.state for one in plan.steps} == {State.CANCELLED}


def test_somebody_who_agrees_now_is_written_to(world: World) -> None:
    client_id = world.client("Karim Haddad", consent=False)
    assert seen(world, client_id=client_id).withheld == Reason.NO_CONSENT
    assert seen(world, client_id=client_id, agreed=1).withheld is None
    with world.store.write() as connection:
        revise.pause(connection, world.clinic, client_id, world.who(FRIDAY))
    assert seen(world, client_id=client_id, agreed=1).withheld == Reason.PAUSED


def test_a_day_that_cannot_be_and_a_client_who_is_forgotten_are_refused(world: World) -> None:
    with pytest.raises(BadInput, match="in the future"):
        seen(world, on="2026-11-21")
    client_id = world.client("Karim Haddad")
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, client_id, world.who(FRIDAY))
    with pytest.raises(NotAllowed, match="erased"):
        seen(world, client_id=client_id)


def test_the_digest_is_of_what_was_seen(world: World) -> None:
    base = seen(world, name="Karim", email="k@example.com")
    assert seen(world, name="Karim", email="k@example.com", now="2026-11-20 16:45").digest == base.digest
    others = [
        seen(world, name="Karim", email="k2@example.com"),
        seen(world, name="Ada", email="k@example.com"),
        seen(world, name="Karim", email="k@example.com", on="2026-11-19"),
        seen(world, name="Karim", email="k@example.com", protocol=TATTOO),
        seen(world, name="Karim", email="k@example.com", now="2026-11-23 16:45"),
    ]
    assert base.digest not in {one.digest for one in others}


visits = st.lists(st.tuples(st.sampled_from([SMP, TATTOO]), st.integers(0, 20)), min_size=1, max_size=4, unique=True)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visits=visits, state=st.sampled_from(["", "stop", "pause"]))
def test_what_is_written_is_what_was_foreseen(world: World, visits: list[tuple[str, int]], state: str) -> None:
    client_id = world.client(f"Sam {len(world.rows())}")
    if state:
        with world.store.write() as connection:
            getattr(revise, state)(connection, world.clinic, client_id, world.who(FRIDAY))
    for protocol, days in visits:
        on = (date(2026, 11, 20) - timedelta(days=days)).isoformat()
        plan = seen(world, on=on, protocol=protocol, client_id=client_id)
        planned = world.treat(client_id, on, now=FRIDAY, protocol=protocol)
        written = [(row["step"], row["due_at"], row["state"], row["reason"]) for row in planned.rows]
        assert [(one.step, one.due_at, one.state, one.reason) for one in plan.steps] == written
