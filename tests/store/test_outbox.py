from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from service.domain.reminder import FINAL, Reason, State
from service.store import outbox
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.locking import lock_clients
from service.store.neighbours import neighbours
from service.store.outbox import Lease
from service.store.owed import has_step
from service.store.tables import clients, emails
from tests.support.builders import (
    DUE,
    all_calls,
    at,
    build_client,
    build_clinic,
    build_email,
    build_treatment,
    claim,
    mark,
    multiply,
    the_email,
)

#: On SQLite there is one writer at a time: these questions do not arise.
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
LATE = at("2026-11-22 12:00")


@pytest.fixture
def clinic(store: Store) -> Clinic:
    with store.write() as connection:
        return build_clinic(connection)


@pytest.fixture
def connection(store: Store, clinic: Clinic) -> Iterator[sa.Connection]:
    with store.write() as opened:
        yield opened


Build = Callable[..., int]


@pytest.fixture
def email(connection: sa.Connection, clinic: Clinic) -> Build:
    """Builds one e-mail of the one client."""
    client_id = build_client(connection, clinic)
    return lambda **fields: build_email(connection, clinic, client_id, **fields)


def state_of(connection: sa.Connection, email_id: int) -> tuple[str, str | None]:
    row = the_email(connection, email_id)
    return row.state, row.reason


# --- what is due


def test_what_is_due_comes_in_the_order_of_its_deadlines(connection: sa.Connection, email: Build) -> None:
    last = email(useful_until=at("2026-11-23 12:00"))
    first = email(useful_until=at("2026-11-21 20:00"))
    middle, its_twin = email(), email()
    assert outbox.due_ids(connection, DUE, 10) == [first, middle, its_twin, last]
    assert outbox.due_ids(connection, DUE, 2) == [first, middle]
    assert [row.id for row in claim(connection, [last, its_twin, first, middle])] == [first, middle, its_twin, last]


def test_only_what_waits_and_is_in_its_window_is_due(connection: sa.Connection, email: Build) -> None:
    moment, day_before = timedelta(microseconds=1), DUE - timedelta(days=1)
    due = [email(), email(state=State.IN_DOUBT), email(due_at=day_before, useful_until=DUE + moment)]
    others = [email(not_before=DUE + moment), email(due_at=day_before, useful_until=DUE)]
    others += [email(state=state) for state in (State.HELD, *FINAL)]
    assert sorted(outbox.due_ids(connection, DUE, 100)) == due
    assert sorted(row.id for row in claim(connection, due + others)) == due


# --- claims


def test_a_claim_brings_what_writing_and_addressing_need(
    connection: sa.Connection, clinic: Clinic, email: Build
) -> None:
    client_id = build_client(connection, clinic, "kim", name="Kim Lee", language="de")
    treatment_id = build_treatment(connection, clinic, client_id)
    email_id = build_email(connection, clinic, client_id, treatment_id=treatment_id, attempts=2, language="de")
    (row,) = claim(connection, [email_id])
    assert (row.client_name, row.address, row.treated_on) == ("Kim Lee", "kim@example.com", at("2026-11-20").date())
    assert (row.attempts, row.language, row.claimed_at, row.token) == (2, "de", DUE, "t1")
    assert not row.in_doubt


def test_a_claimed_row_carries_its_worker_token_and_a_lease_by_the_databases_clock(
    connection: sa.Connection, email: Build, store: Store
) -> None:
    email_id = email()
    claim(connection, [email_id], lease=Lease("w7", "fresh", 600))
    row = the_email(connection, email_id)
    assert (row.state, row.worker, row.lease_token) == ("claimed", "w7", "fresh")
    assert timedelta(seconds=590) < row.lease_until - store.now() < timedelta(seconds=610)


def test_a_claimed_row_is_claimed_by_nobody_else(connection: sa.Connection, email: Build) -> None:
    ids = [email(), email()]
    assert len(claim(connection, ids[:1])) == 1
    assert [row.id for row in claim(connection, ids, lease=Lease("w2", "t2", 600))] == ids[1:]
    assert the_email(connection, ids[0]).lease_token == "t1"


def test_two_workers_that_claim_at_once_never_share_a_row(store: Store, clinic: Clinic) -> None:
    with store.write() as connection:
        client_id = build_client(connection, clinic)
        ids = [build_email(connection, clinic, client_id) for _ in range(120)]
    start = threading.Barrier(4)

    def work(name: str) -> list[int]:
        mine: list[int] = []
        start.wait()
        for first in range(0, len(ids), 10):
            with store.write() as connection:
                lease = Lease(name, f"{name}-{first}", 600)
                mine += [row.id for row in claim(connection, ids[first : first + 15], lease=lease)]
        return mine

    with ThreadPoolExecutor(4) as threads:
        taken = [running.result() for running in [threads.submit(work, f"w{n}") for n in range(4)]]
    assert sorted(email_id for mine in taken for email_id in mine) == ids
    with store.read() as connection:
        holders = {row.id: row.worker for row in connection.execute(sa.select(emails.c.id, emails.c.worker))}
    assert all(holders[email_id] == f"w{n}" for n, mine in enumerate(taken) for email_id in mine)


