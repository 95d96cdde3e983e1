"""Two reminders of one client within twelve hours are found, and what is allowed to be near is not; both databases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from service.domain.reminder import State
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.promises import ask_all
from service.store.spacing import too_close
from service.store.tables import Kind, attempts
from tests.support.builders import at, build_client, build_clinic, build_email

TEN = at("2026-11-21 10:00")
ALMOST = timedelta(hours=12) - timedelta(microseconds=1)


@dataclass
class Desk:
    """One client of one clinic."""

    connection: sa.Connection
    clinic: Clinic
    client: int

    def gone(self, marked_at: datetime, **fields: Any) -> int:
        """An e-mail that was marked then, at its first try, and is long useful."""
        given = {"state": State.SENT, "attempts": 1, "marked_at": marked_at, "useful_until": TEN + timedelta(days=3)}
        return build_email(self.connection, self.clinic, self.client, **(given | fields))

    def found(self, limit: int = 9) -> list[int]:
        return too_close(self.connection, limit)


@pytest.fixture
def desk(store: Store) -> Iterator[Desk]:
    with store.write() as connection:
        clinic = build_clinic(connection)
        yield Desk(connection, clinic, build_client(connection, clinic))


def test_one_within_the_gap_is_found_and_one_at_its_end_is_not(desk: Desk) -> None:
    desk.gone(TEN)
    near = desk.gone(TEN + ALMOST, state=State.UNCONFIRMED)
    desk.gone(TEN + ALMOST + timedelta(hours=12))
    assert desk.found() == [near]
    assert desk.found(0) == []
    told = {one.name: (one.state, list(one.ids)) for one in ask_all(desk.connection, TEN)}
    assert told["gap"] == ("red", [near])


def test_two_of_one_instant_are_found_once(desk: Desk) -> None:
    desk.gone(TEN, useful_until=TEN + timedelta(days=1))
    desk.gone(TEN, useful_until=TEN + timedelta(days=2), kind=Kind.CATCH_UP)
    assert len(desk.found()) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": Kind.HELLO},
        {"attempts": 2},
        {"attempts": 1, "state": State.SENDING, "lease_token": "t", "lease_until": TEN, "worker": "w"},
        {"doubt_retries": 1, "doubt_since": TEN},
        {"useful_until": TEN + timedelta(hours=12)},
        {"state": State.CANCELLED},
        {"state": State.PLANNED},
    ],
)
def test_what_may_be_near_is_not_found(desk: Desk, fields: dict[str, object]) -> None:
    desk.gone(TEN, **fields)
    desk.gone(TEN)
    desk.gone(TEN + timedelta(minutes=1), **fields)
    assert desk.found() == []


def test_what_only_a_report_proved_is_not_found(desk: Desk) -> None:
    desk.gone(TEN)
    proven = desk.gone(TEN + timedelta(minutes=5))
    assert desk.found() == [proven]
    row = {"clinic_id": desk.clinic.id, "email_id": proven, "worker": "w", "token": "t", "outcome": State.SENT}
    desk.connection.execute(sa.insert(attempts).values(row | {"ended_at": TEN}))
    assert desk.found() == []


def test_other_clients_are_other_clients(desk: Desk) -> None:
    desk.gone(TEN)
    Desk(desk.connection, desk.clinic, build_client(desk.connection, desk.clinic, "lou")).gone(TEN)
    assert desk.found() == []
