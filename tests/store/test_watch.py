from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.errors import NotFound
from service.store import outages, watch
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.outages import Story
from service.store.tables import Kind, alerts, beats, calls, duties, texts
from tests.support.builders import at, build_client, build_clinic, build_email, build_treatment

NOW = at("2026-11-23 08:00")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def clinic(store: Store) -> Clinic:
    with store.write() as connection:
        return build_clinic(connection)


@pytest.fixture
def connection(store: Store, clinic: Clinic) -> Iterator[sa.Connection]:
    with store.write() as opened:
        yield opened


def test_only_a_good_round_moves_the_last_good_beat(connection: sa.Connection) -> None:
    assert watch.last_good(connection) is None
    watch.beat(connection, "w1", NOW, "the disk is full")
    assert watch.last_good(connection) is None
    watch.beat(connection, "w1", NOW + MINUTE, "")
    watch.beat(connection, "w1", NOW + 2 * MINUTE, "x" * 1000)
    watch.beat(connection, "w2", NOW, "")
    assert watch.last_good(connection) == NOW + MINUTE
    mine = connection.execute(sa.select(beats).where(beats.c.worker == "w1")).one()
    assert (mine.began_at, mine.tried_at, len(mine.trouble)) == (NOW, NOW + 2 * MINUTE, 300)


def test_trouble_of_other_workers_is_found_and_workers_long_gone_are_forgotten(connection: sa.Connection) -> None:
    watch.beat(connection, "w1", NOW, "the disk is full")
    watch.beat(connection, "w2", NOW + MINUTE, "")
    assert watch.last_trouble(connection, NOW - MINUTE) == "the disk is full"
    assert watch.last_trouble(connection, NOW) == ""
    watch.forget_workers(connection, NOW + MINUTE)
    assert connection.execute(sa.select(beats.c.worker)).scalars().all() == ["w2"]


def test_one_outage_of_a_kind_goes_on_at_a_time(connection: sa.Connection) -> None:
    outages.open_outage(connection, "relay", NOW, "connection refused")
    outages.open_outage(connection, "relay", NOW + MINUTE, "another")
    going_on = outages.current_outage(connection, "relay")
    assert going_on is not None
    assert (going_on.began_at, going_on.cause) == (NOW, "connection refused")
    assert outages.current_outage(connection, "down") is None
    outages.close_outage(connection, "relay", NOW + 2 * MINUTE)
    assert outages.current_outage(connection, "relay") is None
    outages.open_outage(connection, "relay", NOW + 3 * MINUTE, "again")
    again = outages.current_outage(connection, "relay")
    assert again is not None
    assert again.cause == "again"


def test_a_note_is_kept_with_its_outage(connection: sa.Connection) -> None:
    outages.open_outage(connection, "relay", NOW, "connection refused")
    going_on = outages.current_outage(connection, "relay")
    assert going_on is not None
    assert outages.note_outage(connection, going_on.id, "a cable").note == "a cable"
    with pytest.raises(NotFound):
        outages.note_outage(connection, going_on.id + 1, "a cable")


# The weekend of a clinic owner: nothing could be sent from Friday 23:10 to Monday 07:40.
FRIDAY, MONDAY = at("2026-11-20 23:10"), at("2026-11-23 07:40")
DUE = at("2026-11-21 10:00")


def an_outage(connection: sa.Connection) -> None:
    outages.open_outage(connection, "relay", FRIDAY, "connection refused")
    outages.close_outage(connection, "relay", MONDAY)


def story(connection: sa.Connection, clinic: Clinic, now: Any = NOW) -> Story:
    (only,) = outages.stories(connection, clinic.id, now)
    return only


def a_reminder(connection: sa.Connection, clinic: Clinic, **fields: Any) -> int:
    who = build_client(
        connection, clinic, f"client{connection.execute(sa.text('SELECT count(*) FROM emails')).scalar()}"
    )
    return build_email(connection, clinic, who, **fields)