@on_postgresql
def test_rows_that_somebody_else_is_taking_are_left_to_them_without_waiting(store: Store, clinic: Clinic) -> None:
    with store.write() as connection:
        client_id = build_client(connection, clinic)
        ids = [build_email(connection, clinic, client_id) for _ in range(2)]
    with store.write() as one:
        assert len(claim(one, ids[:1])) == 1
        with store.write() as other:
            assert [row.id for row in claim(other, ids, lease=Lease("w2", "t2", 600))] == ids[1:]


def test_unsent_claims_are_given_back_as_they_were(connection: sa.Connection, email: Build) -> None:
    plain, doubtful, foreign, marked = email(), email(state=State.IN_DOUBT), email(), email()
    claim(connection, [foreign], lease=Lease("w2", "t2", 600))
    rows = {row.id: row for row in claim(connection, [plain, doubtful, marked])}
    mark(connection, rows[marked])
    outbox.release(connection, [plain, doubtful, foreign, marked], "t1")
    states = [the_email(connection, one).state for one in (plain, doubtful, foreign, marked)]
    assert states == ["planned", "in_doubt", "claimed", "sending"]
    assert (the_email(connection, plain).lease_token, the_email(connection, plain).worker) == (None, None)


# --- the end of the shelf life


def test_what_is_past_its_shelf_life_is_missed_and_each_reminder_gets_one_call(
    connection: sa.Connection, email: Build
) -> None:
    planned, hello = email(), email(kind="hello", step=None)
    later = email(useful_until=LATE + timedelta(seconds=1))
    assert outbox.expire(connection, LATE - timedelta(microseconds=1)) == {}
    assert outbox.expire(connection, LATE) == {"missed": 2}
    assert outbox.expire(connection, LATE) == {}
    assert state_of(connection, planned) == ("missed", "too_late")
    assert state_of(connection, hello) == ("missed", "too_late")
    assert state_of(connection, later) == ("planned", None)
    assert the_email(connection, planned).ended_at == LATE
    assert all_calls(connection) == [(planned, "missed", "open")]


def test_a_row_in_doubt_past_its_shelf_life_is_unconfirmed_never_missed(
    connection: sa.Connection, email: Build
) -> None:
    email_id = email(state=State.IN_DOUBT)
    assert outbox.expire(connection, LATE) == {"unconfirmed": 1}
    assert state_of(connection, email_id) == ("unconfirmed", "too_late")
    assert all_calls(connection) == [(email_id, "unconfirmed", "open")]


def test_a_held_row_past_its_shelf_life_keeps_the_reason_it_was_held_for(
    connection: sa.Connection, email: Build
) -> None:
    email_id = email(state=State.HELD, reason=Reason.UNAPPROVED)
    outbox.expire(connection, LATE)
    assert state_of(connection, email_id) == ("missed", "unapproved")
    assert all_calls(connection) == [(email_id, "missed", "open")]


def test_a_row_that_waits_for_its_next_try_ends_with_its_shelf_life(connection: sa.Connection, email: Build) -> None:
    email_id = email(not_before=LATE)
    assert outbox.expire(connection, LATE) == {"missed": 1}
    assert state_of(connection, email_id) == ("missed", "too_late")


def test_what_a_worker_holds_does_not_expire_under_its_hands(connection: sa.Connection, email: Build) -> None:
    held, marked = email(), email()
    rows = {row.id: row for row in claim(connection, [held, marked])}
    mark(connection, rows[marked])
    assert outbox.expire(connection, LATE) == {}


@on_postgresql
def test_an_outage_of_more_rows_than_a_statement_takes_parameters_ends_in_calls(store: Store, clinic: Clinic) -> None:
    many = 66_000
    with store.write() as connection:
        client_id = build_client(connection, clinic)
        email_id = build_email(connection, clinic, client_id)
        multiply(connection, email_id, many - 1)
    with store.write() as connection:
        assert outbox.expire(connection, LATE) == {"missed": many}
    with store.read() as connection:
        opened = connection.execute(sa.text("SELECT count(DISTINCT email_id) FROM calls")).scalar_one()
    assert opened == many


@on_postgresql
def test_more_clients_are_locked_than_a_statement_takes_parameters(store: Store) -> None:
    with store.write() as connection:
        lock_clients(connection, range(70_000))


# --- ended by people


def test_a_stop_ends_what_is_open_and_changes_no_final_state(connection: sa.Connection, email: Build) -> None:
    becomes: dict[State, tuple[str, str | None]] = {state: (state, None) for state in FINAL}
    becomes |= dict.fromkeys((State.PLANNED, State.HELD), ("cancelled", "stopped"))
    becomes[State.IN_DOUBT] = ("unconfirmed", "stopped")
    ids = {state: email(state=state) for state in becomes}
    outbox.end_open(connection, sa.true(), Reason.STOPPED, DUE)
    assert {state: state_of(connection, email_id) for state, email_id in ids.items()} == becomes


