"""A tick against a real relay and both databases; the truth is what the relay's log says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions import hello, revise
from service.actions.deliver import Delivery
from service.clock import SteppedClock, stopped_at
from service.store import clients
from service.store.engine import Store
from service.store.tables import attempts, calls, clinics, emails, suppressions, texts
from tests.support.scripted_relay import AcceptAndDrop, Drop, Reply, ScriptedRelay, recipients
from tests.support.scripted_relay import at as when
from tests.support.world import TATTOO, World, another_clinic, at, make_world, read, text_of


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


@pytest.fixture
def relay() -> Iterator[ScriptedRelay]:
    with ScriptedRelay() as running:
        yield running


def outcomes(world: World) -> list[tuple[int, str]]:
    with world.store.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(attempts.c.email_id, attempts.c.outcome))]


def test_a_treatment_becomes_three_mails_each_on_its_day_and_once(world: World, relay: ScriptedRelay) -> None:
    world.treat(world.client(), "2026-11-20")
    for now in ("2026-11-21 09:59", "2026-11-21 10:00", "2026-11-21 10:00", "2026-11-23 10:00", "2026-11-30 10:00"):
        world.tick(relay, now)
    assert [read(m)["Subject"] for m in relay.log] == [
        "Your check-in from Northgate",
        "A quick note from Northgate",
        "Checking in with you - Northgate",
    ]
    assert [m.rcpt_to for m in relay.log] == [("sam@example.com",)] * 3
    assert len({m.message_id for m in relay.log}) == 3
    assert set(world.states().values()) == {"sent"}
    assert [outcome for _, outcome in outcomes(world)] == ["sent"] * 3


def test_nothing_goes_out_before_its_instant(world: World, relay: ScriptedRelay) -> None:
    world.treat(world.client(), "2026-11-20")
    assert world.tick(relay, "2026-11-21 09:59")["claimed"] == 0
    assert relay.log == []


def test_down_from_day_0_to_day_5_gives_one_catch_up_and_day_10_on_time(world: World, relay: ScriptedRelay) -> None:
    world.treat(world.client(), "2026-11-20")
    world.tick(relay, "2026-11-25 08:00")
    world.tick(relay, "2026-11-25 12:00")
    world.tick(relay, "2026-11-30 10:00")
    assert world.states() == {
        "day-01": "missed: too_late",
        "day-03": "missed: too_late",
        "catch-up-05": "sent",
        "day-10": "sent",
    }
    assert len(relay.log) == 2
    note = text_of(relay.log[0])
    assert "Monday 23 November" in note
    assert "day 5" not in note.lower()
    with world.store.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(calls)).scalar_one() == 2


def test_a_second_treatment_on_day_7_replaces_day_10_of_the_first(world: World, relay: ScriptedRelay) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    for now in ("2026-11-21 10:00", "2026-11-23 10:00"):
        world.tick(relay, now)
    world.treat(client, "2026-11-27", now="2026-11-27 15:00", protocol=TATTOO)
    for day in range(28, 31):
        world.tick(relay, f"2026-11-{day} 10:00")
    world.tick(relay, "2026-12-07 10:00")
    replaced = world.rows(emails.c.state == "cancelled")
    assert [(row.step, row.reason) for row in replaced] == [("day-10", "superseded")]
    assert len(relay.log) == 5
    days = [read(m)["Date"].datetime.date() for m in relay.log]
    assert len(set(days)) == len(days)


def test_a_stop_a_second_before_the_tick_means_no_mail(world: World, relay: ScriptedRelay) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    with world.store.write() as connection:
        revise.stop(connection, world.clinic, client, world.who("2026-11-21 09:59"))
    world.tick(relay, "2026-11-21 10:00")
    assert relay.log == []
    assert set(world.states().values()) == {"cancelled: stopped"}


def test_a_stop_while_the_relay_is_thinking_is_obeyed_at_the_mark(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")

    def stop_meanwhile(stage: str, _argument: str, _count: int) -> None:
        if stage == "rcpt":
            with world.store.write() as connection:
                revise.stop(connection, world.clinic, client, world.who("2026-11-21 10:00"))

    with ScriptedRelay(stop_meanwhile, pipelining=False) as relay:
        world.tick(relay, "2026-11-21 10:00")
        relay.wait_until_alone()
        assert relay.log == []
        assert "." not in relay.commands
    assert set(world.states().values()) == {"cancelled: stopped"}


def test_a_lost_reply_is_repeated_once_with_the_same_bytes_and_then_left(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("dot", AcceptAndDrop())) as relay:
        world.tick(relay, "2026-11-21 10:00")
        assert world.states()["day-01"] == "in_doubt: reply_lost"
        world.tick(relay, "2026-11-21 10:10")
        assert len(relay.log) == 1
        world.tick(relay, "2026-11-21 10:31")
        world.tick(relay, "2026-11-21 11:31")
        assert len(relay.log) == 2
        assert relay.log[0].data == relay.log[1].data
        assert relay.log[0].message_id == relay.log[1].message_id
    assert world.states()["day-01"] == "unconfirmed: reply_lost"


def test_never_twice_means_never_twice(store: Store, tmp_path: Path) -> None:
    world = make_world(store, tmp_path, doubt_retries=0)
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("dot", AcceptAndDrop())) as relay:
        world.tick(relay, "2026-11-21 10:00")
        world.tick(relay, "2026-11-21 11:00")
        assert len(relay.log) == 1
    assert world.states()["day-01"] == "unconfirmed: reply_lost"


def test_a_repeat_whose_bytes_would_differ_is_not_sent(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("dot", AcceptAndDrop())) as relay:
        world.tick(relay, "2026-11-21 10:00")
        with world.store.write() as connection:
            connection.execute(sa.update(emails).where(emails.c.digest.is_not(None)).values(digest="0" * 64))
        world.tick(relay, "2026-11-21 10:31")
        assert len(relay.log) == 1
    assert world.states()["day-01"] == "unconfirmed: changed"


def test_a_clinic_edited_after_the_first_copy_does_not_change_the_repeat(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("dot", AcceptAndDrop(), only=1)) as relay:
        world.tick(relay, "2026-11-21 10:00")
        with world.store.write() as connection:
            connection.execute(sa.update(clinics).values(phone="01632 960 999", sender_name="Elsewhere"))
        world.tick(relay, "2026-11-21 10:31")
        assert len(relay.log) == 2
        assert relay.log[0].data == relay.log[1].data
    assert world.states()["day-01"] == "sent"


def test_an_address_that_does_not_exist_fails_suppresses_and_opens_a_call(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(recipients({"sam@example.com": Reply(550, "5.1.1 no such user")})) as relay:
        world.tick(relay, "2026-11-21 10:00")
    assert world.states() == {
        "day-01": "failed: refused",
        "day-03": "cancelled: suppressed",
        "day-10": "cancelled: suppressed",
    }
    with world.store.read() as connection:
        assert connection.execute(sa.select(suppressions.c.email_folded)).scalars().all() == ["sam@example.com"]
        assert connection.execute(sa.select(calls.c.reason)).scalars().all() == ["failed"]


def calls_of(world: World) -> list[tuple[int, str, str]]:
    with world.store.read() as connection:
        query = sa.select(calls.c.client_id, calls.c.reason, calls.c.state).order_by(calls.c.id)
        return [tuple(row) for row in connection.execute(query)]


def test_a_hello_to_an_address_that_does_not_exist_opens_a_call_for_what_it_ends(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    with world.store.write() as connection:
        hello.say_hello(connection, world.clinic, client, at("2026-11-20 16:00"))
    with ScriptedRelay(recipients({"sam@example.com": Reply(550, "5.1.1 no such user")})) as relay:
        world.tick(relay, "2026-11-20 16:01")
    assert {row.reason for row in world.rows(emails.c.kind == "reminder")} == {"suppressed"}
    assert calls_of(world) == [(client, "bounced", "open")]


def test_who_shares_a_dead_address_is_phoned_too(world: World) -> None:
    sam = world.client(address="family@example.com")
    kim = world.client("Kim Reed", "family@example.com")
    world.treat(sam, "2026-11-20")
    world.treat(kim, "2026-11-21", now="2026-11-21 12:00")
    with ScriptedRelay(recipients({"family@example.com": Reply(550, "5.1.1 no such user")})) as relay:
        world.tick(relay, "2026-11-21 10:00")
    assert sorted(calls_of(world)) == [(sam, "failed", "open"), (kim, "bounced", "open")]


def test_a_treatment_of_a_client_whose_address_is_dead_is_a_call_from_the_beginning(world: World) -> None:
    client = world.client()
    with world.store.write() as connection:
        dead = clients.Dead(world.clinic.id, "sam@example.com", "does not exist", None)
        clients.suppress(connection, dead, at("2026-11-20 15:00"))
    world.treat(client, "2026-11-20")
    assert set(world.states().values()) == {"cancelled: suppressed"}
    assert calls_of(world) == [(client, "bounced", "open")]


def test_a_full_mailbox_fails_the_mail_but_suppresses_nobody(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("rcpt", Reply(552, "5.2.2 mailbox full"))) as relay:
        world.tick(relay, "2026-11-21 10:00")
    assert world.states() == {"day-01": "failed: refused", "day-03": "planned", "day-10": "planned"}


def test_a_temporary_refusal_is_tried_again_after_five_minutes_and_thaws(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("rcpt", Reply(451, "4.7.1 greylisted"), only=1)) as relay:
        world.tick(relay, "2026-11-21 10:00")
        assert world.rows()[0].attempts == 1
        assert world.tick(relay, "2026-11-21 10:04")["claimed"] == 0
        world.tick(relay, "2026-11-21 10:07")
        assert len(relay.log) == 1
    assert world.states()["day-01"] == "sent"


@pytest.mark.parametrize(
    "script",
    [
        when("auth", Reply(535, "5.7.8 wrong")),
        when("mail", Reply(550, "5.7.1 sender not allowed")),
        when("ehlo", Drop()),
        when("connect", Reply(554, "no service")),
        when("rcpt", Reply(554, "5.7.1 relay access denied")),
    ],
)
def test_the_relays_own_trouble_uses_up_no_attempt_and_stops_the_line(
    store: Store, tmp_path: Path, script: object
) -> None:
    world = make_world(store, tmp_path, relay_username="u", relay_password="p")
    for number in range(20):
        world.treat(world.client(f"Client{number} X"), "2026-11-20")
    with ScriptedRelay(script, auth={"u": "p"}) as relay:  # type: ignore[arg-type]
        delivery = world.delivery(relay)
        for minute in range(60):
            world.tick(relay, f"2026-11-21 10:{minute:02d}", delivery)
        assert relay.log == []
        assert relay.connections <= 25
        assert delivery.breaker.is_open
    first = world.rows(emails.c.step == "day-01")
    assert {row.state for row in first} == {"planned"}
    assert {row.attempts for row in first} == {0}


def test_a_wrong_password_is_tried_at_most_once_a_minute_and_ten_times_in_all(store: Store, tmp_path: Path) -> None:
    world = make_world(store, tmp_path, relay_username="u", relay_password="wrong")
    for number in range(8):
        world.treat(world.client(f"Client{number} X"), "2026-11-20")
    with ScriptedRelay(auth={"u": "right"}) as relay:
        delivery = world.delivery(relay)
        for minute in range(120):
            now = at("2026-11-21 10:00") + timedelta(minutes=minute)
            world.tick(relay, stopped_at(now), delivery)
            assert relay.counts["auth"] <= min(minute + 1, 10)
        assert relay.counts["auth"] == 10


def test_when_the_relay_is_back_everything_still_right_goes_soonest_deadline_first(world: World) -> None:
    for number in range(6):
        on = "2026-11-20" if number % 2 else "2026-11-18"
        world.treat(world.client(f"Client{number} X"), on, now="2026-11-20 16:00")
    trouble = [True]

    def script(stage: str, _argument: str, _count: int) -> Drop | None:
        return Drop() if trouble[0] and stage == "connect" else None

    with ScriptedRelay(script) as relay:
        delivery = world.delivery(relay)
        world.tick(relay, "2026-11-21 10:00", delivery)
        trouble[0] = False
        world.tick(relay, "2026-11-21 10:00", delivery)
        assert relay.log == []
        world.tick(relay, "2026-11-21 10:01", delivery)
        world.tick(relay, "2026-11-21 10:01", delivery)
        assert len(relay.log) == 6
        assert not delivery.breaker.is_open


def test_one_row_that_cannot_be_written_is_held_and_the_others_go(world: World, relay: ScriptedRelay) -> None:
    world.treat(world.client("Ann One"), "2026-11-20")
    poison = world.client("Bob Two")
    world.treat(poison, "2026-11-20")
    with world.store.write() as connection:
        first = (emails.c.client_id == poison) & (emails.c.step == "day-01")
        connection.execute(sa.update(emails).where(first).values(step="gone"))
    world.tick(relay, "2026-11-21 10:00")
    assert [m.rcpt_to for m in relay.log] == [("ann@example.com",)]
    held = world.rows(emails.c.state == "held")
    assert [(row.client_id, row.reason) for row in held] == [(poison, "unapproved")]


@pytest.mark.parametrize(
    "damage", [{"timezone": "Mars/Base"}, {"timezone": "Europe"}, {"own_steps": '[{"no": "step"}]'}]
)
def test_a_clinic_whose_row_is_damaged_holds_its_own_mails_only(
    world: World, relay: ScriptedRelay, damage: dict[str, str]
) -> None:
    there = another_clinic(world, name="Elsewhere")
    there.treat(there.client("Bob Two"), "2026-11-20")
    world.treat(world.client("Ann One"), "2026-11-20")
    with world.store.write() as connection:
        connection.execute(sa.update(clinics).where(clinics.c.id == there.clinic.id).values(damage))
    world.tick(relay, "2026-11-21 10:00")
    assert [m.rcpt_to for m in relay.log] == [("ann@example.com",)]
    held = world.rows(emails.c.state == "held")
    assert [(row.clinic_id, row.reason) for row in held] == [(there.clinic.id, "render_error")]
    world.tick(relay, "2026-11-23 10:00")
    assert [m.rcpt_to for m in relay.log] == [("ann@example.com",)] * 2


def test_live_mode_sends_no_draft(store: Store, tmp_path: Path, relay: ScriptedRelay) -> None:
    world = make_world(store, tmp_path, mode="live")
    world.treat(world.client(), "2026-11-20")
    world.tick(relay, "2026-11-21 10:00")
    assert relay.log == []
    assert world.states()["day-01"] == "held: unapproved"


def test_a_text_edited_mid_series_is_used_from_the_next_mail_on(world: World, relay: ScriptedRelay) -> None:
    world.treat(world.client(), "2026-11-20")
    world.tick(relay, "2026-11-21 10:00")
    with world.store.write() as connection:
        day3 = connection.execute(
            sa.select(texts).where(texts.c.name == "day-03", texts.c.protocol.like("%micro%"))
        ).one()
        values = {c.name: getattr(day3, c.name) for c in texts.c if c.name not in ("id", "version", "source")}
        source = day3.source.replace("Check this first", "Look at this first")
        connection.execute(sa.insert(texts).values(**values, version=2, source=source))
    world.tick(relay, "2026-11-23 10:00")
    assert "Look at this first" in text_of(relay.log[1])
    assert [row.text_version for row in world.rows()] == [1, 2, None]


def test_a_paused_client_gets_nothing_until_resumed_and_then_no_flood(world: World, relay: ScriptedRelay) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    with world.store.write() as connection:
        revise.pause(connection, world.clinic, client, world.who("2026-11-20 17:00"))
    world.tick(relay, "2026-11-21 10:00")
    world.tick(relay, "2026-11-24 18:00")
    with world.store.write() as connection:
        revise.resume(connection, world.clinic, client, world.who("2026-11-25 09:00"))
    world.tick(relay, "2026-11-25 09:00")
    assert relay.log == []
    world.tick(relay, "2026-11-30 10:00")
    assert len(relay.log) == 1
    assert world.states() == {"day-01": "missed: paused", "day-03": "missed: paused", "day-10": "sent"}


def test_mails_of_one_tick_name_only_their_own_client(world: World, relay: ScriptedRelay) -> None:
    names = ["Ann", "Bea", "Cid", "Dov", "Eva", "Fin", "Gus", "Hal"]
    for name in names:
        world.treat(world.client(f"{name} Canary"), "2026-11-20")
    world.tick(relay, "2026-11-21 10:00")
    assert len(relay.log) == len(names)
    for message in relay.log:
        own = message.rcpt_to[0].split("@")[0].title()
        assert f"Dear {own}," in text_of(message)
        assert [name for name in names if name in text_of(message)] == [own]


def test_a_stop_flag_ends_between_two_messages_and_gives_the_rest_back(world: World) -> None:
    for number in range(12):
        world.treat(world.client(f"Client{number} X"), "2026-11-20")
    delivery_box: list[Delivery] = []

    def stop_after_three(stage: str, _argument: str, count: int) -> None:
        if stage == "dot" and count >= 3:
            delivery_box[0].stopping = True

    with ScriptedRelay(stop_after_three) as relay:
        delivery = world.delivery(relay)
        delivery_box.append(delivery)
        world.tick(relay, "2026-11-21 10:00", delivery)
        sent = {m.rcpt_to[0] for m in relay.log}
    rows = world.rows(emails.c.step == "day-01")
    assert 3 <= len(sent) < 12
    assert sum(row.state == "sent" for row in rows) == len(sent)
    assert {row.state for row in rows} == {"sent", "planned"}
    assert all(row.lease_token is None for row in rows)


def test_two_workers_share_the_work_and_send_nothing_twice(world: World, relay: ScriptedRelay) -> None:
    for number in range(40):
        world.treat(world.client(f"Client{number} X"), "2026-11-20")
    clock = SteppedClock(at("2026-11-21 10:00"))
    one, two = world.delivery(relay, "w1"), world.delivery(relay, "w2")

    async def both() -> None:
        await asyncio.gather(one.until_idle(clock), two.until_idle(clock))

    asyncio.run(both())
    assert len(relay.log) == 40
    assert len({m.rcpt_to for m in relay.log}) == 40


def test_a_worker_that_died_after_the_mark_leaves_its_row_in_doubt(world: World, relay: ScriptedRelay) -> None:
    world.treat(world.client(), "2026-11-20")
    died = {"state": "sending", "lease_token": "t", "lease_until": at("2020-01-01 00:00"), "worker": "dead"}
    with world.store.write() as connection:
        row = emails.c.step == "day-01"
        connection.execute(sa.update(emails).where(row).values(**died, claimed_at=at("2026-11-21 10:00")))
    world.tick(relay, "2026-11-21 10:00")
    assert world.states()["day-01"] == "in_doubt: worker_lost"
    assert relay.log == []


@pytest.mark.parametrize(("on", "expected"), [("2026-10-24", "2026-10-25 10:00"), ("2027-03-27", "2027-03-28 09:00")])
def test_day_1_is_at_ten_local_on_both_sides_of_the_clock_change(
    world: World, relay: ScriptedRelay, on: str, expected: str
) -> None:
    world.treat(world.client(now=f"{on} 12:00"), on, now=f"{on} 12:00")
    due = at(expected)
    before = (due - timedelta(minutes=1)).strftime("%Y-%m-%d %H:%M")
    world.tick(relay, before)
    assert relay.log == []
    world.tick(relay, expected)
    sent: datetime = read(relay.log[0])["Date"].datetime
    assert (sent.hour, sent.minute) == (10, 0)
    assert sent == due


def test_a_hello_goes_out_at_once_and_names_no_treatment(world: World, relay: ScriptedRelay) -> None:
    client = world.client()
    with world.store.write() as connection:
        hello.say_hello(connection, world.clinic, client, at("2026-11-20 16:00"))
    world.tick(relay, "2026-11-20 16:00")
    (message,) = relay.log
    words = (text_of(message) + str(read(message)["Subject"])).lower()
    assert not any(word in words for word in ("scalp", "tattoo", "treatment", "skin", "redness"))
    assert [(row.kind, row.state) for row in world.rows()] == [("hello", "sent")]


def test_a_hello_whose_reply_was_lost_is_repeated_with_the_same_bytes(world: World) -> None:
    client = world.client()
    with world.store.write() as connection:
        hello.say_hello(connection, world.clinic, client, at("2026-11-20 16:00"))
    with ScriptedRelay(when("dot", AcceptAndDrop(), only=1)) as relay:
        world.tick(relay, "2026-11-20 16:00")
        world.tick(relay, "2026-11-20 16:31")
        assert len(relay.log) == 2
        assert relay.log[0].data == relay.log[1].data
