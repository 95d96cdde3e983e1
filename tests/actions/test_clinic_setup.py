from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions import clinic_setup, staffing
from service.actions.clinic_setup import FIELDS, checked
from service.errors import BadInput, NotFound
from service.store import clinics
from service.store.engine import Store
from service.store.tables import audit as audit_lines
from service.store.tables import emails
from tests.support.world import NORTHGATE, World, another_clinic, at, make_world

NOW = "2026-11-20 16:00"
ANN = {"email": "ann@northgate-clinic.org", "name": "Ann Lee", "role": "clinician"}


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def change(world: World, **fields: str) -> clinics.Clinic:
    with world.store.write() as connection:
        return clinic_setup.change_clinic(connection, world.clinic, fields, world.who(NOW))


def test_values_are_stored_as_cleaned() -> None:
    assert checked(
        {
            "name": " Northgate  Clinic ",
            "hours": "Mon-Fri 9:00 to 18:00",
            "language": "EN-gb",
            "timezone": "Europe/London",
            "reply_to": "Desk@Northgate-Clinic.ORG",
            "urgent_line_number": "",
        }
    ) == {
        "name": "Northgate Clinic",
        "hours": "mon-fri 09:00-18:00",
        "language": "en-GB",
        "timezone": "Europe/London",
        "reply_to": "Desk@northgate-clinic.org",
        "urgent_line_number": "",
    }


@pytest.mark.parametrize(
    ("field", "raw"),
    [
        ("name", ""),
        ("sender_name", "a\nb"),
        ("from_address", "desk"),
        ("reply_to", "desk"),
        ("timezone", "London"),
        ("send_at", "10"),
        ("send_at", "24:00"),
        ("send_at", ""),
        ("language", "english!"),
        ("phone", "call us"),
        ("hours", "when we like"),
        ("emergency_number", "nine nine nine"),
        ("urgent_line_name", "x" * 101),
        ("urgent_line_number", "one"),
        ("wash_advice", "x" * 301),
        ("colour", "blue"),
    ],
)
def test_a_wrong_value_is_refused_by_the_clinics_own_name_of_its_field(field: str, raw: str) -> None:
    with pytest.raises(BadInput) as refusal:
        checked({field: raw})
    assert refusal.value.field == field
    assert refusal.value.next_step is not None


def test_every_field_of_a_clinic_can_be_set() -> None:
    elsewhere = {"own_steps"}  # actions/own_steps.py
    stored = set(clinics.Clinic.__dataclass_fields__) - {"id", "created_at"} - elsewhere
    assert set(FIELDS) == stored


def test_a_clinic_needs_a_name_and_a_zone_and_no_emergency_number_is_guessed(world: World) -> None:
    for given in ({"name": "Southgate"}, {"timezone": "Europe/London"}):
        with pytest.raises(BadInput, match="a clinic needs a"), world.store.write() as connection:
            clinic_setup.add_clinic(connection, world.service.catalogue, given, world.who(NOW))
    with world.store.write() as connection:
        given = {"name": "Southgate", "timezone": "Europe/London"}
        clinic = clinic_setup.add_clinic(connection, world.service.catalogue, given, world.who(NOW))
    assert (clinic.emergency_number, clinic.urgent_line_number, clinic.send_at) == ("", "", "10:00")
    assert "emergency_number" in clinic.missing
    assert world.clinic.missing == ()


def test_two_clinics_of_one_name_are_refused(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    with pytest.raises(BadInput, match="has that name already"):
        change(other, name=NORTHGATE["name"])
    with pytest.raises(BadInput, match="has that name already"):
        another_clinic(world)
    assert change(world, name=NORTHGATE["name"]).name == NORTHGATE["name"]


def test_a_changed_hour_counts_for_new_plans_and_what_is_planned_keeps_its_own(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    changed = World(world.service, change(world, send_at="18:15"))
    changed.treat(changed.client("Kim Lee"), "2026-11-20")
    due = [row.due_at for row in world.rows(emails.c.step == "day-01")]
    assert due == [at("2026-11-21 10:00"), at("2026-11-21 18:15")]
    with world.store.read() as connection:
        line = connection.execute(sa.select(audit_lines).where(audit_lines.c.action == "clinic changed")).one()
    assert line.detail == '{"fields": ["send_at"]}'


def test_a_change_of_nothing_is_harmless(world: World) -> None:
    assert change(world) == world.clinic


def test_staff_are_added_once_and_disabled_once(world: World) -> None:
    with world.store.write() as connection:
        ann = clinic_setup.add_staff(connection, world.clinic, ANN, world.who(NOW))
    for given, field in (
        (ANN, "email"),
        (ANN | {"email": "ANN@northgate-clinic.org"}, "email"),
        (ANN | {"email": "x"}, "email"),
        (ANN | {"email": "bo@example.com", "role": "king"}, "role"),
        (ANN | {"email": "bo@example.com", "name": ""}, "name"),
    ):
        with pytest.raises(BadInput) as refusal, world.store.write() as connection:
            clinic_setup.add_staff(connection, world.clinic, given, world.who(NOW))
        assert refusal.value.field == field
    with world.store.write() as connection:
        staffing.disable_staff(connection, world.clinic, ann, world.who(NOW))
        assert not clinics.is_clinician(connection, world.clinic.id, ANN["email"])


def test_another_clinics_staff_are_as_unknown_as_those_that_never_were(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    with world.store.write() as connection:
        foreign = clinic_setup.add_staff(connection, other.clinic, ANN, world.who(NOW))
    said = []
    for staff_id in (foreign, foreign + 1):
        with pytest.raises(NotFound) as refusal, world.store.write() as connection:
            staffing.disable_staff(connection, world.clinic, staff_id, world.who(NOW))
        said.append(str(refusal.value.as_document()).replace(str(staff_id), "ID"))
    assert said[0] == said[1]
