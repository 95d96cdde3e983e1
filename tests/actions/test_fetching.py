"""Returned mail comes in by itself: from a real Maildir and over a real IMAP conversation into both databases."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import structlog

from service import wiring
from service.actions import fetching
from service.actions.fetching import FAILED, MOST, Fetching, last_round
from service.actions.handing_out import BROKEN, TRIES
from service.actions.hello import say_hello
from service.actions.telling import Teller
from service.domain.reminder import State
from service.errors import Unavailable
from service.store import watch
from service.store.engine import Store
from service.store.tables import duties, emails, suppressions
from service.wiring import Service
from tests.support.builders import all_calls
from tests.support.imap_server import Imap, imap_server
from tests.support.processes import wait_for
from tests.support.reports import complaint, delivery_report, letter
from tests.support.scripted_relay import AcceptAndDrop, ScriptedRelay
from tests.support.scripted_relay import at as when
from tests.support.world import World, at, make_world, read

DAY_1 = "2026-11-21 10:00"
LATER = "2026-11-21 11:00"
DESK = "desk@northgate-clinic.org"


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    path = tmp_path / "returned"
    for part in ("new", "cur", "tmp"):
        (path / part).mkdir(parents=True)
    return path


@pytest.fixture
def world(store: Store, tmp_path: Path, maildir: Path) -> World:
    return make_world(store, tmp_path, bounce_domain="bounce.example.org", mailbox_url=f"maildir:{maildir}")


@pytest.fixture
def imap() -> Iterator[Imap]:
    with imap_server() as server:
        yield server


def over_imap(world: World, imap: Imap) -> World:
    url = imap.url(password="pa%22ss%5Cw%C3%B6rd")
    settings = world.service.settings.model_validate(world.service.settings.model_dump() | {"mailbox_url": url})
    return World(Service(settings, world.store), world.clinic)


def duty(world: World) -> Fetching:
    made = wiring.fetching(world.service)
    assert made is not None
    return made


def fetch(world: World, now: str = LATER, by: Fetching | None = None) -> dict[str, int]:
    fetched = (by or duty(world)).round(at(now))
    assert fetched is not None
    return dict(fetched.counts)


def drop(maildir: Path, name: str, raw: bytes) -> None:
    (maildir / "new" / name).write_bytes(raw)


def lying(maildir: Path) -> list[str]:
    """Names in new/ as they are, those in cur/ with their flags."""
    return sorted(path.name for part in ("new", "cur") for path in (maildir / part).iterdir())


def reminded(world: World, name: str = "Sam Reed") -> tuple[int, str]:
    """A client who was sent day 1, and the envelope's sender of that e-mail."""
    client = world.client(name)
    world.treat(client, "2026-11-20")
    with ScriptedRelay() as relay:
        world.tick(relay, DAY_1)
        return client, relay.log[-1].mail_from


def calls(world: World) -> list[tuple[str, str]]:
    with world.store.read() as connection:
        return [(reason, state) for _, reason, state in all_calls(connection)]


def suppressed(world: World) -> list[str]:
    with world.store.read() as connection:
        return list(connection.execute(sa.select(suppressions.c.email_folded)).scalars())


def alerts(world: World) -> dict[str, str]:
    with world.store.read() as connection:
        return {key: alert.words for key, alert in watch.standing(connection).items()}


def test_a_bounce_is_taken_in_once_and_marked_as_read(world: World, maildir: Path) -> None:
    _, sender = reminded(world)
    drop(maildir, "m1", delivery_report(sender.partition("@")[0]))
    assert fetch(world) == {"bounce": 1}
    assert suppressed(world) == ["sam@example.com"]
    assert calls(world) == [("bounced", "open")]
    assert world.states()["day-03"] == "cancelled: suppressed"
    assert lying(maildir) == ["m1:2,S"]
    assert fetch(world, "2026-11-21 11:01") == {}