def test_a_claimed_row_is_taken_back_from_its_worker_a_marked_one_is_let_go(
    connection: sa.Connection, email: Build
) -> None:
    held, doubtful, marked = email(), email(state=State.IN_DOUBT), email()
    rows = {row.id: row for row in claim(connection, [held, doubtful, marked])}
    mark(connection, rows[marked])
    assert outbox.end_open(connection, sa.true(), Reason.STOPPED, DUE) == {"cancelled": 1, "unconfirmed": 1}
    assert [the_email(connection, one).state for one in (held, doubtful, marked)] == [
        "cancelled",
        "unconfirmed",
        "sending",
    ]
    assert the_email(connection, held).lease_token is None
    assert all_calls(connection) == [(doubtful, "unconfirmed", "open")]


# --- one row a step (P6)


def test_a_second_row_for_a_step_of_a_treatment_is_refused(store: Store, clinic: Clinic) -> None:
    with store.write() as connection:
        client_id = build_client(connection, clinic)
        treatment_id = build_treatment(connection, clinic, client_id)
        build_email(connection, clinic, client_id, treatment_id=treatment_id)
        assert has_step(connection, treatment_id, "day-01")
        assert not has_step(connection, treatment_id, "day-03")
    for state in (State.PLANNED, State.SENT, State.MISSED):
        with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
            build_email(connection, clinic, client_id, treatment_id=treatment_id, state=state)


def test_a_cancelled_or_replaced_row_makes_room_for_its_step(connection: sa.Connection, clinic: Clinic) -> None:
    client_id = build_client(connection, clinic)
    treatment_id = build_treatment(connection, clinic, client_id)
    for fields in ({"state": State.CANCELLED}, {"state": State.MISSED, "replaced_at": DUE}, {"state": State.CANCELLED}):
        build_email(connection, clinic, client_id, treatment_id=treatment_id, **fields)
    assert not has_step(connection, treatment_id, "day-01")
    build_email(connection, clinic, client_id, treatment_id=treatment_id)


def test_the_neighbours_of_a_step_are_those_that_stand_by_day(connection: sa.Connection, clinic: Clinic) -> None:
    client_id = build_client(connection, clinic)
    one, other = (build_treatment(connection, clinic, client_id, protocol=key) for key in ("smp", "tattoo"))
    fields: dict[str, Any]
    for fields in (
        {"step": "day-03", "day": 3},
        {"state": State.MISSED},
        {"step": "day-10", "day": 10, "state": State.CANCELLED},
        {"step": "day-10", "day": 10, "state": State.MISSED, "replaced_at": DUE},
        {"step": "catch-up-05", "day": 5, "kind": "catch_up"},
    ):
        build_email(connection, clinic, client_id, treatment_id=one, **fields)
    build_email(connection, clinic, client_id, treatment_id=other)
    assert neighbours(connection, [one, one]) == {one: [("day-01", 1, "missed", DUE), ("day-03", 3, "planned", DUE)]}
    assert set(neighbours(connection, [one, other])) == {one, other}
    assert neighbours(connection, []) == {}


# --- how it is found


def test_what_is_due_is_found_by_the_partial_index_however_much_is_done(store: Store, clinic: Clinic) -> None:
    with store.write() as connection:
        client_id = build_client(connection, clinic)
        done = build_email(connection, clinic, client_id, state=State.SENT)
        multiply(connection, done, 12_000)
        due = [build_email(connection, clinic, client_id) for _ in range(20)]
        connection.execute(sa.text("ANALYZE"))
    asked: list[tuple[str, Any]] = []

    def listen(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    with store.read() as connection:
        sa.event.listen(connection, "before_cursor_execute", listen)
        assert outbox.due_ids(connection, DUE, 5000) == due
        ((statement, parameters),) = asked
        explain = "EXPLAIN QUERY PLAN " if store.is_sqlite else "EXPLAIN "
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(explain + statement, parameters))
    assert "ix_emails_due" in plan


@on_postgresql
def test_clients_are_locked_against_writers_but_not_against_rows_that_point_at_them(
    store: Store, clinic: Clinic
) -> None:
    with store.write() as connection:
        client_id = build_client(connection, clinic)
    with store.write() as one:
        lock_clients(one, [client_id])
        with store.write() as other:
            build_email(other, clinic, client_id)
            locked = sa.select(clients.c.id).where(clients.c.id == client_id).with_for_update(skip_locked=True)
            assert other.execute(locked).first() is None


@on_postgresql
def test_expiry_does_not_wait_for_somebody_who_is_stopping_a_client(store: Store, clinic: Clinic) -> None:
    with store.write() as connection:
        client_id = build_client(connection, clinic)
        stopping, other = build_email(connection, clinic, client_id), build_email(connection, clinic, client_id)
    with store.write() as desk:
        lock_clients(desk, [client_id])
        outbox.end_open(desk, emails.c.id == stopping, Reason.STOPPED, LATE)
        with store.write() as worker:
            worker.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
            assert outbox.expire(worker, LATE) == {"missed": 1}
    with store.read() as connection:
        assert state_of(connection, stopping) == ("cancelled", "stopped")
        assert state_of(connection, other) == ("missed", "too_late")
