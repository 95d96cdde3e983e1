from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import register, revise
from service.actions.register import NewClient, NewTreatment
from service.errors import BadInput, NotFound
from service.store import audit, clients
from service.store.engine import Store
from service.store.tables import audit as audit_lines
from service.store.tables import calls, emails, suppressions, treatments
from tests.support.builders import all_calls
from tests.support.world import SMP, TATTOO, World, another_clinic, at, make_world


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def calls_of(world: World) -> list[tuple[int | None, str, str]]:
    with world.store.read() as connection:
        return all_calls(connection)


def plan_of(world: World, treatment_id: int) -> dict[str, str]:
    """step -> state: reason, of one treatment."""
    return {
        row.step: f"{row.state}: {row.reason}" if row.reason else row.state
        for row in world.rows(emails.c.treatment_id == treatment_id)
    }


PLANNED = {"day-01": "planned", "day-03": "planned", "day-10": "planned"}
SUPERSEDED = dict.fromkeys(PLANNED, "cancelled: superseded")


# --- clients


def test_a_client_is_stored_as_cleaned_with_consent_of_today_by_whoever_registers(world: World) -> None:
    client_id = world.client(" Sam  Reed ", "Sam@Example.com", phone="01632 960 002", language="EN-gb")
    with world.store.read() as connection:
        client = clients.get(connection, world.clinic.id, client_id)
    assert (client["name"], client["name_folded"]) == ("Sam Reed", "sam reed")
    assert (client["email"], client["email_folded"]) == ("Sam@example.com", "sam@example.com")
    assert (client["phone"], client["language"], client["state"]) == ("01632 960 002", "en-GB", "active")
    assert (client["consent_on"], client["consent_by"]) == (date(2026, 11, 20), "test")


def test_a_client_speaks_the_clinics_language_unless_said_otherwise(world: World) -> None:
    with world.store.read() as connection:
        assert clients.get(connection, world.clinic.id, world.client())["language"] == "en"


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "Sam\nReed"}, "name"),
        ({"email": "sam"}, "email"),
        ({"phone": "call me"}, "phone"),
        ({"language": "english!"}, "language"),
        ({"client_ref": "x" * 101}, "client_ref"),
        ({"guardian": "a\x00b"}, "guardian"),
        ({"consent_on": date(2026, 11, 21)}, "consent_on"),
    ],
)
def test_a_wrong_value_is_refused_by_its_field(world: World, more: dict[str, Any], field: str) -> None:
    given = NewClient(**({"name": "Sam Reed", "email": "sam@example.com"} | more))
    with pytest.raises(BadInput) as refusal, world.store.write() as connection:
        register.add_client(connection, world.clinic, given, "test", at("2026-11-20 16:00"))
    assert refusal.value.field == field


def test_the_same_person_is_refused_and_named(world: World) -> None:
    first = world.client("Sam Reed", "sam@example.com")
    with pytest.raises(BadInput, match=f"client {first} is already this person"):
        world.client("SAM  reed", "SAM@example.com")
    referred = world.client("Kim Lee", "kim@example.com", client_ref="A1")
    with pytest.raises(BadInput, match=f"client {referred} is already this person") as refusal:
        world.client("Kim Other", "other@example.com", client_ref="A1")
    assert refusal.value.field == "client_ref"


def test_two_people_may_share_an_address_and_two_clinics_a_person(world: World) -> None:
    world.client("Sam Reed", "family@example.com")
    world.client("Kim Reed", "family@example.com")
    another_clinic(world, name="Southgate").client("Sam Reed", "family@example.com")


# --- treatments


def test_registering_a_treatment_twice_changes_nothing_and_answers_its_plan(world: World) -> None:
    client_id = world.client()
    first = world.treat(client_id, "2026-11-20")
    before = world.rows()
    again = world.treat(client_id, "2026-11-20", now="2026-11-25 09:00")
    assert (first.created, again.created) == (True, False)
    assert again.treatment_id == first.treatment_id
    assert [dict(row) for row in again.rows] == [dict(row) for row in first.rows]
    assert world.rows() == before
    assert plan_of(world, first.treatment_id) == PLANNED


def test_the_same_treatment_registered_by_many_at_once_is_one(world: World) -> None:
    client_id = world.client()
    with ThreadPoolExecutor(4) as threads:
        done = [running.result() for running in [threads.submit(world.treat, client_id, "2026-11-20") for _ in "1234"]]
    assert len({planned.treatment_id for planned in done}) == 1
    assert [planned.created for planned in done].count(True) == 1
    assert len(world.rows()) == 3