def test_what_a_person_must_see_stays_unread_and_what_a_machine_said_does_not(world: World, maildir: Path) -> None:
    _, sender = reminded(world)
    local_part = sender.partition("@")[0]
    drop(maildir, "1-away", letter(sender, "Away", "I am on holiday.", Auto_Submitted="auto-replied"))
    drop(maildir, "2-person", letter(DESK, "Re: hello", "My head is red."))
    drop(maildir, "3-unknown", b"From: <>\n\n")
    drop(maildir, "4-forged", delivery_report("bounces+aaaaaaaaaaaaaaaaaaaa"))
    drop(maildir, "5-machine", letter(DESK, "Out of office", "Who are you?", Auto_Submitted="auto-replied"))
    drop(maildir, "6-wish", letter(DESK, "Stop", "Stop. And my head hurts."))
    drop(maildir, "7-complaint", complaint(local_part))
    fetch(world)
    seen = [name for name in lying(maildir) if name.endswith(":2,S")]
    assert seen == ["1-away:2,S", "7-complaint:2,S"]
    assert len([name for name in lying(maildir) if name.endswith(":2,")]) == 5
    assert sorted(calls(world)) == [("asked_to_stop", "open"), ("reply", "open"), ("stopped", "open")]
    assert suppressed(world) == []


def test_over_imap_the_same_and_also_what_somebody_has_opened_first(world: World, imap: Imap) -> None:
    world = over_imap(world, imap)
    _, sender = reminded(world)
    away = imap.add(letter(sender, "Away", "", Auto_Submitted="auto-replied"))
    person = imap.add(letter(DESK, "Re: hello", "My head is red."))
    bounce = imap.add(delivery_report(sender.partition("@")[0]))
    imap.seen.add(bounce)
    assert fetch(world) == {"auto_reply": 1, "human": 1, "bounce": 1}
    assert suppressed(world) == ["sam@example.com"]
    assert imap.unread == {person}
    assert imap.seen == {away, bounce}
    # Nobody fetches again what was looked at, although it is unread.
    asked = len(imap.commands)
    assert fetch(world, "2026-11-21 11:01") == {}
    assert not [line for line in imap.commands[asked:] if line.startswith("UID FETCH")]


def test_who_dies_between_commit_and_mark_changes_nothing_a_second_time(world: World, imap: Imap) -> None:
    world = over_imap(world, imap)
    _, sender = reminded(world)
    imap.add(delivery_report(sender.partition("@")[0]))
    imap.add(letter(DESK, "Re: hello", "My head is red."))
    imap.spoil["UID STORE"] = None  # the connection is gone just after the commit
    with pytest.raises(Unavailable):
        fetch(world)
    before = (suppressed(world), calls(world))
    assert before == (["sam@example.com"], [("bounced", "open")])
    imap.spoil.clear()
    assert fetch(world) == {"human": 1}
    imap.validity += 1  # the server has lost its numbers: all is read again
    assert fetch(world, "2026-11-21 11:01") == {"bounce": 1, "human": 1}
    assert suppressed(world) == before[0]
    assert sorted(calls(world)) == [("bounced", "open"), ("reply", "open")]


def test_a_restored_database_reads_again_what_came_since(world: World, imap: Imap) -> None:
    world = over_imap(world, imap)
    _, sender = reminded(world)
    imap.add(delivery_report(sender.partition("@")[0]))
    fetch(world)
    with world.store.write() as connection:  # as it was before
        connection.execute(sa.delete(suppressions))
        connection.execute(sa.update(emails).values(bounced_at=None, bounce_class=None))
        connection.execute(sa.delete(duties))
    assert fetch(world, "2026-11-21 11:01") == {"bounce": 1}
    assert suppressed(world) == ["sam@example.com"]


def not_handed_out(imap: Imap, raw: bytes = b"") -> int:
    """In the list, but the server does not hand it out."""
    uid = imap.add(raw)
    imap.messages[uid] = None  # type: ignore[assignment]
    return uid


def fails(world: World, now: str) -> None:
    with pytest.raises(Unavailable, match="does not hand out INBOX;UID=1") as error:
        fetch(world, now)
    assert error.value.field == "AFTERCARE_MAILBOX_URL"


