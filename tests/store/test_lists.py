from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import sqlalchemy as sa

from service.domain.reminder import FINAL, OPEN, State
from service.store import audit, ledger, lists
from service.store.audit import Deed
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.lists import OutboxFilter
from tests.support.builders import DUE, at, build_client, build_clinic, build_email, claim, outcome


@pytest.fixture
def clinic(store: Store) -> Clinic:
    with store.write() as connection:
        return build_clinic(connection)


@pytest.fixture
def connection(store: Store, clinic: Clinic) -> Iterator[sa.Connection]:
    with store.write() as opened:
        yield opened


def test_the_outbox_is_one_clinics_by_due_time_and_filtered_as_asked(connection: sa.Connection, clinic: Clinic) -> None:
    other = build_clinic(connection)
    sam, kim = (build_client(connection, clinic, who) for who in ("sam", "kim"))
    build_email(connection, other, build_client(connection, other))
    later = build_email(connection, clinic, sam, due_at=DUE + timedelta(hours=1))
    sooner = build_email(connection, clinic, sam)
    hers = build_email(connection, clinic, kim, state=State.MISSED)

    def found(**wanted: object) -> list[int]:
        rows = lists.outbox_rows(connection, clinic.id, OutboxFilter(**wanted))  # type: ignore[arg-type]
        return [row["id"] for row in rows]

    assert found() == [sooner, hers, later]
    assert found(state="missed") == [hers]
    assert found(client_id=sam) == [sooner, later]
    assert found(due_before=DUE + timedelta(hours=1)) == [sooner, hers]
    assert found(due_before=DUE) == []
    assert found(limit=1) == [sooner]
    (row,) = lists.outbox_rows(connection, clinic.id, OutboxFilter(state="missed"))
    assert tuple(row) == lists.OUTBOX_COLUMNS


def test_attempts_are_listed_in_the_order_they_ended(connection: sa.Connection, clinic: Clinic) -> None:
    other = build_clinic(connection)
    mine, foreign = build_client(connection, clinic), build_client(connection, other)
    rows = claim(
        connection,
        [build_email(connection, where, who) for where, who in ((clinic, mine), (clinic, mine), (other, foreign))],
    )
    ledger.record(connection, [outcome(row, State.SENT) for row in rows])

    def found(email_id: int | None = None, limit: int | None = None) -> list[int]:
        return [row["email_id"] for row in lists.attempt_rows(connection, clinic.id, email_id, limit)]

    first, second, _ = (row.id for row in rows)
    assert found() == [first, second]
    assert found(second) == [second]
    assert found(limit=1) == [first]
    assert found(rows[2].id) == []
    assert tuple(next(lists.attempt_rows(connection, clinic.id, first, None))) == lists.ATTEMPT_COLUMNS


def test_the_forecast_is_what_is_open_and_still_useful_until_then(connection: sa.Connection, clinic: Clinic) -> None:
    client_id = build_client(connection, clinic)
    for state in (*OPEN, *FINAL):
        if state not in (State.CLAIMED, State.SENDING):
            build_email(connection, clinic, client_id, state=state, step=state)
    retried = build_email(connection, clinic, client_id, step="later", not_before=DUE + timedelta(hours=5))
    assert retried

    def found(now: str, until: str) -> list[str]:
        return [row["step"] for row in lists.forecast_rows(connection, clinic.id, at(now), at(until))]

    assert found("2026-11-20 10:00", "2026-11-22 10:00") == ["planned", "in_doubt", "held", "later"]
    assert found("2026-11-20 10:00", "2026-11-21 10:00") == []
    assert found("2026-11-20 10:00", "2026-11-21 12:00") == ["planned", "in_doubt", "held"]
    assert found("2026-11-22 12:00", "2026-11-23 12:00") == []


def test_the_newest_record_is_the_last_thing_anybody_did(connection: sa.Connection, clinic: Clinic) -> None:
    assert lists.newest_record(connection) is None
    for moment in (DUE, DUE - timedelta(days=1)):
        audit.note(connection, clinic.id, Deed("ann", "act", "client 7", {}), moment)
    assert lists.newest_record(connection) == DUE
