from __future__ import annotations

from collections.abc import Iterator
from datetime import time
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from service.errors import BadInput, NotFound
from service.store import clinics
from service.store.engine import Store
from tests.support.builders import DUE, build_clinic

ANN = {"email": "ann@example.com", "name": "Ann Lee", "role": "clinician"}


@pytest.fixture
def connection(store: Store) -> Iterator[sa.Connection]:
    with store.write() as opened:
        yield opened


def test_a_clinic_comes_back_with_its_zone_and_hour(connection: sa.Connection) -> None:
    clinic = build_clinic(connection, timezone="Asia/Kathmandu", send_at="18:15")
    assert clinics.get(connection, clinic.id) == clinic
    assert (clinic.time.zone, clinic.time.send_at) == (ZoneInfo("Asia/Kathmandu"), time(18, 15))
    assert build_clinic(connection).time.send_at == time(10)


def test_what_live_mode_needs_is_missing_until_it_is_said(connection: sa.Connection) -> None:
    clinic = build_clinic(connection)
    assert clinic.missing == ("sender_name", "reply_to", "phone", "hours", "emergency_number", "urgent_line_name")
    whole = clinics.change(connection, clinic.id, dict.fromkeys(clinic.missing, "said"))
    assert whole.missing == ()
    assert clinics.change(connection, clinic.id, {}) == whole


def test_clinics_are_found_by_id_or_as_the_only_one(connection: sa.Connection) -> None:
    with pytest.raises(BadInput, match="no clinic yet"):
        clinics.chosen(connection, None)
    first = build_clinic(connection)
    assert clinics.chosen(connection, None) == first
    second = build_clinic(connection, name="Southgate")
    with pytest.raises(BadInput, match=r"several clinics: \d+ \(Northgate\), \d+ \(Southgate\)"):
        clinics.chosen(connection, None)
    assert clinics.chosen(connection, second.id) == second
    assert clinics.every(connection) == [first, second]
    assert clinics.by_ids(connection, [second.id, second.id, 999]) == {second.id: second}
    assert clinics.by_ids(connection, []) == {}
    with pytest.raises(NotFound, match="no clinic 999"):
        clinics.get(connection, 999)


def test_staff_belong_to_one_clinic_and_only_an_active_clinician_is_one(connection: sa.Connection) -> None:
    clinic, other = build_clinic(connection), build_clinic(connection)
    ann = clinics.add_staff(connection, clinic.id, ANN, DUE)
    clinics.add_staff(connection, clinic.id, {"email": "bo@example.com", "name": "Bo", "role": "owner"}, DUE)
    assert clinics.is_clinician(connection, clinic.id, "Ann@Example.com")
    assert not clinics.is_clinician(connection, clinic.id, "bo@example.com")
    assert not clinics.is_clinician(connection, other.id, "ann@example.com")
    assert [row["name"] for row in clinics.list_staff(connection, clinic.id)] == ["Ann Lee", "Bo"]
    assert clinics.list_staff(connection, other.id) == []

    with pytest.raises(NotFound, match=f"no active staff member {ann}"):
        clinics.disable_staff(connection, other.id, ann, DUE)
    clinics.disable_staff(connection, clinic.id, ann, DUE)
    assert not clinics.is_clinician(connection, clinic.id, "ann@example.com")
    with pytest.raises(NotFound):
        clinics.disable_staff(connection, clinic.id, ann, DUE)


def test_one_address_is_one_staff_member_of_a_clinic(connection: sa.Connection) -> None:
    clinic, other = build_clinic(connection), build_clinic(connection)
    clinics.add_staff(connection, clinic.id, ANN, DUE)
    clinics.add_staff(connection, other.id, ANN, DUE)
    with pytest.raises(BadInput, match="already has that address") as refusal:
        clinics.add_staff(connection, clinic.id, ANN, DUE)
    assert refusal.value.field == "email"


def test_a_role_that_does_not_exist_cannot_be_stored(store: Store) -> None:
    with store.write() as connection:
        clinic = build_clinic(connection)
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        clinics.add_staff(connection, clinic.id, ANN | {"role": "king"}, DUE)