def test_a_bounce_that_the_server_does_not_hand_out_at_first_is_taken_in_later(world: World, imap: Imap) -> None:
    world = over_imap(world, imap)
    _, sender = reminded(world)
    bounce = not_handed_out(imap)
    for minute in range(1, TRIES):  # each by a worker that knows nothing of the one before
        fails(world, f"2026-11-21 11:0{minute}")
        assert suppressed(world) == []
    imap.messages[bounce] = delivery_report(sender.partition("@")[0])
    assert fetch(world, f"2026-11-21 11:0{TRIES}") == {"bounce": 1}
    assert suppressed(world) == ["sam@example.com"]


def test_a_message_that_is_never_handed_out_is_left_unread_after_some_rounds_and_holds_up_nobody_for_ever(
    world: World, imap: Imap
) -> None:
    world = over_imap(world, imap)
    _, sender = reminded(world)
    gone = not_handed_out(imap)
    imap.add(delivery_report(sender.partition("@")[0]))
    for minute in range(1, TRIES):
        for _worker in range(TRIES):  # several in one minute are one try
            fails(world, f"2026-11-21 11:0{minute}")
    assert fetch(world, f"2026-11-21 11:0{TRIES}") == {"unread": 1, "bounce": 1}
    assert suppressed(world) == ["sam@example.com"]
    assert imap.unread == {gone}
    assert fetch(world, "2026-11-21 11:09") == {}


def test_a_second_such_message_has_tries_of_its_own(world: World, imap: Imap) -> None:
    world = over_imap(world, imap)
    first, second = not_handed_out(imap), not_handed_out(imap)
    for minute in range(1, TRIES):
        fails(world, f"2026-11-21 11:0{minute}")
    with pytest.raises(Unavailable, match="does not hand out INBOX;UID=2"):
        fetch(world, f"2026-11-21 11:0{TRIES}")
    imap.messages[second] = letter(DESK, "Re: hello", "My head is red.")
    assert fetch(world, "2026-11-21 11:09") == {"human": 1}
    assert imap.unread == {first, second}


def test_a_message_at_which_the_connection_ends_each_time_does_not_end_the_reading(world: World, imap: Imap) -> None:
    world = over_imap(world, imap)
    _, sender = reminded(world)
    poison = imap.add(letter(DESK, "Re: hello", "My head is red."))
    imap.add(delivery_report(sender.partition("@")[0]))
    imap.spoil["UID FETCH"] = None
    for minute in range(10, 10 + BROKEN):
        with pytest.raises(Unavailable, match="broke off"):
            fetch(world, f"2026-11-21 11:{minute}")
    imap.spoil.clear()
    assert fetch(world, "2026-11-21 11:40") == {"bounce": 1}
    assert imap.unread == {poison}


def test_one_message_that_the_database_cannot_take_holds_up_nobody(world: World, maildir: Path, store: Store) -> None:
    _, sender = reminded(world)
    drop(maildir, "1-poison", letter(DESK, "Re: hello", "My head is red."))
    drop(maildir, "2-bounce", delivery_report(sender.partition("@")[0]))
    refuse_calls_for(store, "reply")
    with structlog.testing.capture_logs() as logged:
        assert fetch(world) == {"unread": 1, "bounce": 1}
    assert [line["event"] for line in logged] == ["a returned message could not be taken in"]
    assert lying(maildir) == ["1-poison:2,", "2-bounce:2,S"]
    assert calls(world) == [("bounced", "open")]