@pytest.mark.parametrize(
    ("fate", "fields"),
    [
        ("late", {"state": State.SENT, "sent_at": MONDAY + MINUTE}),
        ("late", {"state": State.SENT, "sent_at": DUE + timedelta(seconds=61)}),
        ("missed", {"state": State.MISSED, "reason": Reason.TOO_LATE, "ended_at": at("2026-11-22 12:00")}),
        ("failed", {"state": State.FAILED, "reason": Reason.REFUSED, "ended_at": MONDAY}),
        ("cancelled", {"state": State.CANCELLED, "reason": Reason.STOPPED, "ended_at": DUE + MINUTE}),
        ("unconfirmed", {"state": State.UNCONFIRMED, "ended_at": MONDAY}),
        ("open", {"state": State.PLANNED, "useful_until": at("2026-11-23 12:00")}),
        ("open", {"state": State.HELD, "reason": Reason.PAUSED}),
    ],
)
def test_a_reminder_that_fell_due_in_an_outage_is_counted_by_what_became_of_it(
    connection: sa.Connection, clinic: Clinic, fate: str, fields: dict[str, Any]
) -> None:
    an_outage(connection)
    email_id = a_reminder(connection, clinic, due_at=DUE, **fields)
    told = story(connection, clinic)
    assert dict(told.figures) == {"touched": 1, fate: 1}
    (one,) = told.touched
    assert (one.email_id, one.step, one.due_at, one.fate) == (email_id, "day-01", DUE, fate)


@pytest.mark.parametrize(
    "fields",
    [
        {"state": State.SENT, "sent_at": DUE + timedelta(seconds=60)},
        {"state": State.CANCELLED, "reason": Reason.STOPPED, "ended_at": DUE - MINUTE},
        {"state": State.PLANNED, "due_at": FRIDAY - MINUTE},
        {"state": State.PLANNED, "due_at": MONDAY + MINUTE, "useful_until": at("2026-11-24 12:00")},
        {"state": State.MISSED, "reason": Reason.REGISTERED_LATE, "planned_at": MONDAY - MINUTE},
        {"state": State.SENT, "sent_at": MONDAY + 2 * MINUTE, "planned_at": MONDAY + MINUTE},
        {"state": State.PLANNED, "kind": Kind.CATCH_UP},
    ],
    ids=["in time", "called off before", "due before", "due after", "registered late", "registered after", "no step"],
)
def test_what_the_outage_did_nothing_to_is_not_counted(
    connection: sa.Connection, clinic: Clinic, fields: dict[str, Any]
) -> None:
    an_outage(connection)
    a_reminder(connection, clinic, **({"due_at": DUE} | fields))
    assert dict(story(connection, clinic).figures) == {}


def test_a_treatment_registered_in_the_outage_falls_due_when_it_was_registered(
    connection: sa.Connection, clinic: Clinic
) -> None:
    an_outage(connection)
    a_reminder(connection, clinic, due_at=FRIDAY - MINUTE, planned_at=DUE, state=State.SENT, sent_at=MONDAY + MINUTE)
    assert dict(story(connection, clinic).figures) == {"touched": 1, "late": 1}


def test_an_outage_that_goes_on_counts_up_to_now(connection: sa.Connection, clinic: Clinic) -> None:
    outages.open_outage(connection, "relay", FRIDAY, "connection refused")
    a_reminder(connection, clinic, due_at=DUE)
    a_reminder(connection, clinic, due_at=DUE + timedelta(hours=1))
    assert story(connection, clinic, DUE).figures["open"] == 1
    assert story(connection, clinic, DUE + timedelta(hours=1)).figures["open"] == 2


def test_a_missed_step_is_replaced_by_a_catch_up_note_of_the_same_client(
    connection: sa.Connection, clinic: Clinic
) -> None:
    an_outage(connection)
    fields = {"state": State.MISSED, "reason": Reason.TOO_LATE, "ended_at": at("2026-11-22 12:00"), "due_at": DUE}
    for name, note in (("ann", State.SENT), ("bob", State.MISSED), ("cid", None)):
        client_id = build_client(connection, clinic, name)
        treatment_id = build_treatment(connection, clinic, client_id)
        build_email(connection, clinic, client_id, treatment_id=treatment_id, **fields)
        if note:
            later = {"due_at": MONDAY, "planned_at": MONDAY, "useful_until": NOW, "step": "catch-up", "state": note}
            build_email(connection, clinic, client_id, treatment_id=treatment_id, kind=Kind.CATCH_UP, **later)
    told = story(connection, clinic)
    assert dict(told.figures) == {"touched": 3, "missed": 3, "replaced": 1}
    assert [one.replaced for one in told.touched] == [True, False, False]


