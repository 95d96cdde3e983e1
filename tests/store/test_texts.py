from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
import sqlalchemy as sa

from service.errors import NotAllowed, NotFound
from service.store import tables, texts
from service.store.clinics import Clinic
from service.store.engine import Store
from tests.support.builders import DUE, build_clinic, wait_until_somebody_waits

DAY_1 = {"protocol": "smp", "name": "day-01", "language": "en"}


@pytest.fixture
def clinic(store: Store) -> Clinic:
    with store.write() as connection:
        return build_clinic(connection)


@pytest.fixture
def connection(store: Store, clinic: Clinic) -> Iterator[sa.Connection]:
    with store.write() as opened:
        yield opened


def add(connection: sa.Connection, clinic: Clinic, source: str = "words", **key: str) -> int:
    values = {"clinic_id": clinic.id, "source": source, "sha256": "0" * 64, "created_at": DUE, "created_by": "desk"}
    return texts.add(connection, {**DAY_1, **values, **key})


def test_versions_are_numbered_within_clinic_protocol_name_and_language(
    connection: sa.Connection, clinic: Clinic
) -> None:
    other = build_clinic(connection)
    first = add(connection, clinic, "one")
    second = add(connection, clinic, "two")
    add(connection, clinic, language="de")
    add(connection, other)
    assert [(v.name, v.language, v.version) for v in texts.versions(connection, [clinic.id])] == [
        ("day-01", "de", 1),
        ("day-01", "en", 2),
        ("day-01", "en", 1),
    ]
    assert [v.clinic_id for v in texts.versions(connection, [other.id])] == [other.id]
    assert (texts.source(connection, first), texts.source(connection, second)) == ("one", "two")


def test_a_text_is_found_as_its_newest_or_the_version_asked_for_in_its_clinic(
    connection: sa.Connection, clinic: Clinic
) -> None:
    other = build_clinic(connection)
    add(connection, clinic)
    add(connection, clinic)
    assert texts.find(connection, clinic.id, DAY_1).version == 2
    assert texts.find(connection, clinic.id, DAY_1, 1).version == 1
    for clinic_id, version in ((clinic.id, 3), (other.id, None)):
        with pytest.raises(NotFound, match="there is no text smp/day-01 in en"):
            texts.find(connection, clinic_id, DAY_1, version)


def test_an_approval_names_who_when_and_until_when(connection: sa.Connection, clinic: Clinic) -> None:
    text_id = add(connection, clinic)
    assert texts.find(connection, clinic.id, DAY_1).approved_at is None
    texts.approve(connection, text_id, "ann@example.com", date(2027, 11, 20), DUE)
    version = texts.find(connection, clinic.id, DAY_1)
    assert (version.approved_by, version.approved_at, version.review_by) == ("ann@example.com", DUE, date(2027, 11, 20))


def test_half_an_approval_cannot_be_stored(store: Store, clinic: Clinic) -> None:
    for half in ({"approved_at": DUE}, {"approved_by": "ann"}, {"review_by": date(2027, 11, 20)}):
        with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
            connection.execute(
                sa.insert(tables.texts).values(
                    clinic_id=clinic.id, version=1, source="", sha256="", created_at=DUE, created_by="", **DAY_1, **half
                )
            )


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_two_who_save_one_text_at_once_the_second_is_told_to_look_first(store: Store, clinic: Clinic) -> None:
    def second() -> None:
        with store.write() as connection:
            add(connection, clinic)

    with ThreadPoolExecutor(1) as thread:
        with store.write() as first:
            add(first, clinic)
            saving = thread.submit(second)
            wait_until_somebody_waits(first)
        with pytest.raises(NotAllowed, match="somebody else has just saved"):
            saving.result()
