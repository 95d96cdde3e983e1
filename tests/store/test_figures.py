"""The figures of the digest and the metrics are those of the rows, whatever states they are in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.store import figures, outages, watch
from service.store.calls import open_calls
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.figures import FellDue, Gap, Span
from service.store.gauges import NEWEST_CALLS, CallList, snapshot
from service.store.tables import Kind, calls, emails
from tests.bench.stock import fill
from tests.store.test_query_plans import whole_tables_read
from tests.support.builders import at, build_client, build_clinic, build_email, build_treatment

NOW = at("2026-11-22 08:00")
SPAN = Span(at("2026-11-21 08:00"), NOW)
DUE = at("2026-11-21 10:00")


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


@pytest.fixture
def put(connection: sa.Connection, clinic: Clinic, client: int) -> Callable[..., int]:
    """Store one reminder that fell due at DUE, in the state asked for."""

    def build(state: State = State.PLANNED, **fields: Any) -> int:
        if state in (State.CLAIMED, State.SENDING):
            fields = {"lease_token": "t1", "lease_until": NOW} | fields
        return build_email(connection, clinic, client, **{"state": state, "due_at": DUE} | fields)

    return build


def due(connection: sa.Connection, clinic: Clinic, **expected: int) -> None:
    found = figures.fell_due(connection, clinic.id, SPAN)
    assert found == FellDue(**dict.fromkeys(FellDue._fields, 0) | expected)


def test_every_state_is_counted_once_and_they_add_up(
    connection: sa.Connection, clinic: Clinic, put: Callable[..., int]
) -> None:
    for state in State:
        put(state)
    put(State.MISSED, reason=Reason.REGISTERED_LATE)
    found = figures.fell_due(connection, clinic.id, SPAN)
    assert found.due == len(State) + 1 == sum(found) - found.due - found.registered_late
    assert (found.on_time, found.late, found.missed, found.registered_late, found.waiting) == (1, 0, 2, 1, 4)


def test_an_empty_day_has_no_figures(connection: sa.Connection, clinic: Clinic) -> None:
    due(connection, clinic)
    assert figures.missed(connection, clinic.id, SPAN) == []
    assert figures.to_go(connection, clinic.id, NOW, NOW + timedelta(days=1)) == (0, None)


@pytest.mark.parametrize(
    ("sent", "fields", "late"),
    [
        ("2026-11-21 10:01:00", {}, False),
        ("2026-11-21 10:01:01", {}, True),
        ("2026-11-21 15:00:30", {"planned_at": at("2026-11-21 15:00")}, False),
        ("2026-11-21 15:01:30", {"planned_at": at("2026-11-21 15:00")}, True),
        ("2026-11-21 15:00:30", {"not_before": at("2026-11-21 15:00")}, True),
    ],
    ids=["a minute", "longer", "registered late and at once", "registered late and later", "tried again until then"],
)
def test_on_time_is_within_a_minute_of_falling_due_or_of_being_registered(
    connection: sa.Connection, clinic: Clinic, put: Callable[..., int], sent: str, fields: dict[str, Any], late: bool
) -> None:
    put(State.SENT, sent_at=at(sent), **fields)
    due(connection, clinic, due=1, **{"late" if late else "on_time": 1})


def test_a_span_holds_its_beginning_and_not_its_end(
    connection: sa.Connection, clinic: Clinic, put: Callable[..., int]
) -> None:
    put(due_at=SPAN.since)
    put(due_at=SPAN.until, useful_until=SPAN.until + timedelta(days=1))
    put(due_at=SPAN.since - timedelta(seconds=1))
    due(connection, clinic, due=1, waiting=1)


def test_only_the_clinics_own_reminders_count(
    connection: sa.Connection, clinic: Clinic, put: Callable[..., int]
) -> None:
    other = build_clinic(connection, name="Southgate")
    theirs = build_client(connection, other, "ana")
    email_id = build_email(connection, other, theirs, state=State.MISSED, marked_at=DUE, doubt_retries=1)
    build_email(connection, other, theirs, step="day-03")
    open_calls(connection, [call(other, theirs, email_id)], NOW)
    put(State.SENT, kind=Kind.CATCH_UP)
    due(connection, clinic)
    assert figures.missed(connection, clinic.id, SPAN) == []
    assert figures.open_calls(connection, clinic.id) == []
    assert figures.to_go(connection, clinic.id, at("2026-11-21 09:00"), NOW) == (0, None)
    assert figures.out_of_date(connection, clinic.id, SPAN.since) == []


def call(clinic: Clinic, client_id: int, email_id: int | None, reason: str = "missed") -> dict[str, Any]:
    return {"clinic_id": clinic.id, "client_id": client_id, "email_id": email_id, "reason": reason}


def test_what_expired_comes_with_its_call_and_its_note(
    connection: sa.Connection, clinic: Clinic, client: int, put: Callable[..., int]
) -> None:
    treatment = build_treatment(connection, clinic, client)
    first = put(State.MISSED, treatment_id=treatment)
    put(State.MISSED, treatment_id=treatment, step="day-03", reason=Reason.REGISTERED_LATE)
    (found,) = figures.missed(connection, clinic.id, SPAN)
    assert found[1:] == (treatment, "scalp-micropigmentation", "day-01", None, False, False)
    open_calls(connection, [call(clinic, client, first)], NOW)
    before = {"due_at": DUE, "planned_at": DUE, "useful_until": NOW}
    build_email(connection, clinic, client, kind=Kind.CATCH_UP, state=State.SENT, step="catch-up-01", **before)
    assert figures.missed(connection, clinic.id, SPAN)[0][4:] == ("open", False, False)
    after = at("2026-11-22 12:00")
    times = {"due_at": after, "planned_at": after, "useful_until": after + timedelta(hours=8)}
    note = build_email(connection, clinic, client, kind=Kind.CATCH_UP, step="catch-up-02", **times)
    assert figures.missed(connection, clinic.id, SPAN)[0][4:] == ("open", False, True)
    connection.execute(sa.update(emails).where(emails.c.id == note).values(state=State.SENT, sent_at=after))
    assert figures.missed(connection, clinic.id, SPAN)[0][4:] == ("open", True, False)


def test_open_calls_come_by_deadline_with_their_step(
    connection: sa.Connection, clinic: Clinic, client: int, put: Callable[..., int]
) -> None:
    email_id = put(State.MISSED, treatment_id=build_treatment(connection, clinic, client))
    open_calls(connection, [call(clinic, client, None, "stopped")], NOW)
    open_calls(connection, [call(clinic, client, email_id)], NOW - timedelta(hours=1))
    closed = put(State.FAILED, step="day-03")
    open_calls(connection, [call(clinic, client, closed, "failed")], NOW)
    connection.execute(sa.update(calls).where(calls.c.email_id == closed).values(state="covered", closed_at=NOW))
    missed, stopped = figures.open_calls(connection, clinic.id)
    assert (missed.reason, missed.step, missed.state) == ("missed", "day-01", "missed")
    assert (stopped.reason, stopped.email_id, stopped.step) == ("stopped", None, None)


def test_steps_on_their_way_are_those_that_go_before_an_instant(
    connection: sa.Connection, clinic: Clinic, client: int, put: Callable[..., int]
) -> None:
    treatment = build_treatment(connection, clinic, client)
    for step, state in (("day-01", State.SENT), ("day-03", State.PLANNED), ("day-04", State.HELD)):
        put(state, treatment_id=treatment, step=step)
    later = {"due_at": NOW, "useful_until": NOW + timedelta(days=1)}
    put(treatment_id=treatment, step="day-10", **later)
    assert figures.steps_on_their_way(connection, [treatment, treatment], NOW) == {(treatment, "day-03"): DUE}


def test_what_may_still_go_is_told_with_its_first_hour(
    connection: sa.Connection, clinic: Clinic, put: Callable[..., int]
) -> None:
    midnight = at("2026-11-22 00:00")
    put(not_before=at("2026-11-21 12:00"))
    put(State.IN_DOUBT, not_before=at("2026-11-21 11:00"))
    put(State.HELD)
    put(not_before=midnight)
    put(useful_until=at("2026-11-21 10:30"))
    put(kind=Kind.HELLO)
    assert figures.to_go(connection, clinic.id, at("2026-11-21 10:30"), midnight) == (2, at("2026-11-21 11:00"))


@pytest.mark.parametrize("marked", ["2026-11-21 09:59:59", "2026-11-22 12:00"])
def test_what_went_out_before_its_hour_or_after_its_shelf_life_is_found(
    connection: sa.Connection, clinic: Clinic, put: Callable[..., int], marked: str
) -> None:
    put(State.SENT, marked_at=DUE)
    wrong = put(State.SENT, marked_at=at(marked))
    assert figures.out_of_date(connection, clinic.id, SPAN.since) == [wrong]
    assert figures.out_of_date(connection, clinic.id, at("2026-11-23 00:00")) == []


def test_what_may_have_reached_its_client_twice_is_found(
    connection: sa.Connection, clinic: Clinic, client: int, put: Callable[..., int]
) -> None:
    treatment = build_treatment(connection, clinic, client)
    put(State.SENT, marked_at=DUE, treatment_id=treatment, step="day-03")
    put(State.IN_DOUBT, marked_at=DUE)
    assert figures.twice(connection, clinic.id, SPAN.since) == []
    repeated = put(State.SENT, marked_at=DUE, doubt_retries=1)
    before = put(State.SENT, marked_at=DUE, treatment_id=treatment, replaced_at=NOW)
    again = put(State.SENT, marked_at=NOW, treatment_id=treatment)
    assert figures.twice(connection, clinic.id, SPAN.since) == [repeated, before, again]


def test_outages_that_touch_a_span_are_told(connection: sa.Connection) -> None:
    for began, ended in (("20 01:00", "20 02:00"), ("21 01:00", "21 09:00"), ("21 12:00", "21 13:00")):
        outages.open_outage(connection, "relay", at(f"2026-11-{began}"), "no answer")
        outages.close_outage(connection, "relay", at(f"2026-11-{ended}"))
    outages.open_outage(connection, "down", at("2026-11-21 20:00"), "no worker")
    outages.open_outage(connection, "relay", NOW, "no answer")
    assert figures.gaps(connection, SPAN) == [
        Gap("relay", at("2026-11-21 01:00"), at("2026-11-21 09:00")),
        Gap("relay", at("2026-11-21 12:00"), at("2026-11-21 13:00")),
        Gap("down", at("2026-11-21 20:00"), None),
    ]


def test_a_snapshot_of_nothing_is_all_noughts(connection: sa.Connection) -> None:
    found = snapshot(connection, NOW)
    assert set(found.states.values()) == {0}
    assert set(found.states) == {"planned", "claimed", "sending", "in_doubt", "held", "sent", "unconfirmed"}
    assert (found.waiting, found.oldest_due_at, found.missed, found.failed, found.bounced) == (0, None, 0, 0, 0)
    assert found.calls == CallList({"missed": 0, "failed": 0, "unconfirmed": 0}, 0, None)
    assert (found.last_good_at, found.alerts, found.outages) == (None, 0, frozenset())


def test_a_snapshot_counts_what_is_open_and_what_went_in_the_last_day(
    connection: sa.Connection, put: Callable[..., int]
) -> None:
    for state in State:
        put(state, marked_at=DUE if state in (State.SENT, State.UNCONFIRMED) else None)
    put(State.SENT, marked_at=DUE, bounced_at=NOW)
    put(State.SENT, marked_at=NOW - timedelta(hours=24))
    soon, later = NOW + timedelta(hours=24), NOW + timedelta(hours=25)
    for hour in (soon, later):
        put(due_at=hour, useful_until=hour + timedelta(days=1))
    found = snapshot(connection, NOW)
    one_each = dict.fromkeys(("claimed", "sending", "in_doubt", "held", "unconfirmed"), 1)
    assert found.states == {"planned": 2, "sent": 2, **one_each}
    assert found.bounced == 1


def test_the_oldest_due_is_measured_from_its_hour_or_its_registration_not_from_the_last_try(
    connection: sa.Connection, put: Callable[..., int]
) -> None:
    put(not_before=NOW)
    put(planned_at=NOW - timedelta(hours=1), due_at=DUE - timedelta(days=1), not_before=NOW - timedelta(hours=1))
    put(due_at=DUE - timedelta(hours=1), not_before=NOW + timedelta(minutes=5))
    found = snapshot(connection, NOW)
    assert (found.waiting, found.oldest_due_at) == (2, DUE)


def test_a_snapshot_counts_calls_and_what_was_lost_in_the_last_day(
    connection: sa.Connection, clinic: Clinic, client: int, put: Callable[..., int]
) -> None:
    lost = [put(State.MISSED), put(State.MISSED), put(State.FAILED)]
    for email_id, reason, ago in zip(lost, ("missed", "missed", "failed"), (30, 3, 1), strict=True):
        open_calls(connection, [call(clinic, client, email_id, reason)], NOW - timedelta(hours=ago))
    open_calls(connection, [call(clinic, client, None, "stopped")], NOW)
    connection.execute(sa.update(calls).where(calls.c.email_id == lost[1]).values(state="covered", closed_at=NOW))
    found = snapshot(connection, NOW)
    assert (found.missed, found.failed) == (1, 1)
    open_now = {"missed": 1, "failed": 1, "unconfirmed": 0, "stopped": 1}
    assert found.calls == CallList(open_now, 1, NOW - timedelta(hours=30))


def test_the_calls_of_a_day_are_looked_for_among_the_newest_only(
    connection: sa.Connection, clinic: Clinic, client: int, put: Callable[..., int]
) -> None:
    for number in (1, 1 + NEWEST_CALLS):
        open_calls(connection, [call(clinic, client, put(State.MISSED))], NOW)
        newest = connection.execute(sa.select(sa.func.max(calls.c.id))).scalar_one()
        connection.execute(sa.update(calls).where(calls.c.id == newest).values(id=number))
    assert snapshot(connection, NOW).missed == 1


def test_a_snapshot_knows_beats_alerts_and_outages(connection: sa.Connection) -> None:
    watch.beat(connection, "w1", NOW, "")
    watch.beat(connection, "w2", NOW + timedelta(minutes=1), "the disk is full")
    watch.open_alert(connection, "relay", "The relay does not answer.", NOW)
    outages.open_outage(connection, "relay", NOW, "no answer")
    found = snapshot(connection, NOW)
    assert (found.last_good_at, found.alerts, found.outages) == (NOW, 1, frozenset({"relay"}))


@pytest.fixture
def filled(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """A SQLite store with due and planned e-mails; its planner has no statistics, as in the product."""
    path = tmp_path / "aftercare.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = Store(f"sqlite:///{path}")
    fill(store, NOW, due=30, future=300)
    yield store
    store.close()


def _all_by_existing_indexes(connection: sa.Connection, now: datetime) -> None:
    snapshot(connection, now)
    figures.open_calls(connection, 1)
    figures.steps_on_their_way(connection, [1, 2, 3], now)
    figures.to_go(connection, 1, now, now + timedelta(days=1))
    figures.out_of_date(connection, 1, now)
    figures.twice(connection, 1, now)
    figures.fell_due(connection, 1, SPAN)
    figures.missed(connection, 1, SPAN)


def test_the_metrics_read_no_table_from_end_to_end(filled: Store) -> None:
    with filled.read() as connection:
        assert whole_tables_read(connection, lambda: _all_by_existing_indexes(connection, NOW)) == []