def test_many_desks_that_register_at_once_do_not_wait_for_each_other_for_ever(world: World) -> None:
    people = [world.client(name) for name in ("Ann", "Bo", "Cleo", "Dee")]

    def register_five(client_id: int) -> None:
        for day in range(5):
            world.treat(client_id, f"2026-11-{15 + day}")

    with ThreadPoolExecutor(4) as threads:
        for running in [threads.submit(register_five, client_id) for client_id in people]:
            running.result()
    with world.store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(treatments)).scalar_one() == 20
        assert audit.broken_links(connection, world.clinic.id) == []


@pytest.mark.parametrize(
    ("on", "now", "message"),
    [
        ("2026-11-21", "2026-11-20 16:00", "in the future"),
        # In London it is already the 21st, in UTC not yet: summer time.
        ("2026-06-21", "2026-06-20 22:59", "in the future"),
        ("1969-12-31", "2026-11-20 16:00", "too long ago"),
    ],
)
def test_a_day_that_cannot_be_one_of_a_treatment_done_is_refused(world: World, on: str, now: str, message: str) -> None:
    client_id = world.client()
    with pytest.raises(BadInput, match=message) as refusal:
        world.treat(client_id, on, now=now)
    assert refusal.value.field == "on"


def test_today_is_the_clinics_day(world: World) -> None:
    world.treat(world.client(), "2026-06-21", now="2026-06-20 23:00")


def test_a_wrong_hour_is_refused(world: World) -> None:
    new = NewTreatment(world.client(), world.service.catalogue.protocols[SMP], date(2026, 11, 20), "25:00")
    with pytest.raises(BadInput, match="'25:00' is not a time"), world.store.write() as connection:
        register.add_treatment(connection, world.clinic, new, "test", at("2026-11-20 16:00"))


def test_a_client_of_another_clinic_is_as_unknown_as_one_that_never_was(world: World) -> None:
    foreign = another_clinic(world, name="Southgate").client()
    said = []
    for client_id in (foreign, foreign + 1):
        with pytest.raises(NotFound) as refusal:
            world.treat(client_id, "2026-11-20")
        said.append(str(refusal.value.as_document()).replace(str(client_id), "ID"))
    assert said[0] == said[1]
    assert world.rows() == []


def test_every_registration_is_in_the_audit_without_a_name(world: World) -> None:
    world.treat(world.client("Sam Reed", "sam@example.com"), "2026-11-20")
    with world.store.read() as connection:
        lines = connection.execute(sa.select(audit_lines).order_by(audit_lines.c.id)).all()
        assert audit.broken_links(connection, world.clinic.id) == []
    assert [line.action for line in lines] == ["clinic added", "client added", "treatment added"]
    assert not any(word in str(lines).lower() for word in ("sam@", "reed"))


# --- who must not be written to


def stopped(world: World, client_id: int) -> None:
    with world.store.write() as connection:
        revise.stop(connection, world.clinic, client_id, world.who("2026-11-20 16:00"))


def paused(world: World, client_id: int) -> None:
    with world.store.write() as connection:
        revise.pause(connection, world.clinic, client_id, world.who("2026-11-20 16:00"))


def suppressed(world: World, _: int) -> None:
    with world.store.write() as connection:
        row = {"clinic_id": world.clinic.id, "email_folded": "sam@example.com", "reason": "dead"}
        connection.execute(sa.insert(suppressions).values(**row, created_at=at("2026-11-20 16:00")))


def without_consent(world: World, client_id: int) -> None:
    with world.store.write() as connection:
        clients.change(connection, client_id, {"consent_on": None})


@pytest.mark.parametrize(
    ("make", "born"),
    [
        (stopped, "cancelled: stopped"),
        (suppressed, "cancelled: suppressed"),
        (without_consent, "cancelled: no_consent"),
        (paused, "held: paused"),
    ],
)
def test_a_new_treatment_of_somebody_who_must_not_be_written_to_is_born_withheld(
    world: World, make: Any, born: str
) -> None:
    client_id = world.client()
    make(world, client_id)
    planned = world.treat(client_id, "2026-11-20")
    assert plan_of(world, planned.treatment_id) == dict.fromkeys(PLANNED, born)
    assert all((row["ended_at"] is None) == born.startswith("held") for row in planned.rows)