def test_an_outage_concerns_every_clinic_but_shows_only_its_own_clients(
    connection: sa.Connection, clinic: Clinic
) -> None:
    an_outage(connection)
    other = build_clinic(connection)
    a_reminder(connection, clinic, due_at=DUE)
    assert len(story(connection, clinic).touched) == 1
    assert story(connection, other).touched == []
    assert story(connection, other).outage == story(connection, clinic).outage


def test_an_alert_is_told_when_it_opens_and_when_it_ends(connection: sa.Connection) -> None:
    watch.open_alert(connection, "relay", "it is broken", NOW)
    watch.open_alert(connection, "relay", "still", NOW + MINUTE)
    (opened,) = watch.untold(connection, NOW)
    assert (opened.words, opened.opened_at, opened.closed_at) == ("it is broken", NOW, None)
    watch.told(connection, [opened], NOW)
    assert watch.untold(connection, NOW) == []
    watch.close_alert(connection, "relay", NOW + MINUTE)
    (ended,) = watch.untold(connection, NOW)
    assert ended.closed_at == NOW + MINUTE
    watch.told(connection, [ended], NOW + MINUTE)
    assert watch.untold(connection, NOW) == []
    watch.open_alert(connection, "relay", "again", NOW + 2 * MINUTE)
    assert [alert.words for alert in watch.untold(connection, NOW)] == ["again"]
    assert set(watch.standing(connection)) == {"relay"}


def test_what_changes_while_it_is_being_told_is_told_too(connection: sa.Connection) -> None:
    watch.open_alert(connection, "relay", "it is broken", NOW)
    watch.open_alert(connection, "calls", "one", NOW)
    read = watch.untold(connection, NOW)
    watch.close_alert(connection, "relay", NOW + MINUTE)
    watch.renew_alert(connection, "calls", "two", NOW + MINUTE, NOW + MINUTE)
    watch.told(connection, read, NOW + MINUTE)
    assert [(alert.key, alert.closed_at is None) for alert in watch.untold(connection, NOW)] == [
        ("relay", False),
        ("calls", True),
    ]


def test_what_was_over_long_ago_or_was_replaced_is_told_to_nobody(connection: sa.Connection) -> None:
    watch.open_alert(connection, "relay", "it is broken", NOW)
    watch.close_alert(connection, "relay", NOW)
    watch.open_alert(connection, "text:1", "look at it", NOW)
    watch.close_alert(connection, "text:1", NOW + MINUTE, quietly=True)
    assert watch.untold(connection, NOW) == []
    assert connection.execute(sa.select(sa.func.count()).select_from(alerts)).scalar_one() == 2


def test_a_duty_is_taken_by_one_and_done_once_a_period(connection: sa.Connection) -> None:
    assert watch.take_duty(connection, "digest", "2026-11-23", "t1", 60)
    assert not watch.take_duty(connection, "digest", "2026-11-23", "t2", 60)
    assert watch.done_for(connection, "digest") == ""
    watch.finish_duty(connection, "digest", "2026-11-23", "t2")
    assert watch.done_for(connection, "digest") == ""
    watch.finish_duty(connection, "digest", "2026-11-23", "t1")
    assert watch.done_for(connection, "digest") == "2026-11-23"
    assert not watch.take_duty(connection, "digest", "2026-11-23", "t3", 60)
    assert watch.take_duty(connection, "digest", "2026-11-24", "t3", 60)


def test_a_duty_that_was_dropped_or_whose_lease_is_over_is_free_again(connection: sa.Connection) -> None:
    assert watch.take_duty(connection, "digest", "2026-11-23", "t1", 60)
    watch.drop_duty(connection, "digest", "t2")
    assert not watch.take_duty(connection, "digest", "2026-11-23", "t2", 60)
    watch.drop_duty(connection, "digest", "t1")
    assert watch.take_duty(connection, "digest", "2026-11-23", "t2", -1)
    assert watch.take_duty(connection, "digest", "2026-11-23", "t3", 60)
    watch.finish_duty(connection, "digest", "2026-11-23", "t2")
    assert connection.execute(sa.select(duties.c.lease_token)).scalar_one() == "t3"


