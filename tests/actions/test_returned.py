"""What came back changes the right rows, once, and nothing without proof."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import revise
from service.actions.returned import Meaning, examine, read, take_in
from service.actions.suppressing import lift
from service.domain.reminder import Reason, State
from service.mail.signing import Signer
from service.store import promises
from service.store.audit import broken_links
from service.store.engine import Store
from service.store.tables import attempts, clients, emails, metadata, suppressions
from tests.support.builders import all_calls, build_email, the_email
from tests.support.reports import complaint, delivery_report, letter
from tests.support.world import World, another_clinic, at, make_world

NOW = "2026-11-21 11:00"
DESK = "desk@northgate-clinic.org"
OURS = "<{:030x}@northgate-clinic.org>"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def sent_to(world: World, client_id: int, number: int = 1, **fields: Any) -> int:
    """An e-mail that went out at 10:00."""
    values = {"state": State.SENT, "marked_at": at("2026-11-21 10:00"), "message_id": OURS.format(number)} | fields
    with world.store.write() as connection:
        email_id = build_email(connection, world.clinic, client_id, **values)
        if values["state"] == State.SENT:
            evidence = {"email_id": email_id, "worker": "w1", "token": "t1", "outcome": "sent"}
            times = {"marked_at": values["marked_at"], "ended_at": at("2026-11-21 10:00")}
            connection.execute(sa.insert(attempts).values(clinic_id=world.clinic.id, **evidence, **times))
    return email_id


def later(world: World, client_id: int, number: int = 9) -> int:
    """An e-mail that is still to go out."""
    with world.store.write() as connection:
        window = {"due_at": at("2026-11-23 10:00"), "useful_until": at("2026-11-24 12:00")}
        return build_email(connection, world.clinic, client_id, step=f"day-{number:02}", **window)


def signed(world: World, email_id: int) -> str:
    return world.service.signer.bounce_local_part(str(email_id))


def take(world: World, raw: bytes, now: str = NOW) -> Meaning:
    with world.store.write() as connection:
        return take_in(connection, world.service.signer, read(raw, world.service.signer), world.who(now))


def look(world: World, raw: bytes) -> Meaning:
    with world.store.read() as connection:
        return examine(connection, world.service.signer, read(raw, world.service.signer), at(NOW))


def row(world: World, email_id: int) -> Any:
    with world.store.read() as connection:
        return the_email(connection, email_id)


def bounced(world: World, email_id: int) -> tuple[Any, ...]:
    found = row(world, email_id)
    return found.state, found.bounce_class, found.bounced_at


def calls_of(world: World) -> list[tuple[int | None, str, str]]:
    with world.store.read() as connection:
        return all_calls(connection)


def suppressed(world: World) -> list[tuple[str, int]]:
    with world.store.read() as connection:
        query = sa.select(suppressions.c.email_folded, suppressions.c.email_id).order_by(suppressions.c.id)
        return [tuple(one) for one in connection.execute(query)]


def everything(world: World) -> dict[str, list[Any]]:
    with world.store.read() as connection:
        return {table.name: list(connection.execute(sa.select(table))) for table in metadata.sorted_tables}


def stopped(world: World, client_id: int) -> bool:
    with world.store.read() as connection:
        query = sa.select(clients.c.stopped_at).where(clients.c.id == client_id)
        return connection.execute(query).scalar_one() is not None


def test_a_dead_address_is_suppressed_its_e_mails_end_and_somebody_calls(world: World) -> None:
    client_id = world.client()
    email_id, next_id = sent_to(world, client_id), later(world, client_id)
    meaning = take(world, delivery_report(signed(world, email_id)))
    assert meaning.does == ("bounced", "call", "suppress")
    assert bounced(world, email_id) == ("sent", "hard", at(NOW))
    assert (row(world, next_id).state, row(world, next_id).reason) == ("cancelled", "suppressed")
    assert suppressed(world) == [("sam@example.com", email_id)]
    assert calls_of(world) == [(email_id, "bounced", "open")]


def test_whoever_shares_a_dead_address_is_called_too(world: World) -> None:
    email_id = sent_to(world, world.client())
    other = later(world, world.client("Kim Reed", "sam@example.com"))
    take(world, delivery_report(signed(world, email_id)))
    assert row(world, other).reason == "suppressed"
    assert calls_of(world) == [(None, "bounced", "open"), (email_id, "bounced", "open")]


@pytest.mark.parametrize(
    "raw",
    [
        delivery_report,
        lambda token: delivery_report(token, status="5.2.2"),
        complaint,
        lambda token: letter(f"{token}@bounce.example.org", "Stop"),
        lambda token: letter(f"{token}@bounce.example.org", "Re: hello", "It hurts."),
        lambda token: letter(DESK, "Stop"),
    ],
)
def test_a_second_time_nothing_more_changes(world: World, raw: Any) -> None:
    client_id = world.client()
    message = raw(signed(world, sent_to(world, client_id)))
    later(world, client_id)
    assert take(world, message).does
    before = everything(world)
    assert take(world, message, "2026-11-22 11:00").does == ()
    assert everything(world) == before


@pytest.mark.parametrize("raw", [delivery_report, complaint])
def test_four_at_once_take_it_in_once(world: World, raw: Any) -> None:
    message = raw(signed(world, sent_to(world, world.client())))
    with ThreadPoolExecutor(4) as pool:
        does = list(pool.map(lambda _: take(world, message).does, range(4)))
    assert sum(map(bool, does)) == 1
    assert len(calls_of(world)) == 1
    with world.store.read() as connection:
        assert broken_links(connection, world.clinic.id) == []


def test_an_old_report_does_not_undo_what_a_person_decided_since(world: World) -> None:
    client_id = world.client()
    report, wish = (raw(signed(world, sent_to(world, client_id))) for raw in (delivery_report, complaint))
    take(world, report)
    take(world, wish)
    with world.store.write() as connection:
        revise.unstop(connection, world.clinic, client_id, world.who(NOW))
        lift(connection, world.clinic, 1, "typo corrected", world.who(NOW))
    before = everything(world)
    take(world, report, "2026-11-22 11:00")
    take(world, wish, "2026-11-22 11:00")
    assert everything(world) == before


def forged(world: World, email_id: int) -> str:
    return Signer([b"f" * 40]).bounce_local_part(str(email_id))


@pytest.mark.parametrize("make", [delivery_report, complaint])
def test_without_a_signed_address_a_report_changes_nothing(world: World, make: Any) -> None:
    email_id = sent_to(world, world.client())
    later(world, row(world, email_id).client_id)
    before = everything(world)
    for local_part in (forged(world, email_id), "bounces", f"bounces+{email_id}"):
        meaning = take(world, make(local_part, OURS.format(1)))
        assert meaning.found is not None
        assert (meaning.found.email is not None, meaning.found.verified, meaning.found.by) == (
            True,
            False,
            "message_id",
        )
        assert not any(meaning.suppresses(one) for one in meaning.report.recipients)
        assert take(world, make(local_part)).found is None
    assert everything(world) == before


def test_our_message_id_counts_only_with_the_clients_own_address(world: World) -> None:
    sent_to(world, world.client())
    assert look(world, delivery_report("bounces", OURS.format(1), to="kim@example.com")).found is None


@pytest.mark.parametrize(
    ("fields", "bounce_class"),
    [
        ({"action": "delayed"}, None),
        ({"action": "delivered", "status": "2.0.0"}, None),
        ({"status": "5.2.2"}, "soft"),
        ({"status": "5.7.1"}, "soft"),
        ({"status": "5.1.1", "words": "smtp; 552 mailbox full"}, "soft"),
    ],
)
def test_what_is_not_a_dead_address_suppresses_nobody(world: World, fields: Any, bounce_class: str | None) -> None:
    client_id = world.client()
    email_id, next_id = sent_to(world, client_id), later(world, client_id)
    take(world, delivery_report(signed(world, email_id), **fields))
    assert row(world, email_id).bounce_class == bounce_class
    assert (row(world, next_id).state, suppressed(world), calls_of(world)) == ("planned", [], [])


@pytest.mark.parametrize("to", ["old.name@example.net", "sam@example.com.example.net", "kim@example.com"])
def test_another_dead_address_than_the_clients_only_makes_a_call(world: World, to: str) -> None:
    client_id = world.client()
    email_id, next_id = sent_to(world, client_id), later(world, client_id)
    assert take(world, delivery_report(signed(world, email_id), to=to)).does == ("bounced", "call")
    assert (row(world, next_id).state, suppressed(world)) == ("planned", [])
    assert calls_of(world) == [(email_id, "bounced", "open")]


def test_an_address_that_was_corrected_meanwhile_is_not_the_dead_one(world: World) -> None:
    client_id = world.client()
    email_id = sent_to(world, client_id)
    with world.store.write() as connection:
        revise.change_client(connection, world.clinic, client_id, {"email": "sam.reed@example.com"}, world.who(NOW))
    assert "suppress" not in take(world, delivery_report(signed(world, email_id))).does
    assert suppressed(world) == []


def test_three_soft_ones_within_a_month_make_one_call_and_no_more(world: World) -> None:
    client_id = world.client()
    for number, now in enumerate(["2026-10-01 11:00", "2026-11-21 11:00", "2026-11-23 11:00"], 1):
        email_id = sent_to(world, client_id, number, step=f"day-{number:02}")
        take(world, delivery_report(signed(world, email_id), status="5.2.2"), now)
    assert calls_of(world) == []
    for number in (4, 5):
        email_id = sent_to(world, client_id, number, step=f"day-{number:02}")
        take(world, delivery_report(signed(world, email_id), status="5.2.2"), "2026-11-30 11:00")
        assert calls_of(world) == [(None, "check_address", "open")]
    assert suppressed(world) == []


def test_after_a_soft_one_a_hard_one_still_counts(world: World) -> None:
    email_id = sent_to(world, world.client())
    take(world, delivery_report(signed(world, email_id), status="5.2.2"))
    take(world, delivery_report(signed(world, email_id)), "2026-11-21 12:00")
    assert bounced(world, email_id) == ("sent", "hard", at(NOW))
    take(world, delivery_report(signed(world, email_id), status="5.2.2"), "2026-11-21 13:00")
    assert bounced(world, email_id) == ("sent", "hard", at(NOW))


LEASED = {"lease_token": "t1", "lease_until": at("2026-11-21 10:20"), "worker": "w1"}
DOUBT = {"doubt_since": at("2026-11-21 10:00")}


@pytest.mark.parametrize(
    "fields",
    [
        {"state": State.IN_DOUBT},
        {"state": State.UNCONFIRMED, "doubt_retries": 1},
        {"state": State.SENDING, **LEASED},
        {"state": State.CLAIMED, **LEASED, **DOUBT},
        {"state": State.HELD, "reason": Reason.RESTORED},
    ],
)
@pytest.mark.parametrize("said", [{"action": "delayed"}, {"action": "relayed", "status": "2.0.0"}, {"status": "5.2.2"}])
def test_a_report_proves_that_a_doubtful_e_mail_went_out(world: World, fields: Any, said: Any) -> None:
    email_id = sent_to(world, world.client(), **fields)
    take(world, delivery_report(signed(world, email_id), OURS.format(1), **said))
    found = row(world, email_id)
    assert (found.state, found.sent_at, found.lease_token) == ("sent", at(NOW), None)
    with world.store.read() as connection:
        assert {one.name for one in promises.ask_all(connection, at(NOW)) if one.state == "red"} == set()


def test_the_proof_is_no_third_copy(world: World) -> None:
    email_id = sent_to(world, world.client(), state=State.UNCONFIRMED, doubt_retries=1)
    with world.store.write() as connection:
        for token, outcome in (("t1", "in_doubt"), ("t2", "unconfirmed")):
            values = {"clinic_id": world.clinic.id, "email_id": email_id, "worker": "w1", "token": token}
            times = {"marked_at": at("2026-11-21 10:00"), "ended_at": at("2026-11-21 10:15")}
            connection.execute(sa.insert(attempts).values(**values, **times, outcome=outcome))
    take(world, delivery_report(signed(world, email_id), OURS.format(1), action="delayed"))
    assert row(world, email_id).state == "sent"
    with world.store.read() as connection:
        found = {one.name: one.state for one in promises.ask_all(connection, at(NOW))}
    assert (found["P2 copies"], found["P3 evidence"]) == ("green", "green")


@pytest.mark.parametrize("state", [State.PLANNED, State.HELD, State.MISSED, State.CANCELLED, State.FAILED])
def test_no_report_moves_an_e_mail_that_is_not_in_doubt(world: World, state: State) -> None:
    email_id = sent_to(world, world.client(), state=state)
    take(world, delivery_report(signed(world, email_id), action="delayed"))
    assert row(world, email_id).state == state


def test_a_signed_address_from_before_a_restore_is_not_the_new_rows(world: World) -> None:
    never_out = later(world, world.client())
    before = everything(world)
    assert take(world, delivery_report(signed(world, never_out))).found is None
    email_id = sent_to(world, world.client("Kim Reed", "kim@example.com"))
    report = delivery_report(signed(world, email_id), OURS.format(77), to="kim@example.com")
    assert take(world, report).found is None
    assert everything(world)["suppressions"] == before["suppressions"]
    assert take(world, delivery_report(signed(world, email_id + 1_000))).found is None


def test_a_relay_that_gives_its_own_message_id_is_no_hindrance(world: World) -> None:
    email_id = sent_to(world, world.client())
    assert "suppress" in take(world, delivery_report(signed(world, email_id), "<0100-abc@relay.example>")).does


@pytest.mark.parametrize("make", [complaint, lambda token: letter(f"{token}@bounce.example.org", "Stop")])
def test_a_complaint_or_a_stop_ends_the_reminders_and_makes_one_call(world: World, make: Any) -> None:
    client_id = world.client()
    email_id, next_id = sent_to(world, client_id), later(world, client_id)
    assert take(world, make(signed(world, email_id))).does == ("stop", "call")
    assert stopped(world, client_id)
    assert (row(world, next_id).state, row(world, next_id).reason) == ("cancelled", "stopped")
    assert calls_of(world) == [(None, "stopped", "open")]
    assert suppressed(world) == []


def test_with_nothing_open_a_stop_still_makes_a_call(world: World) -> None:
    client_id = world.client()
    take(world, complaint(signed(world, sent_to(world, client_id))))
    assert stopped(world, client_id)
    assert calls_of(world) == [(None, "stopped", "open")]


def test_a_stop_that_nobody_proves_is_asked_about_by_phone(world: World) -> None:
    client_id = world.client()
    assert take(world, letter(DESK, "Stop")).does == ("call",)
    assert not stopped(world, client_id)
    assert calls_of(world) == [(None, "asked_to_stop", "open")]
    assert take(world, letter(DESK, "Stop", "once more")).does == ("call",)
    assert len(calls_of(world)) == 1


def test_what_a_person_writes_waits_for_a_person_and_is_not_kept(world: World) -> None:
    email_id = sent_to(world, world.client())
    take(world, letter(DESK, "Re: hello", "My scalp is burning.", In_Reply_To=OURS.format(1)))
    assert calls_of(world) == [(None, "reply", "open")]
    assert "burning" not in str(everything(world))
    with world.store.write() as connection:
        connection.execute(sa.text("UPDATE calls SET state='closed', outcome='reached', closed_at=opened_at"))
    take(world, letter(f"{signed(world, email_id)}@bounce.example.org", "Re: hello", "Still burning."))
    assert calls_of(world) == [(None, "reply", "closed"), (None, "reply", "open")]


@pytest.mark.parametrize(
    "raw",
    [
        letter(DESK, "Automatic reply: hello", "Away.", Auto_Submitted="auto-replied"),
        letter("somebody@example.org", "Re: hello", "A stranger's letter."),
        letter(DESK, "Re: hello").replace(b"sam@example.com", b"stranger@example.com"),
        b"",
    ],
)
def test_machines_and_strangers_change_nothing(world: World, raw: bytes) -> None:
    sent_to(world, world.client())
    before = everything(world)
    assert take(world, raw).does == ()
    assert everything(world) == before


def test_each_clinic_gets_only_what_concerns_its_own(world: World) -> None:
    other = another_clinic(world, name="Southgate", reply_to="desk@southgate-clinic.org")
    mine, theirs = world.client(), other.client()
    email_id = sent_to(other, theirs)
    waiting = later(world, mine)
    take(world, delivery_report(signed(world, email_id)))
    take(world, letter("desk@southgate-clinic.org", "Re: hello", "It hurts."))
    assert row(world, waiting).state == "planned"
    with world.store.read() as connection:
        concerned = {name: {one.clinic_id for one in everything(world)[name]} for name in ("suppressions", "calls")}
        assert concerned == {"suppressions": {other.clinic.id}, "calls": {other.clinic.id}}
        assert broken_links(connection, other.clinic.id) == []


def test_an_erased_client_is_left_alone(world: World) -> None:
    client_id = world.client()
    email_id = sent_to(world, client_id)
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, client_id, world.who(NOW))
    before = everything(world)
    for raw in (delivery_report(signed(world, email_id)), complaint(signed(world, email_id)), letter(DESK, "Stop")):
        assert take(world, raw).does == ()
    assert everything(world) == before


def test_looking_says_what_taking_in_does_and_writes_nothing(world: World) -> None:
    client_id = world.client()
    local_part = signed(world, sent_to(world, client_id))
    messages = [delivery_report(local_part), complaint(local_part), letter(DESK, "Re: hello", "It hurts.")]
    before = everything(world)
    said = [look(world, raw).does for raw in messages]
    assert everything(world) == before
    assert said == [take(world, raw).does for raw in messages]


def test_the_audit_says_what_was_done_without_names(world: World) -> None:
    email_id = sent_to(world, world.client())
    take(world, delivery_report(signed(world, email_id)))
    lines = [line for line in everything(world)["audit"] if line.action == "returned mail"]
    assert [(line.actor, line.subject) for line in lines] == [("test", f"client {row(world, email_id).client_id}")]
    assert "@" not in lines[0].detail
    assert world.rows(emails.c.id == email_id)[0].bounce_class == "hard"
