"""Each reminder is counted once, under what is known of it; answers and outcomes are those of the rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from service.domain.reminder import State
from service.store import fates
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.fates import Fate
from service.store.figures import Span
from service.store.tables import Kind, calls, check_ins
from tests.support.builders import at, build_client, build_clinic, build_email, build_treatment

NOW = at("2026-11-30 08:00")
SPAN = Span(at("2026-11-23 00:00"), NOW)
DUE = at("2026-11-24 10:00")
HOUR = timedelta(hours=1)


@pytest.fixture
def connection(store: Store) -> Iterator[sa.Connection]:
    with store.write() as connection:
        yield connection


@pytest.fixture
def clinic(connection: sa.Connection) -> Clinic:
    return build_clinic(connection)


@pytest.fixture
def client(connection: sa.Connection, clinic: Clinic) -> int:
    return build_client(connection, clinic)


def counted(connection: sa.Connection, clinic: Clinic, client: int, state: State, **fields: Any) -> Fate:
    """What one e-mail in this state counts as."""
    row = {"due_at": DUE, "useful_until": DUE + 26 * HOUR, "state": state, "day": 3}
    if state in (State.CLAIMED, State.SENDING):
        row |= {"lease_token": "t1", "lease_until": NOW}
    build_email(connection, clinic, client, **row | fields)
    ((day, found),) = fates.fates(connection, clinic.id, SPAN, NOW).items()
    assert (day, found.total()) == (3, 1)
    return next(iter(found))


@pytest.mark.parametrize("state", list(State))
def test_every_state_counts_as_one_thing(connection: sa.Connection, clinic: Clinic, client: int, state: State) -> None:
    expected = {
        State.SENT: Fate.ACCEPTED,
        State.FAILED: Fate.CAME_BACK,
        State.MISSED: Fate.MISSED,
        State.CANCELLED: Fate.OTHER,
        State.UNCONFIRMED: Fate.OTHER,
    }
    assert counted(connection, clinic, client, state) == expected.get(state, Fate.OPEN)


@pytest.mark.parametrize(
    ("after", "fate"),
    [(72 * HOUR, Fate.CAME_BACK), (72 * HOUR + timedelta(seconds=1), Fate.ACCEPTED)],
)
def test_accepted_means_no_bounce_in_72_hours(
    connection: sa.Connection, clinic: Clinic, client: int, after: timedelta, fate: Fate
) -> None:
    assert counted(connection, clinic, client, State.SENT, bounced_at=DUE + after) == fate


def test_what_was_handed_over_less_than_72_hours_ago_is_not_yet_accepted(
    connection: sa.Connection, clinic: Clinic, client: int
) -> None:
    at_last = NOW - 72 * HOUR
    assert counted(connection, clinic, client, State.SENT, sent_at=at_last + timedelta(seconds=1)) == Fate.OPEN


def test_a_bounce_of_what_was_never_confirmed_came_back(connection: sa.Connection, clinic: Clinic, client: int) -> None:
    assert counted(connection, clinic, client, State.UNCONFIRMED, bounced_at=NOW) == Fate.CAME_BACK


def test_a_stop_is_told_from_what_was_called_off(connection: sa.Connection, clinic: Clinic, client: int) -> None:
    assert counted(connection, clinic, client, State.CANCELLED, reason="stopped") == Fate.STOPPED


def test_only_reminders_of_this_clinic_and_span_count(connection: sa.Connection, clinic: Clinic, client: int) -> None:
    other = build_clinic(connection, name="Southgate")
    build_email(connection, other, build_client(connection, other), due_at=DUE, useful_until=NOW)
    build_email(connection, clinic, client, kind=Kind.HELLO, step=None, day=None, due_at=DUE, useful_until=NOW)
    build_email(connection, clinic, client, due_at=NOW, useful_until=NOW + HOUR)
    build_email(connection, clinic, client, due_at=SPAN.since - HOUR, useful_until=NOW)
    assert fates.fates(connection, clinic.id, SPAN, NOW) == {}


def answer(connection: sa.Connection, clinic: Clinic, client: int, level: str, minute: int, **fields: Any) -> None:
    treatment_id = fields.pop("treatment_id", None) or build_treatment(
        connection, clinic, client, protocol=f"p{minute}", cancelled_at=None
    )
    row = {"day": 3, "answers": "{}", "rules": "[]", "rules_version": "1", "clinic_id": clinic.id, "client_id": client}
    when = {"answered_at": DUE + timedelta(minutes=minute), "treatment_id": treatment_id, "level": level}
    connection.execute(sa.insert(check_ins).values(**row, **when, **fields))


def call(connection: sa.Connection, clinic: Clinic, client: int, minute: int | None) -> int:
    """A call about a red answer, with an outcome so many minutes after DUE."""
    row = {"clinic_id": clinic.id, "client_id": client, "reason": "red_answer", "opened_at": DUE, "due_at": NOW}
    done = {"state": "closed", "outcome": "reached", "closed_at": DUE + timedelta(minutes=minute or 0)}
    made = sa.insert(calls).values(**row, **(done if minute is not None else {})).returning(calls.c.id)
    return int(connection.execute(made).scalar_one())


def test_the_way_from_a_red_answer_to_its_outcome_is_measured(
    connection: sa.Connection, clinic: Clinic, client: int
) -> None:
    answer(connection, clinic, client, "T", 1, call_id=call(connection, clinic, client, 20))
    answer(connection, clinic, client, "E", 2, call_id=call(connection, clinic, client, None))
    answer(connection, clinic, client, "N", 3)
    found = fates.answered(connection, clinic.id, SPAN)
    assert (found.all, found.red, found.waits) == (3, 2, [timedelta(minutes=19)])


def test_an_answer_that_was_corrected_does_not_count_and_a_later_one_does(
    connection: sa.Connection, clinic: Clinic, client: int
) -> None:
    treatment_id = build_treatment(connection, clinic, client)
    for level, minute in (("T", 0), ("N", 15), ("S", 31)):
        answer(connection, clinic, client, level, minute, treatment_id=treatment_id)
    found = fates.answered(connection, clinic.id, SPAN)
    assert (found.all, found.red, found.waits) == (2, 0, [])
    assert fates.answered(connection, build_clinic(connection, name="Southgate").id, SPAN).all == 0