def test_of_many_workers_at_once_one_gets_the_duty(store: Store) -> None:
    start, taken = threading.Barrier(5), []

    def work(token: str) -> None:
        start.wait()
        with store.write() as connection:
            if watch.take_duty(connection, "digest", "2026-11-23", token, 60):
                taken.append(token)
                watch.finish_duty(connection, "digest", "2026-11-23", token)

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1


def a_call(connection: sa.Connection, clinic: Clinic, client_id: int, **fields: Any) -> int:
    values = {
        "clinic_id": clinic.id,
        "client_id": client_id,
        "reason": "missed",
        "opened_at": NOW,
        "due_at": NOW + MINUTE,
    }
    return int(connection.execute(sa.insert(calls).values(values | fields).returning(calls.c.id)).scalar_one())


CLOSED = {"state": "closed", "outcome": "reached", "closed_at": NOW}


def test_an_alert_is_renewed_once_for_the_same_instant(connection: sa.Connection) -> None:
    watch.open_alert(connection, "call:7:T", "one", NOW)
    for words, now in (("two", NOW + 2 * MINUTE), ("three", NOW + 3 * MINUTE)):
        watch.renew_alert(connection, "call:7:T", words, NOW + MINUTE, now)
    assert watch.standing(connection)["call:7:T"].words == "two"


def test_red_calls_and_late_calls_are_told_apart(connection: sa.Connection, clinic: Clinic) -> None:
    who = build_client(connection, clinic)
    a_call(connection, clinic, who)
    a_call(connection, clinic, who, level="E", **CLOSED)
    late, soon = (a_call(connection, clinic, who, level=level, due_at=NOW + 5 * MINUTE) for level in "TD")
    assert watch.overdue_calls(connection, NOW) == (0, None)
    assert watch.overdue_calls(connection, NOW + MINUTE) == (1, NOW + MINUTE)
    assert watch.overdue_calls(connection, NOW + 9 * MINUTE) == (1, NOW + MINUTE)
    assert watch.red_calls(connection) == [
        (late, clinic.id, "T", NOW + 5 * MINUTE),
        (soon, clinic.id, "D", NOW + 5 * MINUTE),
    ]


def test_missed_reminders_are_counted_from_a_call_on(connection: sa.Connection, clinic: Clinic) -> None:
    who = build_client(connection, clinic)
    assert watch.missed_after(connection, 0) == (0, 0)
    first = a_call(connection, clinic, who)
    a_call(connection, clinic, who, reason="registered_late")
    second = a_call(connection, clinic, who)
    a_call(connection, clinic, who, **CLOSED)
    assert watch.missed_after(connection, 0) == (2, second)
    assert watch.missed_after(connection, first) == (1, second)
    assert watch.missed_after(connection, second) == (0, second)


def a_text(connection: sa.Connection, clinic: Clinic, version: int, review_by: date | None, **fields: Any) -> int:
    values = {"clinic_id": clinic.id, "protocol": "smp", "name": "day-01", "language": "en", "version": version}
    approval = {"approved_at": NOW, "approved_by": "a clinician"} if review_by else {}
    made = {"source": "", "sha256": "", "created_at": NOW, "created_by": "test", "review_by": review_by}
    new = sa.insert(texts).values(values | made | approval | fields).returning(texts.c.id)
    return int(connection.execute(new).scalar_one())


def test_the_newest_approved_version_of_a_text_is_the_one_to_review(connection: sa.Connection, clinic: Clinic) -> None:
    until = date(2026, 12, 23)
    a_text(connection, clinic, 1, date(2026, 12, 1))
    mine = a_text(connection, clinic, 2, until)
    a_text(connection, clinic, 3, date(2027, 1, 1), withdrawn_at=NOW)
    a_text(connection, clinic, 4, None)
    a_text(connection, clinic, 1, until, name="day-03", withdrawn_at=NOW)
    (found,) = watch.reviews(connection, until)
    assert (found.id, found.name, found.by) == (mine, "day-01", until)
    assert watch.reviews(connection, until - timedelta(days=1)) == []