def test_only_an_explicit_no_withholds_consent(world: World) -> None:
    planned = world.treat(world.client(consent=False), "2026-11-20")
    assert plan_of(world, planned.treatment_id) == dict.fromkeys(PLANNED, "cancelled: no_consent")


# --- one voice (P7)


def test_a_newer_treatment_of_the_area_ends_what_is_open_of_the_older(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-20")
    newer = world.treat(client_id, "2026-11-27", now="2026-11-27 15:00")
    assert plan_of(world, older.treatment_id)["day-10"] == "cancelled: superseded"
    assert plan_of(world, newer.treatment_id) == PLANNED


def test_a_scalp_tattoo_and_scalp_micropigmentation_are_one_area(world: World) -> None:
    client_id = world.client()
    older = world.treat(client_id, "2026-11-19", protocol=SMP)
    newer = world.treat(client_id, "2026-11-20", protocol=TATTOO)
    assert plan_of(world, older.treatment_id) == SUPERSEDED
    assert plan_of(world, newer.treatment_id) == PLANNED


def test_an_older_treatment_registered_later_is_born_superseded(world: World) -> None:
    client_id = world.client()
    newer = world.treat(client_id, "2026-11-20")
    older = world.treat(client_id, "2026-11-19", protocol=TATTOO)
    assert plan_of(world, older.treatment_id) == SUPERSEDED
    assert plan_of(world, newer.treatment_id) == PLANNED


def test_on_one_day_the_later_registered_treatment_speaks(world: World) -> None:
    client_id = world.client()
    first = world.treat(client_id, "2026-11-20", protocol=SMP)
    second = world.treat(client_id, "2026-11-20", protocol=TATTOO)
    assert plan_of(world, first.treatment_id) == SUPERSEDED
    assert plan_of(world, second.treatment_id) == PLANNED


def test_another_clients_treatment_supersedes_nothing(world: World) -> None:
    first = world.treat(world.client("Sam Reed"), "2026-11-19")
    world.treat(world.client("Kim Lee"), "2026-11-20")
    assert plan_of(world, first.treatment_id) == PLANNED


# --- registered late


def test_registered_on_day_2_after_noon_day_1_is_missed_with_one_call(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20", now="2026-11-22 12:00")
    assert plan_of(world, planned.treatment_id) == PLANNED | {"day-01": "missed: registered_late"}
    assert calls_of(world) == [(planned.rows[0]["id"], "registered_late", "open")]
    assert planned.rows[0]["ended_at"] == at("2026-11-22 12:00")


def test_registered_late_but_still_useful_it_goes_at_once_and_keeps_its_due_time(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20", now="2026-11-22 11:59")
    assert (planned.rows[0]["due_at"], planned.rows[0]["not_before"]) == (
        at("2026-11-21 10:00"),
        at("2026-11-22 11:59"),
    )


def test_several_missed_steps_ask_for_one_call_about_the_last(world: World) -> None:
    planned = world.treat(world.client(), "2026-11-20", now="2026-11-25 09:00")
    assert calls_of(world) == [(planned.rows[1]["id"], "registered_late", "open")]


@pytest.mark.parametrize(("on", "expected"), [("2026-11-10", 1), ("2026-11-09", 0), ("2025-11-20", 0)])
def test_a_treatment_of_more_than_ten_days_ago_asks_for_no_call(world: World, on: str, expected: int) -> None:
    world.treat(world.client(), on)
    assert len(calls_of(world)) == expected


def test_a_client_with_several_late_treatments_gets_one_call_and_another_client_theirs(world: World) -> None:
    sam, kim = world.client("Sam Reed"), world.client("Kim Lee")
    for client_id, on in ((sam, "2026-11-12"), (sam, "2026-11-13"), (kim, "2026-11-12")):
        world.treat(client_id, on)
    with world.store.read() as connection:
        who = connection.execute(sa.select(calls.c.client_id).order_by(calls.c.id)).scalars().all()
    assert who == [sam, kim]


def test_who_wants_no_reminders_gets_no_call_for_a_late_registration(world: World) -> None:
    client_id = world.client()
    stopped(world, client_id)
    world.treat(client_id, "2026-11-12")
    assert calls_of(world) == []