def refuse_calls_for(store: Store, reason: str) -> None:
    """Such a row breaks a constraint from now on."""
    with store.write() as connection:
        if store.is_sqlite:
            connection.exec_driver_sql(
                "CREATE TRIGGER refuse BEFORE INSERT ON calls WHEN NEW.reason = 'reply' "
                "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        else:
            connection.exec_driver_sql(f"ALTER TABLE calls ADD CONSTRAINT refuse CHECK (reason <> '{reason}')")


def test_a_round_is_bounded_and_says_that_there_is_more(world: World, maildir: Path) -> None:
    for number in range(MOST + 5):
        drop(maildir, f"m{number:04}", b"From: <>\n\n")
    by = duty(world)
    first, second = by.round(at(LATER)), by.round(at(LATER))
    assert first is not None
    assert second is not None
    assert (first.counts["unknown"], first.more) == (MOST, True)
    assert (second.counts["unknown"], second.more) == (5, False)


def test_only_one_worker_fetches_at_a_time_and_once_a_minute(world: World, maildir: Path) -> None:
    drop(maildir, "m1", b"From: <>\n\n")
    with world.store.write() as connection:
        assert watch.take_duty(connection, fetching.NAME, "x", "another's", 300)
    assert duty(world).round(at(LATER)) is None
    assert duty(world).round(at(LATER), by_hand=True) is None
    with world.store.write() as connection:
        watch.drop_duty(connection, fetching.NAME, "another's")
    assert fetch(world) == {"unknown": 1}
    assert duty(world).round(at(LATER)) is None
    assert duty(world).round(at(LATER), by_hand=True) is not None
    assert fetch(world, "2026-11-21 11:01") == {}


def test_trouble_is_told_after_some_failed_rounds_and_its_end_too(world: World, maildir: Path) -> None:
    by = duty(world)
    (maildir / "new").rename(maildir / "elsewhere")
    for minute in range(1, FAILED + 1):
        assert "mailbox" not in alerts(world)
        with pytest.raises(Unavailable):
            by.round(at(f"2026-11-21 11:0{minute}"))
    words = alerts(world)["mailbox"]
    assert "does not come in since 2026-11-21 11:01 UTC" in words
    assert "Reminders go out all the same" in words
    posted: list[bytes | None] = []
    teller = Teller(world.store, "http://127.0.0.1/", lambda _, body: posted.append(body))
    asyncio.run(teller.tell(at("2026-11-21 11:04"), None))
    assert len(posted) == 1
    with world.store.read() as connection:
        assert last_round(connection) == ("", words)
    (maildir / "elsewhere").rename(maildir / "new")
    fetch(world, "2026-11-21 11:05", by)
    assert "mailbox" not in alerts(world)
    with world.store.read() as connection:
        assert last_round(connection) == ("2026-11-21 11:05 UTC", "")


def test_a_password_that_was_changed_is_told_without_the_name(world: World, imap: Imap) -> None:
    world = over_imap(world, imap)
    by = duty(world)
    imap.password = "changed"
    for minute in range(FAILED):
        with pytest.raises(Unavailable, match="refuses the log-in") as error:
            by.round(at(f"2026-11-21 11:0{minute}"))
        assert error.value.field == "AFTERCARE_MAILBOX_URL"
    assert "returns@" not in alerts(world)["mailbox"]


def test_a_bug_met_on_the_way_is_told_like_trouble_and_ends_nothing(world: World) -> None:
    def broken() -> Any:
        raise KeyError("what nobody thought of")

    by = Fetching(world.store, world.service.signer, broken)
    with structlog.testing.capture_logs():
        for minute in range(FAILED):
            with pytest.raises(Unavailable, match="a bug"):
                by.round(at(f"2026-11-21 11:0{minute}"))
    assert "mailbox" in alerts(world)


def test_beside_the_delivery_it_goes_on_until_it_is_closed(world: World, maildir: Path) -> None:
    _, sender = reminded(world)
    drop(maildir, "m1", delivery_report(sender.partition("@")[0]))

    async def live() -> None:
        by = duty(world)
        by.start(lambda: at(LATER), lambda: True)
        await asyncio.to_thread(wait_for, lambda: lying(maildir) == ["m1:2,S"], "the mark")
        await by.close()

    asyncio.run(asyncio.wait_for(live(), 30))
    assert suppressed(world) == ["sam@example.com"]


def test_while_the_workers_own_rounds_fail_nothing_is_read(world: World, maildir: Path) -> None:
    drop(maildir, "m1", b"From: <>\n\n")
    asked = threading.Event()

    def may() -> bool:
        asked.set()
        return False

    async def live() -> None:
        by = duty(world)
        by.start(lambda: at(LATER), may)
        await asyncio.to_thread(asked.wait, 30)
        await by.close()

    asyncio.run(asyncio.wait_for(live(), 30))
    assert lying(maildir) == ["m1"]


def test_a_stop_breaks_off_a_mailbox_that_does_not_answer(world: World, imap: Imap) -> None:
    world = over_imap(world, imap)
    imap.add(letter(DESK, "Re: hello", "My head is red."))
    imap.spoil["FETCH"] = b""

    async def live() -> None:
        by = duty(world)
        by.start(lambda: at(LATER), lambda: True)
        await asyncio.to_thread(wait_for, lambda: "FETCH 1:1 (UID)" in imap.commands, "the question")
        await by.close()
        assert by._task is not None
        assert by._task.done()

    with structlog.testing.capture_logs() as logged:
        asyncio.run(asyncio.wait_for(live(), 30))
    assert logged == []
    assert alerts(world) == {}


def test_an_e_mail_in_doubt_is_sent_once_a_report_proves_that_the_relay_had_it(world: World, maildir: Path) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("dot", AcceptAndDrop())) as relay:
        world.tick(relay, DAY_1)
        assert world.states()["day-01"].startswith("in_doubt")
        sender, message_id = relay.log[0].mail_from, str(read(relay.log[0])["Message-ID"])
        full = {"action": "failed", "status": "4.2.2", "words": "smtp; 452 mailbox full"}
        drop(maildir, "m1", delivery_report(sender.partition("@")[0], message_id, **full))
        fetch(world, "2026-11-21 10:05")
        assert world.states()["day-01"] == "sent"
        # So it is not repeated, and what comes next is still written.
        world.tick(relay, "2026-11-21 10:45")
        assert len(relay.log) == 1
    (row,) = world.rows(emails.c.state == State.SENT)
    assert row.bounce_class == "soft"
    assert world.states()["day-03"] == "planned"


