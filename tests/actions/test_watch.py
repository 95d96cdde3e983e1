from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from service.actions.watch import Watch, note_outage
from service.domain.reminder import Reason, State
from service.errors import BadInput
from service.store.engine import Store
from service.store.outages import Outage, stories
from service.store.tables import alerts, beats, calls, clinics, emails, texts
from service.store.watch import last_good
from tests.support.builders import build_client, build_clinic, build_email
from tests.support.webhook import Webhook, a_webhook
from tests.support.world import at

NOW = at("2026-11-23 08:00")
DAY = timedelta(days=1)


def minutes(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with a_webhook() as listening:
        yield listening


@pytest.fixture
def watch(store: Store, webhook: Webhook) -> Watch:
    return worker(store, webhook)


def worker(store: Store, webhook: Webhook, name: str = "w1") -> Watch:
    return Watch(store, name, webhook.url, webhook.url)


def patient(store: Store, webhook: Webhook, name: str = "w1") -> Watch:
    """One whose rounds may lie days apart."""
    return Watch(store, name, webhook.url, webhook.url, down_after=100 * DAY)


def good(watch: Watch, now: datetime, **more: Any) -> None:
    asyncio.run(watch.after_round(now, "", "", None, **more))


def failed(watch: Watch, now: datetime, trouble: str = "the disk is full") -> None:
    asyncio.run(watch.after_round(now, trouble, "", None))


def stopped(watch: Watch, now: datetime, since: datetime, cause: str = "connect: refused", **more: Any) -> None:
    asyncio.run(watch.after_round(now, "", cause, since, **more))


def tell(watch: Watch, now: datetime) -> None:
    asyncio.run(watch.tell(now))


def ledger(store: Store) -> list[Outage]:
    with store.write() as connection:
        clinic_id = connection.execute(sa.select(sa.func.min(clinics.c.id))).scalar() or build_clinic(connection).id
        return [story.outage for story in stories(connection, clinic_id, NOW)]


def rows(store: Store, table: sa.Table) -> list[Any]:
    with store.read() as connection:
        return list(connection.execute(sa.select(table).order_by(*table.primary_key)))


def write(store: Store, statement: sa.Executable) -> None:
    with store.write() as connection:
        connection.execute(statement)


# Nobody worked


def test_the_first_round_ever_is_no_outage(store: Store, watch: Watch) -> None:
    good(watch, NOW)
    good(watch, minutes(10))
    tell(watch, minutes(10))
    assert ledger(store) == []
    assert rows(store, alerts) == []


def test_who_comes_back_first_writes_down_that_nobody_worked(store: Store, webhook: Webhook) -> None:
    good(worker(store, webhook, "w1"), NOW)
    back = worker(store, webhook, "w2")
    good(back, minutes(40))
    good(worker(store, webhook, "w3"), minutes(40))
    (outage,) = ledger(store)
    assert (outage.kind, outage.began_at, outage.ended_at) == ("down", NOW, minutes(40))
    assert outage.cause == "no worker was running"
    tell(back, minutes(40))
    assert webhook.posts == [
        {
            "service": "aftercare",
            "alert": "down",
            "state": "closed",
            "message": "Nothing was sent from 2026-11-23 08:00 UTC to 2026-11-23 08:40 UTC: no worker was running."
            " See `aftercare outages`.",
            "since": "2026-11-23T08:00:00Z",
        }
    ]


def test_workers_that_come_back_together_write_it_down_once(store: Store, webhook: Webhook) -> None:
    good(worker(store, webhook), NOW)
    start = threading.Barrier(4)

    def come_back(name: str) -> None:
        start.wait()
        other = Store(store.url.render_as_string(hide_password=False))
        good(worker(other, webhook, name), minutes(40))
        other.close()

    threads = [threading.Thread(target=come_back, args=(f"back{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ledger(store)) == 1
    assert [alert.key for alert in rows(store, alerts)] == ["down"]
    assert len(rows(store, beats)) == 5


def test_another_worker_at_work_means_that_somebody_worked(store: Store, webhook: Webhook) -> None:
    one, other = worker(store, webhook, "w1"), worker(store, webhook, "w2")
    good(one, NOW)
    for number in range(0, 40, 5):
        good(other, minutes(number))
    good(one, minutes(40))
    assert ledger(store) == []


def test_a_long_round_is_work_and_so_is_what_it_sends(store: Store, webhook: Webhook) -> None:
    one = worker(store, webhook, "w1")
    good(one, NOW)
    good(one, minutes(30), began=minutes(1))
    with store.write() as connection:
        clinic = build_clinic(connection)
        sam = build_client(connection, clinic)
        build_email(connection, clinic, sam, state=State.SENT, sent_at=minutes(55), marked_at=minutes(55))
    good(worker(store, webhook, "w2"), minutes(60))
    assert ledger(store) == []


def test_rounds_that_failed_all_the_time_are_an_outage_with_its_cause(store: Store, watch: Watch) -> None:
    good(watch, NOW)
    failed(watch, minutes(5))
    failed(watch, minutes(12), "the mailbox of sam@example.com\nis odd")
    good(watch, minutes(13))
    (outage,) = ledger(store)
    assert (outage.began_at, outage.ended_at) == (NOW, minutes(13))
    assert outage.cause == "the mailbox of <address> is odd"


# Rounds fail


def test_rounds_that_fail_for_a_quarter_of_an_hour_are_told_until_they_work(
    store: Store, watch: Watch, webhook: Webhook
) -> None:
    good(watch, NOW)
    for number in (1, 14):
        failed(watch, minutes(number))
        tell(watch, minutes(number))
    assert webhook.told == []
    failed(watch, minutes(15))
    tell(watch, minutes(15))
    assert webhook.told == [("round", "open")]
    assert "since 2026-11-23 08:00 UTC: the disk is full" in webhook.posts[0]["message"]
    failed(watch, minutes(30))
    tell(watch, minutes(30))
    good(watch, minutes(31))
    tell(watch, minutes(31))
    assert sorted(webhook.told) == [("down", "closed"), ("round", "closed"), ("round", "open")]


def test_rounds_that_only_a_person_can_mend_are_told_at_once(store: Store, watch: Watch, webhook: Webhook) -> None:
    asyncio.run(watch.after_round(NOW, "nothing is sent: the clock jumped", "", None, urgent=True))
    tell(watch, NOW)
    assert webhook.told == [("round", "open")]


def test_one_workers_good_round_does_not_end_anothers_trouble(store: Store, webhook: Webhook) -> None:
    ill, well = patient(store, webhook, "ill"), patient(store, webhook, "well")
    good(ill, NOW)
    failed(ill, minutes(1))
    good(well, minutes(15))
    failed(ill, minutes(16))
    good(well, minutes(17))
    tell(well, minutes(17))
    assert webhook.told == [("round", "open")]
    good(ill, minutes(18))
    tell(well, minutes(18))
    assert webhook.told == [("round", "open"), ("round", "closed")]


def test_a_database_that_is_gone_is_told_although_nothing_can_be_written_down(
    sqlite_template: Path, tmp_path: Path, webhook: Webhook
) -> None:
    path, away = tmp_path / "aftercare.db", tmp_path / "away.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = Store(f"sqlite:///{path}")
    watch = worker(store, webhook)
    good(watch, NOW)
    path.rename(away)
    path.mkdir()
    store._writer.dispose()
    for number in range(1, 20):
        failed(watch, minutes(number), "the database did not answer")
        tell(watch, minutes(number))
    assert webhook.told == [("round", "open")]
    path.rmdir()
    away.rename(path)
    good(watch, minutes(21))
    tell(watch, minutes(21))
    assert sorted(webhook.told) == [("down", "closed"), ("round", "closed"), ("round", "open")]
    store.close()


# The relay


def test_a_relay_that_is_down_for_a_quarter_of_an_hour_is_told_until_it_works(store: Store, webhook: Webhook) -> None:
    watch = patient(store, webhook)
    stopped(watch, NOW, NOW)
    stopped(watch, minutes(14), NOW)
    tell(watch, minutes(14))
    (outage,) = ledger(store)
    assert (outage.kind, outage.began_at, outage.ended_at) == ("relay", NOW, None)
    assert webhook.told == []
    stopped(watch, minutes(15), NOW)
    tell(watch, minutes(15))
    assert webhook.told == [("relay", "open")]
    assert webhook.posts[0]["message"] == "The mail relay cannot be used since 2026-11-23 08:00 UTC: connect: refused."
    good(watch, minutes(20))
    tell(watch, minutes(20))
    assert webhook.told == [("relay", "open"), ("relay", "closed")]
    assert [outage.ended_at for outage in ledger(store)] == [minutes(20)]


def test_what_only_a_person_can_mend_is_told_at_once(watch: Watch, webhook: Webhook) -> None:
    stopped(watch, NOW, NOW, "auth: 535 wrong password", urgent=True)
    tell(watch, NOW)
    assert webhook.told == [("relay", "open")]


def test_an_alert_repeats_no_address_that_a_relay_repeated(store: Store, watch: Watch, webhook: Webhook) -> None:
    stopped(watch, NOW, NOW, "message: 554 spam for sam@example.com\x00", urgent=True)
    tell(watch, NOW)
    assert "sam" not in str(webhook.posts)
    assert "sam" not in ledger(store)[0].cause


def test_a_worker_that_knows_nothing_about_the_relay_does_not_end_its_outage(store: Store, webhook: Webhook) -> None:
    stopped(worker(store, webhook, "w1"), minutes(1), NOW, urgent=True)
    idle = worker(store, webhook, "idle")
    good(idle, minutes(2))
    assert ledger(store)[0].ended_at is None
    a_mail_was_sent(store, minutes(3))
    good(idle, minutes(4))
    assert ledger(store)[0].ended_at == minutes(4)
    tell(idle, minutes(4))
    assert webhook.told == [("relay", "closed")]


def test_a_mail_that_was_dated_ahead_for_a_trial_hides_no_outage(store: Store, webhook: Webhook) -> None:
    a_mail_was_sent(store, minutes(600))
    watch = worker(store, webhook, "w1")
    stopped(watch, minutes(1), NOW, urgent=True)
    tell(watch, minutes(1))
    assert [outage.kind for outage in ledger(store)] == ["relay"]
    assert webhook.told == [("relay", "open")]


@pytest.mark.parametrize("reason", [Reason.RENDER_ERROR, Reason.UNAPPROVED])
def test_e_mails_that_wait_for_a_person_are_told_until_they_do_not(
    store: Store, watch: Watch, webhook: Webhook, reason: Reason
) -> None:
    with store.write() as connection:
        clinic = build_clinic(connection)
        client = build_client(connection, clinic)
        build_email(connection, clinic, client, state=State.HELD, reason=reason, useful_until=minutes(90))
        build_email(connection, clinic, client, state=State.HELD, reason=Reason.PAUSED, useful_until=minutes(90))
    good(watch, minutes(1))
    tell(watch, minutes(1))
    assert webhook.told == [("held", "open")]
    assert webhook.posts[0]["message"].startswith("1 e-mail waits for a person:")
    good(watch, minutes(3))
    tell(watch, minutes(3))
    assert webhook.told == [("held", "open")]
    with store.write() as connection:
        connection.execute(emails.update().where(emails.c.reason == reason).values(state=State.PLANNED, reason=None))
    good(watch, minutes(5))
    tell(watch, minutes(5))
    assert webhook.told == [("held", "open"), ("held", "closed")]


def a_mail_was_sent(store: Store, when: datetime) -> None:
    with store.write() as connection:
        clinic = build_clinic(connection)
        build_email(
            connection, clinic, build_client(connection, clinic), state=State.SENT, sent_at=when, marked_at=when
        )


def test_while_another_worker_sends_one_stopped_line_is_no_outage(store: Store, webhook: Webhook) -> None:
    lame, well = patient(store, webhook, "lame"), patient(store, webhook, "well")
    stopped(lame, minutes(1), NOW)
    a_mail_was_sent(store, minutes(2))
    for number in (3, 20):
        good(well, minutes(number))
        stopped(lame, minutes(number), NOW)
    (outage,) = ledger(store)
    assert outage.ended_at == minutes(3)


# What waits for people


def add_clinic(store: Store) -> tuple[int, int]:
    """(clinic, client)"""
    with store.write() as connection:
        clinic = build_clinic(connection)
        return clinic.id, build_client(connection, clinic)


def add_call(store: Store, whose: tuple[int, int], **fields: Any) -> None:
    values = {
        "clinic_id": whose[0],
        "client_id": whose[1],
        "reason": "missed",
        "opened_at": NOW,
        "due_at": minutes(120),
    }
    write(store, sa.insert(calls).values(values | fields))


def close_calls(store: Store) -> None:
    write(store, sa.update(calls).values(state="closed", outcome="reached", closed_at=NOW))


def test_each_missed_reminder_is_told_once(store: Store, webhook: Webhook) -> None:
    one, other, whose = worker(store, webhook, "w1"), worker(store, webhook, "w2"), add_clinic(store)
    for watch, number in ((one, 1), (other, 1), (other, 2), (one, 2)):
        for _ in range(2 if watch is one and number == 1 else 0):
            add_call(store, whose)
        good(watch, minutes(number))
        tell(watch, minutes(number))
    add_call(store, whose, reason="wrong_day")
    add_call(store, whose)
    good(other, minutes(3))
    tell(one, minutes(3))
    assert webhook.told == [("missed", "closed"), ("missed", "closed")]
    assert [body["message"].partition(":")[0] for body in webhook.posts] == [
        "2 reminders were missed",
        "1 reminder was missed",
    ]


def test_a_call_past_its_deadline_is_told_until_none_is_left(store: Store, webhook: Webhook) -> None:
    watch = patient(store, webhook)
    whose = add_clinic(store)
    add_call(store, whose, reason="failed")
    good(watch, NOW)
    good(watch, minutes(119))
    tell(watch, minutes(119))
    assert webhook.told == []
    for number in (120, 121):
        good(watch, minutes(number), began=minutes(number))
        tell(watch, minutes(number))
    pressing = [body for body in webhook.posts if body["alert"] == "calls"]
    assert [body["state"] for body in pressing] == ["open"]
    assert pressing[0]["message"] == (
        "1 call is past the deadline. Oldest deadline: 2026-11-23 10:00 UTC. See `aftercare calls list`."
    )
    close_calls(store)
    good(watch, minutes(122))
    tell(watch, minutes(122))
    assert webhook.told[-1] == ("calls", "closed")


def red(webhook: Webhook) -> list[tuple[str, str]]:
    return [(key, state) for key, state in webhook.told if key.startswith("call:")]


def test_a_red_answer_is_told_at_once_and_again_when_nobody_acted_and_so_is_the_next(
    store: Store, webhook: Webhook
) -> None:
    one, other, whose = patient(store, webhook), patient(store, webhook), add_clinic(store)
    good(one, minutes(0.1))
    add_call(store, whose, reason="red_answer", level="T", opened_at=minutes(0.2), due_at=minutes(60))
    # In the next round, not in the next minute: whichever worker has it, and each thing once.
    for number in (0.3, 0.4, 1, 59, 60, 61, 62, 63):
        if number == 62:
            add_call(store, whose, reason="red_answer", level="E", opened_at=minutes(61.5), due_at=minutes(76))
        for watch in (one, other):
            good(watch, minutes(number))
            tell(watch, minutes(number))
        told = [("call:1:T", "open")] * (1 if number < 60 else 2) + [("call:2:E", "open")] * (number >= 62)
        assert red(webhook) == told, number
    messages = [body["message"] for body in webhook.posts if body["alert"].startswith("call:")]
    assert messages == [
        "A red answer (level T) asks for call 1 of clinic 1 by 2026-11-23 09:00 UTC.",
        "A red answer (level T) asks for call 1 of clinic 1 by 2026-11-23 09:00 UTC. Nobody has closed it in time.",
        "A red answer (level E) asks for call 2 of clinic 1 by 2026-11-23 09:16 UTC.",
    ]
    close_calls(store)
    good(one, minutes(64))
    tell(one, minutes(64))
    assert sorted(red(webhook)[-2:]) == [("call:1:T", "closed"), ("call:2:E", "closed")]


def test_a_red_call_that_gets_graver_is_told_again_and_does_not_seem_closed(store: Store, webhook: Webhook) -> None:
    watch, whose = patient(store, webhook), add_clinic(store)
    add_call(store, whose, reason="red_answer", level="T", due_at=minutes(60))
    for number, level in ((1, "T"), (2, "E"), (3, "E")):
        write(store, sa.update(calls).values(level=level))
        good(watch, minutes(number))
        tell(watch, minutes(number))
    assert red(webhook) == [("call:1:T", "open"), ("call:1:E", "open")]


def add_text(store: Store, clinic_id: int, review_by: date) -> int:
    values = {"clinic_id": clinic_id, "protocol": "smp", "name": "day-01", "language": "en", "version": 1, "source": ""}
    approved = {"approved_at": NOW, "approved_by": "a clinician", "review_by": review_by}
    with store.write() as connection:
        new = sa.insert(texts).values(values | approved | {"sha256": "", "created_at": NOW, "created_by": "test"})
        return int(connection.execute(new.returning(texts.c.id)).scalar_one())


def test_a_review_date_is_told_30_days_ahead_and_every_day_after_it(store: Store, webhook: Webhook) -> None:
    watch = patient(store, webhook)
    text_id = add_text(store, add_clinic(store)[0], (NOW + 31 * DAY).date())
    told = []
    for day in (0, 1, 1.5, 20, 31, 32, 33, 33.5, 46):
        good(watch, NOW + day * DAY)
        tell(watch, NOW + day * DAY)
        told += [(day, body["message"]) for body in webhook.posts]
        webhook.posts.clear()
    which = "The text smp/day-01 (en) of clinic 1"
    held = f"{which} was to be reviewed by 2026-12-24. After 2027-01-07 live mode holds its e-mails."
    assert told == [
        (1, f"{which} must be reviewed and approved again by 2026-12-24."),
        (32, held),
        (33, held),
        (46, f"{which} was to be reviewed by 2026-12-24. Live mode holds its e-mails since 2027-01-07."),
    ]
    write(store, sa.update(texts).where(texts.c.id == text_id).values(review_by=date(2027, 12, 24)))
    good(watch, NOW + 46.5 * DAY)
    tell(watch, NOW + 46.5 * DAY)
    assert webhook.told == [(f"text:{text_id}:2027-01-08", "closed")]


# Telling


def test_a_clinic_that_cannot_be_worked_for_is_told_until_it_can(store: Store, webhook: Webhook) -> None:
    watch = patient(store, webhook)
    clinic_id, _ = add_clinic(store)
    write(store, sa.update(clinics).where(clinics.c.id == clinic_id).values(timezone="Mars/Base"))
    for minute in (0, 1):
        good(watch, minutes(minute))
        tell(watch, minutes(minute))
    assert webhook.told == [(f"clinic:{clinic_id}", "open")]
    assert "its time zone is not known" in webhook.posts[0]["message"]
    write(store, sa.update(clinics).where(clinics.c.id == clinic_id).values(timezone="Europe/London"))
    good(watch, minutes(2))
    tell(watch, minutes(2))
    assert webhook.told[1:] == [(f"clinic:{clinic_id}", "closed")]


def test_without_a_webhook_nobody_is_told_and_nothing_breaks(store: Store) -> None:
    watch = Watch(store, "w1")
    stopped(watch, NOW, NOW, urgent=True)
    tell(watch, NOW)
    asyncio.run(watch.heartbeat(NOW))
    assert [alert.told_at for alert in rows(store, alerts)] == [None]


@pytest.mark.parametrize("status", [500, 404, 302])
def test_what_was_not_taken_is_told_again_in_the_next_minute(
    store: Store, watch: Watch, webhook: Webhook, status: int
) -> None:
    stopped(watch, NOW, NOW, urgent=True)
    webhook.status = status
    with structlog.testing.capture_logs() as log:
        tell(watch, NOW)
    assert [line["event"] for line in log] == ["an alert could not be told"]
    assert str(status) in log[0]["problem"]
    webhook.status = 200
    tell(watch, NOW + timedelta(seconds=59))
    assert webhook.told == []
    tell(worker(store, webhook, "w2"), minutes(1))
    tell(watch, minutes(1))
    assert webhook.told == [("relay", "open")]


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/top-secret",
        "http://nowhere.invalid/top-secret",
        "http://a:b/top-secret",
        "http://a/top secret",
    ],
)
def test_no_log_line_repeats_the_address(store: Store, url: str) -> None:
    watch = Watch(store, "w1", url, url)
    stopped(watch, NOW, NOW, urgent=True)
    with structlog.testing.capture_logs() as log:
        tell(watch, NOW)
        good(watch, NOW)
        asyncio.run(watch.heartbeat(NOW))
    assert [line["log_level"] for line in log] == ["error", "warning"]
    assert "secret" not in str(log)


def test_two_workers_do_not_tell_the_same_alert(store: Store, webhook: Webhook) -> None:
    one, other = worker(store, webhook, "w1"), worker(store, webhook, "w2")
    stopped(one, NOW, NOW, urgent=True)

    async def both() -> None:
        webhook.answers.clear()
        slow = asyncio.create_task(one.tell(NOW))
        await asyncio.to_thread(webhook.asked.wait, 30)
        await other.tell(NOW)
        webhook.answers.set()
        await slow

    asyncio.run(both())
    tell(other, NOW)
    assert webhook.told == [("relay", "open")]


def test_what_opened_and_ended_before_it_could_be_told_is_one_message(watch: Watch, webhook: Webhook) -> None:
    stopped(watch, NOW, NOW, urgent=True)
    good(watch, minutes(1))
    tell(watch, minutes(1))
    tell(watch, minutes(2))
    assert webhook.told == [("relay", "closed")]


def test_a_slow_webhook_holds_up_no_round_and_is_waited_for_at_the_stop(
    store: Store, watch: Watch, webhook: Webhook
) -> None:
    async def rounds() -> None:
        webhook.answers.clear()
        await watch.after_round(NOW, "", "refused", NOW, urgent=True)
        watch.speak(NOW)
        await asyncio.to_thread(webhook.asked.wait, 30)
        await watch.after_round(minutes(1), "", "", None)
        watch.speak(minutes(1))
        webhook.answers.set()
        await watch.close()

    asyncio.run(rounds())
    assert webhook.told == [("relay", "open")]
    assert [(alert.told_at, alert.end_told_at) for alert in rows(store, alerts)] == [(NOW, None)]


# The dead man's switch


def test_the_heartbeat_is_called_once_a_minute_after_good_rounds_only(watch: Watch, webhook: Webhook) -> None:
    def beats_at(now: datetime) -> int:
        asyncio.run(watch.heartbeat(now))
        return len(webhook.gets)

    assert beats_at(NOW) == 0
    good(watch, NOW)
    assert [beats_at(NOW), beats_at(minutes(0.9)), beats_at(minutes(1))] == [1, 1, 2]
    failed(watch, minutes(3))
    assert beats_at(minutes(3)) == 2
    stopped(watch, minutes(4), minutes(4))
    assert beats_at(minutes(4)) == 2
    good(watch, minutes(5))
    assert beats_at(minutes(5)) == 3
    assert beats_at(minutes(-60)) == 4
    assert set(webhook.gets) == {"/hooks/top-secret"}


def test_a_heartbeat_that_fails_stops_nothing(watch: Watch, webhook: Webhook) -> None:
    webhook.status = 500
    good(watch, NOW)
    asyncio.run(watch.heartbeat(NOW))
    asyncio.run(watch.heartbeat(minutes(1)))
    assert len(webhook.gets) == 2


def test_no_trouble_with_the_database_reaches_the_rounds(store: Store, watch: Watch) -> None:
    write(store, sa.text("DROP TABLE beats"))
    with structlog.testing.capture_logs() as log:
        good(watch, NOW)
    assert [line["event"] for line in log] == ["a round could not be noted"]


def test_a_round_leaves_its_beat(store: Store, watch: Watch) -> None:
    good(watch, NOW)
    with store.read() as connection:
        assert last_good(connection) == NOW
    long_ago = {"worker": "old", "began_at": NOW - 40 * DAY, "tried_at": NOW - 31 * DAY}
    write(store, sa.insert(beats).values(long_ago))
    good(watch, minutes(1))
    assert [row.worker for row in rows(store, beats)] == ["w1"]


def test_a_note_of_an_outage_is_one_line(store: Store, watch: Watch) -> None:
    stopped(watch, NOW, NOW)
    (outage,) = ledger(store)
    with store.write() as connection:
        assert note_outage(connection, outage.id, " a  cable ").note == "a cable"
        with pytest.raises(BadInput):
            note_outage(connection, outage.id, "a\ncable")
