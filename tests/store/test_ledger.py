from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.store import ledger
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.locking import lock_clients
from service.store.marking import last_look
from service.store.outbox import ClaimedEmail, Lease
from service.store.rescue import holders, rescue
from service.store.tables import Kind, attempts, clients, emails, suppressions, treatments
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
    outcome,
    the_email,
    wait_until_somebody_waits,
)

#: On SQLite there is one writer at a time: these questions do not arise.
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
LATER = at("2026-11-21 10:30")


@pytest.fixture
def clinic(store: Store) -> Clinic:
    with store.write() as connection:
        return build_clinic(connection)


@pytest.fixture
def connection(store: Store, clinic: Clinic) -> Iterator[sa.Connection]:
    with store.write() as opened:
        yield opened


@pytest.fixture
def client_id(connection: sa.Connection, clinic: Clinic) -> int:
    return build_client(connection, clinic)


def held(connection: sa.Connection, clinic: Clinic, client_id: int, **fields: Any) -> ClaimedEmail:
    """A row that w1 holds by t1."""
    (row,) = claim(connection, [build_email(connection, clinic, client_id, **fields)])
    return row


def words(row: Any) -> tuple[str, str | None, int, int]:
    return row.state, row.reason, row.attempts, row.doubt_retries


# --- the last look and the mark


def test_the_last_look_shows_the_world_as_it_is_now(connection: sa.Connection, clinic: Clinic, client_id: int) -> None:
    treatment_id = build_treatment(connection, clinic, client_id)
    row = held(connection, clinic, client_id, treatment_id=treatment_id)
    look = last_look(connection, [row.id])[row.id]
    assert (look.state, look.token, look.address, look.consented, look.suppressed) == (
        "claimed",
        "t1",
        "sam@example.com",
        True,
        False,
    )
    assert (look.stopped_at, look.paused_at, look.erased_at, look.cancelled_at) == (None, None, None, None)

    gone = {"stopped_at": DUE, "paused_at": DUE, "erased_at": DUE, "consent_on": None, "email": "new@example.com"}
    connection.execute(sa.update(clients).values(gone))
    connection.execute(sa.update(treatments).values(cancelled_at=DUE))
    connection.execute(
        sa.insert(suppressions).values(
            clinic_id=clinic.id, email_folded="sam@example.com", reason="dead", created_at=DUE
        )
    )
    look = last_look(connection, [row.id])[row.id]
    assert (look.stopped_at, look.paused_at, look.erased_at, look.cancelled_at) == (DUE, DUE, DUE, DUE)
    assert (look.address, look.consented, look.suppressed) == ("new@example.com", False, True)