def test_the_stop_address_of_an_e_mail_stops_whatever_the_letter_says(world: World, maildir: Path) -> None:
    world.treat(world.client(), "2026-11-20")
    world.treat(world.client("Ann Other"), "2026-11-20")
    with ScriptedRelay() as relay:
        world.tick(relay, DAY_1)
        sams = next(one for one in relay.log if one.rcpt_to == ("sam@example.com",))
    address = str(read(sams)["List-Unsubscribe"]).partition("mailto:")[2].partition("?")[0]
    assert address.endswith("@bounce.example.org")
    drop(maildir, "1", letter(address, "Bitte", "Keine weiteren E-Mails."))
    drop(maildir, "2", letter(address, "Stop", "again"))
    drop(maildir, "3", letter(address, "Away", "", Auto_Submitted="auto-replied"))
    assert fetch(world) == {"stop": 2, "auto_reply": 1}
    assert calls(world) == [("stopped", "open")]
    assert {row.client_id for row in world.rows(emails.c.reason == "stopped")} == {sams_client(world)}
    assert lying(maildir) == ["1:2,S", "2:2,S", "3:2,"]
    assert fetch(world, "2026-11-21 11:01") == {}


def sams_client(world: World) -> int:
    return int(min(row.client_id for row in world.rows()))


def test_while_somebody_may_wait_at_the_desk_what_comes_back_is_looked_for_every_quarter_of_a_minute(
    world: World,
) -> None:
    client = world.client()
    assert duty(world).round(at("2026-11-20 16:00")) is not None
    assert duty(world).round(at("2026-11-20 16:00") + timedelta(seconds=40)) is None
    with world.store.write() as connection:
        say_hello(connection, world.clinic, client, at("2026-11-20 16:01"))
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-20 16:01")
    looked = [
        after for after in range(0, 300, 5) if duty(world).round(at("2026-11-20 16:01") + timedelta(seconds=after))
    ]
    assert looked == [*range(0, 180, 15), 180, 240]


def test_minutes_lie_between_rounds_and_more_after_failed_ones() -> None:
    assert fetching.PAUSES[0] == timedelta(minutes=1).total_seconds()
    assert list(fetching.PAUSES) == sorted(set(fetching.PAUSES))
