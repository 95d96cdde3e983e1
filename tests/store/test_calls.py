from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from service.domain.reminder import State
from service.store import calls
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.tables import calls as call_rows
from tests.support.builders import (
    DUE,
    all_calls,
    build_client,
    build_clinic,
    build_email,
    build_treatment,
)


@pytest.fixture
def clinic(store: Store) -> Clinic:
    with store.write() as connection:
        return build_clinic(connection)


@pytest.fixture
def connection(store: Store, clinic: Clinic) -> Iterator[sa.Connection]:
    with store.write() as opened:
        yield opened


def a_call(clinic: Clinic, client_id: int, email_id: int | None, reason: str = "missed") -> dict[str, Any]:
    return {"clinic_id": clinic.id, "client_id": client_id, "email_id": email_id, "reason": reason}


def test_an_email_gets_one_call_whatever_happens_to_it_next(connection: sa.Connection, clinic: Clinic) -> None:
    client_id = build_client(connection, clinic)
    email_id = build_email(connection, clinic, client_id)
    calls.open_calls(connection, [a_call(clinic, client_id, email_id)], DUE)
    connection.execute(sa.update(call_rows).values(state="closed", outcome="reached", closed_at=DUE))
    calls.open_calls(connection, [a_call(clinic, client_id, email_id, "unconfirmed")], DUE)
    assert all_calls(connection) == [(email_id, "missed", "closed")]
    calls.open_calls(connection, [], DUE)


def test_calls_without_an_email_are_opened_each_time(connection: sa.Connection, clinic: Clinic) -> None:
    client_id = build_client(connection, clinic)
    for _ in range(2):
        calls.open_calls(connection, [a_call(clinic, client_id, None, "stopped")], DUE)
    assert all_calls(connection) == [(None, "stopped", "open")] * 2


def test_a_client_has_one_open_call_for_treatments_registered_late(connection: sa.Connection, clinic: Clinic) -> None:
    sam, kim = (build_client(connection, clinic, who) for who in ("sam", "kim"))
    first, second, third, fourth, hers = (build_email(connection, clinic, one) for one in (sam, sam, sam, sam, kim))

    def late(client_id: int, email_id: int) -> dict[str, Any]:
        return a_call(clinic, client_id, email_id, "registered_late")

    calls.open_calls(connection, [late(sam, first), late(kim, hers), late(sam, second)], DUE)
    calls.open_calls(connection, [late(sam, third), a_call(clinic, sam, third)], DUE)
    assert all_calls(connection) == [
        (first, "registered_late", "open"),
        (hers, "registered_late", "open"),
        (third, "missed", "open"),
    ]
    connection.execute(sa.update(call_rows).values(state="closed", outcome="reached", closed_at=DUE))
    calls.open_calls(connection, [late(sam, fourth)], DUE)
    assert all_calls(connection)[-1] == (fourth, "registered_late", "open")


def test_a_call_is_due_within_two_hours_and_listed_by_deadline_with_name_and_phone(
    connection: sa.Connection, clinic: Clinic
) -> None:
    other = build_clinic(connection)
    client_id = build_client(connection, clinic, phone="01632 960 002")
    foreign = build_client(connection, other)
    later, sooner = (build_email(connection, clinic, client_id) for _ in range(2))
    calls.open_calls(connection, [a_call(clinic, client_id, later)], DUE + timedelta(hours=1))
    calls.open_calls(connection, [a_call(clinic, client_id, sooner)], DUE)
    calls.open_calls(connection, [a_call(other, foreign, build_email(connection, other, foreign))], DUE)
    listed = calls.listed(connection, clinic.id)
    assert [row["email_id"] for row in listed] == [sooner, later]
    assert (listed[0]["name"], listed[0]["phone"], listed[0]["due_at"]) == (
        "sam",
        "01632 960 002",
        DUE + timedelta(hours=2),
    )
    assert calls.listed(connection, clinic.id, "closed") == []
    assert len(calls.listed(connection, clinic.id, "open")) == 2


def test_a_later_step_covers_the_open_calls_for_the_missed_steps_it_made_up_for(
    connection: sa.Connection, clinic: Clinic
) -> None:
    client_id = build_client(connection, clinic)
    mine, other = (build_treatment(connection, clinic, client_id, protocol=key) for key in ("smp", "tattoo"))
    missed = build_email(connection, clinic, client_id, treatment_id=mine, state=State.MISSED)
    later_step = build_email(connection, clinic, client_id, treatment_id=mine, state=State.MISSED, step="day-03", day=3)
    elsewhere = build_email(connection, clinic, client_id, treatment_id=other, state=State.MISSED)
    calls.open_calls(connection, [a_call(clinic, client_id, one) for one in (missed, later_step, elsewhere)], DUE)
    calls.cover(connection, {(client_id, mine, "day-01")}, DUE)
    calls.cover(connection, set(), DUE)
    assert all_calls(connection) == [
        (missed, "missed", "covered"),
        (later_step, "missed", "open"),
        (elsewhere, "missed", "open"),
    ]
    assert calls.listed(connection, clinic.id, "covered")[0]["closed_by"] == "aftercare"


def test_a_call_that_failed_or_was_closed_is_not_covered(connection: sa.Connection, clinic: Clinic) -> None:
    client_id = build_client(connection, clinic)
    treatment_id = build_treatment(connection, clinic, client_id)
    failed = build_email(connection, clinic, client_id, treatment_id=treatment_id, state=State.FAILED)
    calls.open_calls(connection, [a_call(clinic, client_id, failed, "failed")], DUE)
    calls.cover(connection, {(client_id, treatment_id, "day-01")}, DUE)
    assert all_calls(connection) == [(failed, "failed", "open")]


def test_a_closed_call_without_an_outcome_cannot_be_stored(store: Store, clinic: Clinic) -> None:
    with store.write() as connection:
        client_id = build_client(connection, clinic)
    for half in ({"state": "closed", "closed_at": DUE}, {"state": "open", "closed_at": DUE}, {"state": "gone"}):
        row = a_call(clinic, client_id, None) | {"opened_at": DUE, "due_at": DUE} | half
        with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
            connection.execute(sa.insert(call_rows).values(row))