def test_a_lifted_suppression_and_another_clinics_do_not_count(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    other = build_clinic(connection)
    for fields in ({"clinic_id": clinic.id, "lifted_at": DUE}, {"clinic_id": other.id, "lifted_at": None}):
        connection.execute(
            sa.insert(suppressions).values(email_folded="sam@example.com", reason="dead", created_at=DUE, **fields)
        )
    row = held(connection, clinic, client_id)
    assert not last_look(connection, [row.id])[row.id].suppressed


def test_a_mark_freezes_what_makes_the_same_bytes_again(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    row = held(connection, clinic, client_id)
    mark(connection, row, DUE)
    marked = the_email(connection, row.id)
    assert (marked.state, marked.marked_at, marked.lease_token) == ("sending", DUE, "t1")
    assert (marked.message_id, marked.facts, marked.digest) == (f"<{row.id}@example.com>", '{"a":"b"}', "d" * 64)
    assert (marked.doubt_retries, marked.text_version, marked.dated) == (0, 1, DUE.isoformat())


def test_marking_a_row_in_doubt_uses_up_one_repeat(connection: sa.Connection, clinic: Clinic, client_id: int) -> None:
    row = held(connection, clinic, client_id, state=State.IN_DOUBT, doubt_retries=0)
    assert row.in_doubt
    mark(connection, row)
    assert the_email(connection, row.id).doubt_retries == 1


# --- outcomes


def test_sent_is_recorded_with_its_evidence(connection: sa.Connection, clinic: Clinic, client_id: int) -> None:
    row = held(connection, clinic, client_id)
    mark(connection, row)
    ledger.record(connection, [outcome(row, State.SENT)])
    sent = the_email(connection, row.id)
    assert words(sent) == ("sent", None, 1, 0)
    assert (sent.sent_at, sent.ended_at) == (at("2026-11-21 10:01"), at("2026-11-21 10:01"))
    assert (sent.lease_token, sent.lease_until, sent.worker) == (None, None, None)
    assert (sent.last_code, sent.last_stage, sent.last_reply) == (250, "message", "2.0.0 OK")
    attempt = connection.execute(sa.select(attempts)).one()
    assert (attempt.email_id, attempt.worker, attempt.token, attempt.outcome) == (row.id, "w1", "t1", "sent")
    assert (attempt.claimed_at, attempt.marked_at, attempt.ended_at) == (DUE, DUE, at("2026-11-21 10:01"))
    assert all_calls(connection) == []


def test_a_stale_token_changes_no_row_and_opens_no_call(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    row = held(connection, clinic, client_id)
    connection.execute(sa.update(emails).values(lease_token="somebody else's", worker="w2"))
    before = the_email(connection, row.id)
    for state in (State.PLANNED, State.FAILED, State.IN_DOUBT, State.UNCONFIRMED, State.HELD, State.MISSED):
        for thaw in (True, False):
            ledger.record(connection, [outcome(row, state, thaw=thaw)])
    assert the_email(connection, row.id) == before
    assert all_calls(connection) == []
    # What was said to the relay was said all the same.
    assert connection.execute(sa.select(sa.func.count()).select_from(attempts)).scalar_one() == 12


@pytest.mark.parametrize("state", [State.PLANNED, State.IN_DOUBT, State.UNCONFIRMED])
def test_a_late_250_wins_whatever_became_of_the_row(
    connection: sa.Connection, clinic: Clinic, client_id: int, state: State
) -> None:
    row = held(connection, clinic, client_id)
    moved = {"state": state, "lease_token": None, "reason": Reason.WORKER_LOST}
    connection.execute(sa.update(emails).values(moved))
    ledger.record(connection, [outcome(row, State.SENT)])
    assert words(the_email(connection, row.id)) == ("sent", None, 1, 0)


def test_a_late_250_stops_the_repeat_of_another_worker_that_is_not_marked_yet(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    row = held(connection, clinic, client_id)
    mark(connection, row)
    connection.execute(sa.update(emails).values(state=State.IN_DOUBT, lease_token=None, doubt_since=DUE))
    (again,) = claim(connection, [row.id], lease=Lease("w2", "t2", 600))
    ledger.record(connection, [outcome(row, State.SENT)])
    look = last_look(connection, [row.id])[row.id]
    assert (look.state, look.token) == ("sent", None)
    ledger.record(connection, [outcome(again, State.UNCONFIRMED, token="t2")])
    assert the_email(connection, row.id).state == "sent"


def test_the_first_250_keeps_its_hour(connection: sa.Connection, clinic: Clinic, client_id: int) -> None:
    row = held(connection, clinic, client_id)
    ledger.record(connection, [outcome(row, State.SENT)])
    ledger.record(connection, [outcome(row, State.SENT, ended_at=LATER)])
    assert the_email(connection, row.id).sent_at == at("2026-11-21 10:01")


def test_a_definite_refusal_thaws_the_row_but_keeps_its_message_id(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    row = held(connection, clinic, client_id)
    mark(connection, row)
    ledger.record(connection, [outcome(row, State.PLANNED, thaw=True, not_before=LATER, code=451)])
    thawed = the_email(connection, row.id)
    assert words(thawed) == ("planned", "try_again", 1, 0)
    assert (thawed.not_before, thawed.ended_at, thawed.last_code) == (LATER, None, 451)
    assert thawed.message_id == f"<{row.id}@example.com>"
    assert (thawed.facts, thawed.digest, thawed.dated, thawed.marked_at) == (None, None, None, None)


def test_a_row_in_doubt_stays_frozen_and_remembers_since_when(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    row = held(connection, clinic, client_id)
    mark(connection, row)
    ledger.record(connection, [outcome(row, State.IN_DOUBT, not_before=LATER)])
    doubtful = the_email(connection, row.id)
    assert (doubtful.state, doubtful.doubt_since, doubtful.digest) == ("in_doubt", at("2026-11-21 10:01"), "d" * 64)
    (again,) = claim(connection, [row.id], LATER)
    ledger.record(connection, [outcome(again, State.IN_DOUBT, ended_at=LATER)])
    assert the_email(connection, row.id).doubt_since == at("2026-11-21 10:01")


def test_an_outcome_without_a_conversation_leaves_no_attempt(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    row = held(connection, clinic, client_id)
    ledger.record(connection, [outcome(row, State.HELD, reason=Reason.UNAPPROVED, spoke=False, attempts=0)])
    assert words(the_email(connection, row.id)) == ("held", "unapproved", 0, 0)
    assert connection.execute(sa.select(attempts)).all() == []
    ledger.record(connection, [])


def test_what_failed_or_was_missed_or_unconfirmed_gets_one_call_if_it_is_a_reminder(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    states = (State.FAILED, State.MISSED, State.UNCONFIRMED)
    reminders = [held(connection, clinic, client_id) for _ in states]
    notes = [held(connection, clinic, client_id, kind=Kind.CATCH_UP) for _ in states]
    for rows in (reminders, notes):
        lost = [outcome(row, state) for row, state in zip(rows, states, strict=True)]
        ledger.record(connection, lost)
        ledger.record(connection, lost)
    assert all_calls(connection) == [(row.id, state, "open") for row, state in zip(reminders, states, strict=True)]


# --- addresses that do not exist


def test_a_dead_address_ends_the_other_rows_of_everybody_who_has_it_in_this_clinic(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    twin = build_client(connection, clinic, "kim", email_folded="sam@example.com")
    elsewhere = build_clinic(connection)
    same_address = build_client(connection, elsewhere)
    row = held(connection, clinic, client_id)
    next_step = build_email(connection, clinic, client_id)
    doubtful = build_email(connection, clinic, twin, state=State.IN_DOUBT)
    done = build_email(connection, clinic, twin, state=State.SENT)
    foreign = build_email(connection, elsewhere, same_address)
    dead = outcome(row, State.FAILED, suppress=True, code=550)
    ledger.record(connection, [dead])
    ledger.record(connection, [dead])
    assert {one: the_email(connection, one).state for one in (row.id, next_step, doubtful, done, foreign)} == {
        row.id: "failed",
        next_step: "cancelled",
        doubtful: "unconfirmed",
        done: "sent",
        foreign: "planned",
    }
    assert the_email(connection, next_step).reason == "suppressed"
    (known,) = connection.execute(sa.select(suppressions)).all()
    assert (known.clinic_id, known.email_folded, known.email_id) == (clinic.id, "sam@example.com", row.id)
    assert sorted(all_calls(connection)) == [(row.id, "failed", "open"), (doubtful, "unconfirmed", "open")]


def test_an_address_that_dies_again_after_it_was_lifted_is_suppressed_again(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    row = held(connection, clinic, client_id)
    ledger.record(connection, [outcome(row, State.FAILED, suppress=True)])
    connection.execute(sa.update(suppressions).values(lifted_at=LATER, lifted_reason="a typing error of theirs"))
    ledger.record(connection, [outcome(row, State.FAILED, suppress=True)])
    assert len(connection.execute(sa.select(suppressions)).all()) == 2


# --- rescue


def test_a_lapsed_claim_is_planned_again_and_a_lapsed_mark_is_in_doubt(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    ids = [build_email(connection, clinic, client_id) for _ in range(3)]
    lapsed, marked = claim(connection, ids[:2], lease=Lease("w1", "t1", -1))
    mark(connection, marked, lease_seconds=-1)
    claim(connection, ids[2:])
    assert rescue(connection, [], 1, LATER) == {"planned": 1, "in_doubt": 1}
    assert words(the_email(connection, lapsed.id)) == ("planned", "worker_lost", 0, 0)
    doubtful = the_email(connection, marked.id)
    assert words(doubtful) == ("in_doubt", "worker_lost", 1, 0)
    assert doubtful.doubt_since == LATER
    assert timedelta(minutes=15) <= doubtful.not_before - LATER <= timedelta(minutes=30)
    assert doubtful.digest == "d" * 64
    assert the_email(connection, ids[2]).state == "claimed"
    assert rescue(connection, [], 1, LATER) == {}


def test_a_lapsed_repeat_stays_in_doubt_and_ends_unconfirmed_when_no_repeat_is_left(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    ids = [build_email(connection, clinic, client_id, state=State.IN_DOUBT) for _ in range(2)]
    unmarked, marked = claim(connection, ids, lease=Lease("w1", "t1", -1))
    mark(connection, marked, lease_seconds=-1)
    assert rescue(connection, [], 1, LATER) == {"in_doubt": 1, "unconfirmed": 1}
    assert the_email(connection, unmarked.id).state == "in_doubt"
    assert the_email(connection, marked.id).ended_at == LATER
    assert all_calls(connection) == [(marked.id, "unconfirmed", "open")]


def test_with_no_repeats_allowed_a_lapsed_mark_is_unconfirmed_at_once(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    (row,) = claim(connection, [build_email(connection, clinic, client_id)], lease=Lease("w1", "t1", -1))
    mark(connection, row, lease_seconds=-1)
    assert rescue(connection, [], 0, LATER) == {"unconfirmed": 1}


def test_the_wait_in_doubt_never_goes_beyond_the_shelf_life(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    (row,) = claim(connection, [build_email(connection, clinic, client_id)], lease=Lease("w1", "t1", -1))
    mark(connection, row, lease_seconds=-1)
    rescue(connection, [], 1, at("2026-11-22 11:59"))
    assert the_email(connection, row.id).not_before == at("2026-11-22 12:00")


def test_the_rows_of_a_worker_known_to_be_gone_are_freed_before_their_lease_ends(
    connection: sa.Connection, clinic: Clinic, client_id: int
) -> None:
    ids = [build_email(connection, clinic, client_id) for _ in range(2)]
    claim(connection, ids[:1], lease=Lease("gone", "t1", 1200))
    claim(connection, ids[1:], lease=Lease("alive", "t2", 1200))
    assert sorted(holders(connection)) == ["alive", "gone"]
    assert rescue(connection, ["gone"], 1, LATER) == {"planned": 1}
    assert holders(connection) == ["alive"]


@on_postgresql
def test_a_rescue_waits_for_the_client_with_empty_hands(store: Store, clinic: Clinic) -> None:
    """Else a stop, which holds the client and wants the row, and a rescue would wait for each other."""
    with store.write() as connection:
        client_id = build_client(connection, clinic)
        email_id = build_email(connection, clinic, client_id)
        claim(connection, [email_id], lease=Lease("w1", "t1", -1))

    def rescuer() -> dict[str, int]:
        with store.write() as worker:
            return rescue(worker, [], 1, LATER)

    with ThreadPoolExecutor(1) as thread:
        with store.write() as desk:
            lock_clients(desk, [client_id])
            rescuing = thread.submit(rescuer)
            wait_until_somebody_waits(desk)
            row = sa.select(emails.c.id).where(emails.c.id == email_id).with_for_update(nowait=True)
            assert desk.execute(row).scalar_one() == email_id
        assert rescuing.result() == {"planned": 1}


@on_postgresql
def test_two_workers_that_hear_of_one_dead_address_at_once_write_it_down_once(store: Store, clinic: Clinic) -> None:
    with store.write() as connection:
        people = [build_client(connection, clinic, who, email_folded="one@example.com") for who in ("sam", "kim")]
        rows = [held(connection, clinic, client_id) for client_id in people]
        mark(connection, rows[1])  # so that the first one's suppression does not touch it

    def hear(row: ClaimedEmail) -> None:
        with store.write() as worker:
            ledger.record(worker, [outcome(row, State.FAILED, suppress=True)])

    with ThreadPoolExecutor(1) as thread:
        with store.write() as first:
            ledger.record(first, [outcome(rows[0], State.FAILED, suppress=True)])
            hearing = thread.submit(hear, rows[1])
            wait_until_somebody_waits(first)
        hearing.result()
    with store.read() as connection:
        assert len(connection.execute(sa.select(suppressions)).all()) == 1
