"""A check-in counts once, opens the call it asks for, never lowers one, and leaves no answer where none belongs."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import calls as call_list
from service.actions import clinic_setup, revise
from service.actions.answer import CHECK_IN, Link, link_of, not_me, write_link
from service.actions.calls import Closing
from service.actions.check_in import LINK_DAYS, About, Answered, Opened, answer_check_in, open_check_in
from service.actions.watch import Watch
from service.actions.writing import Writer
from service.clock import stopped_at
from service.domain.triage import rules_version
from service.errors import BadInput, NotAllowed, NotFound
from service.mail.signing import Signer, new_key
from service.store import calls as call_rows
from service.store import check_ins
from service.store.engine import Store
from service.store.tables import audit as audit_lines
from service.store.tables import calls, emails, metadata
from tests.support.builders import wait_until_somebody_waits
from tests.support.scripted_relay import ScriptedRelay
from tests.support.webhook import a_webhook
from tests.support.world import SMP, TATTOO, World, another_clinic, at, make_world, text_of

NOON = "2026-11-23 12:20"
WELL: dict[str, tuple[str, ...]] = {
    "q1": ("none",),
    "q2": ("no",),
    "q3": ("none",),
    "q4": ("none",),
    "q5": ("none",),
    "q6": ("small_scabs",),
}
FADING = WELL | {"q3": ("fading",)}
ILL = WELL | {"q2": ("unwell",)}
BREATHLESS: dict[str, tuple[str, ...]] = {"q1": ("breathing",)}


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


@pytest.fixture
def sam(world: World) -> int:
    """Treated on Friday 20 November: Monday is day 3."""
    client = world.client()
    world.treat(client, "2026-11-20")
    return client


def link_to(client_id: int, address: str = "sam@example.com") -> Link:
    return link_of(client_id, address)


def opened(world: World, link: Link, now: str = NOON) -> Opened:
    with world.store.read() as connection:
        return open_check_in(connection, world.service.catalogue.protocols, link, at(now))


def about(world: World, link: Link, now: str = NOON) -> About:
    found = opened(world, link, now).about
    assert found is not None
    return found


def answer(world: World, link: Link, answers: dict[str, tuple[str, ...]], now: str = NOON) -> Answered:
    with world.store.write() as connection:
        return answer_check_in(connection, world.service.catalogue.protocols, link, answers, at(now))


def all_calls(world: World) -> list[tuple[str, str | None, str, Any]]:
    with world.store.read() as connection:
        query = sa.select(calls.c.reason, calls.c.level, calls.c.state, calls.c.due_at).order_by(calls.c.id)
        return [tuple(row) for row in connection.execute(query)]


def kept(world: World, client_id: int | None = None) -> list[check_ins.CheckIn]:
    with world.store.read() as connection:
        return check_ins.listed(connection, world.clinic.id, client_id)


def close(world: World, call_id: int, outcome: str, now: str) -> None:
    with world.store.write() as connection:
        call_list.close(connection, world.clinic, call_id, Closing(outcome, "coming at 4 pm"), world.who(now))


# --- what a link is about


def test_a_link_is_about_the_newest_treatment_that_has_been_and_counts_days_in_the_clinics_zone(world: World) -> None:
    sam = world.client()
    first = world.treat(sam, "2026-06-19", now="2026-06-19 16:00").treatment_id
    second = world.treat(sam, "2026-11-20").treatment_id
    link = link_to(sam)
    assert about(world, link).treatment_id == second
    assert about(world, link).protocol.key == SMP
    # 23:30 UTC is half past midnight in London's summer.
    assert about(world, link, "2026-06-21 23:30").treatment_id == first
    assert about(world, link, "2026-06-21 23:30").day == 3
    assert [about(world, link, f"2026-11-{day} 12:00").day for day in (20, 21, 23, 30)] == [0, 1, 3, 10]
    with world.store.write() as connection:
        smp = world.service.catalogue.protocols[SMP]
        revise.cancel_treatment(connection, world.clinic, second, smp, world.who("2026-11-21 12:00"))
    assert opened(world, link, NOON).about is None  # day 157 of the first


def test_another_kind_of_treatment_brings_its_own_questions(world: World, sam: int) -> None:
    world.treat(sam, "2026-11-22", now="2026-11-22 16:00", protocol=TATTOO)
    found = about(world, link_to(sam))
    assert (found.protocol.key, found.day) == (TATTOO, 1)


def test_the_link_asks_for_sixty_days_and_then_shows_how_to_reach_the_clinic(world: World, sam: int) -> None:
    assert about(world, link_to(sam), "2027-01-19 23:59").day == LINK_DAYS
    after = opened(world, link_to(sam), "2027-01-20 00:00")
    assert (after.about, after.clinic.id) == (None, world.clinic.id)


def test_a_clinic_may_switch_it_off(world: World, sam: int) -> None:
    for said, asks in (("off", False), ("ON", True)):
        with world.store.write() as connection:
            clinic_setup.change_clinic(connection, world.clinic, {"check_in": said}, world.who(NOON))
        assert (opened(world, link_to(sam)).about is not None) is asks
    with world.store.write() as connection, pytest.raises(BadInput, match="neither on nor off"):
        clinic_setup.change_clinic(connection, world.clinic, {"check_in": "perhaps"}, world.who(NOON))


def test_nothing_is_asked_where_the_protocol_asks_nothing_or_is_gone(world: World, sam: int) -> None:
    with world.store.read() as connection:
        assert open_check_in(connection, {}, link_to(sam), at(NOON)).about is None


def test_whoever_has_an_address_of_before_is_told_nothing_about_the_visit(world: World, sam: int) -> None:
    with world.store.write() as connection:
        revise.change_client(connection, world.clinic, sam, {"email": "sam@example.org"}, world.who(NOON))
    assert opened(world, link_to(sam)).about is None
    assert about(world, link_to(sam, "Sam@Example.ORG")).day == 3
    with pytest.raises(NotAllowed):
        answer(world, link_to(sam), BREATHLESS)
    assert all_calls(world) == []


def test_after_this_is_not_me_the_same_link_asks_nothing(world: World, sam: int) -> None:
    with world.store.write() as connection:
        not_me(connection, link_to(sam), world.clinic.id, at("2026-11-21 12:00"))
    assert opened(world, link_to(sam)).about is None


def test_an_erased_client_is_as_unknown_as_one_who_never_was(world: World, sam: int) -> None:
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, sam, world.who(NOON))
    for link in (link_to(sam), link_to(sam + 1)):
        with pytest.raises(NotFound, match="this link names nobody"):
            opened(world, link)
        with pytest.raises(NotFound, match="this link names nobody"):
            answer(world, link, WELL)


def test_a_client_who_stopped_may_still_check_in(world: World, sam: int) -> None:
    with world.store.write() as connection:
        revise.stop(connection, world.clinic, sam, world.who("2026-11-21 12:00"))
    assert answer(world, link_to(sam), FADING).outcome.level == "T"


# --- what answers do


def test_good_news_is_kept_and_calls_nobody(world: World, sam: int) -> None:
    done = answer(world, link_to(sam), WELL | {"q6": ("dots_big", "small_scabs")})
    assert (done.outcome.level, done.call_id) == ("N", None)
    (one,) = kept(world)
    assert (one.client_id, one.day, one.level, one.call_id, one.email_id) == (sam, 3, "N", None, None)
    # As the protocol orders them, whatever the order of the form was.
    assert one.answers == {key: list(options) for key, options in WELL.items()} | {"q6": ["small_scabs", "dots_big"]}
    assert one.rules_version == rules_version(world.service.catalogue.protocols[SMP])
    assert one.answered_at == at(NOON)
    assert all_calls(world) == []


@pytest.mark.parametrize(
    ("answers", "level", "due"),
    [(FADING, "T", "2026-11-23 13:20"), (ILL, "D", "2026-11-23 12:35"), (BREATHLESS, "E", "2026-11-23 12:35")],
)
def test_a_red_answer_opens_a_call_with_the_deadline_of_its_level(
    world: World, sam: int, answers: dict[str, tuple[str, ...]], level: str, due: str
) -> None:
    done = answer(world, link_to(sam), answers)
    assert done.outcome.level == level
    assert all_calls(world) == [("red_answer", level, "open", at(due))]
    assert kept(world)[0].call_id == done.call_id


def test_no_answer_to_a_red_call_sets_the_deadline_of_its_level_anew(world: World, sam: int) -> None:
    done = answer(world, link_to(sam), ILL)
    assert done.call_id
    close(world, done.call_id, "no_answer", "2026-11-23 12:30")
    assert all_calls(world) == [("red_answer", "D", "open", at("2026-11-23 12:45"))]


def test_a_page_that_is_loaded_anew_counts_once_and_a_later_one_counts_again(world: World, sam: int) -> None:
    first = answer(world, link_to(sam), FADING, "2026-11-23 12:20")
    assert answer(world, link_to(sam), FADING, "2026-11-23 12:35") == first
    assert answer(world, link_to(sam), FADING, "2026-11-23 12:36").check_in_id > first.check_in_id
    assert len(kept(world)) == 2
    assert len(all_calls(world)) == 1


def test_a_correction_within_a_quarter_of_an_hour_counts_and_the_first_is_kept_beside_it(
    world: World, sam: int
) -> None:
    for now, answers in (("12:20", ILL), ("12:30", FADING), ("13:00", WELL)):
        answer(world, link_to(sam), answers, f"2026-11-23 {now}")
    assert [(one.level, one.corrected) for one in kept(world)] == [("D", True), ("T", False), ("N", False)]
    # The call stays as grave as it was: only a person closes it.
    assert all_calls(world) == [("red_answer", "D", "open", at("2026-11-23 12:35"))]


def test_one_open_red_call_a_client_is_raised_to_the_graver_level_and_never_lowered(world: World, sam: int) -> None:
    for now, answers in (("12:20", FADING), ("12:30", FADING | {"q4": ("glands",)}), ("12:40", ILL)):
        answer(world, link_to(sam), answers, f"2026-11-23 {now}")
    assert all_calls(world) == [("red_answer", "D", "open", at("2026-11-23 12:55"))]
    answer(world, link_to(sam), BREATHLESS, "2026-11-23 12:50")
    # Raised, but no later than it was to be.
    assert all_calls(world) == [("red_answer", "E", "open", at("2026-11-23 12:55"))]
    assert {one.call_id for one in kept(world)} == {1}
    close(world, 1, "reached", "2026-11-23 12:52")
    answer(world, link_to(sam), FADING, "2026-11-23 15:00")
    assert [(level, state) for _, level, state, _ in all_calls(world)] == [("E", "closed"), ("T", "open")]


def test_answers_that_are_none_are_refused_and_nothing_is_kept(world: World, sam: int) -> None:
    before = everything(world)
    wrongs: list[dict[str, tuple[str, ...]]] = [{"q9": ("none",)}, {"q1": ("nothing",)}, {"q1": ("none", "none")}]
    for wrong in wrongs:
        with pytest.raises(BadInput):
            answer(world, link_to(sam), wrong)
    assert everything(world) == before


def test_what_is_left_out_is_never_normal(world: World, sam: int) -> None:
    assert answer(world, link_to(sam), {}).outcome.level == "T"
    assert kept(world)[0].rules == [f"q{number}.unanswered" for number in range(1, 7)]


def test_the_audit_says_that_there_was_an_answer_and_not_which(world: World, sam: int) -> None:
    answer(world, link_to(sam), FADING)
    with world.store.read() as connection:
        lines = connection.execute(sa.select(audit_lines).where(audit_lines.c.action == "check-in answered")).all()
    assert [(line.actor, line.subject, json.loads(line.detail)) for line in lines] == [
        ("client", f"client {sam}", {"call": 1, "check_in": 1})
    ]


def test_erasing_a_client_empties_the_answers_and_keeps_that_there_was_one(world: World, sam: int) -> None:
    kim = world.client("Kim Day")
    world.treat(kim, "2026-11-20")
    answer(world, link_to(sam), FADING)
    answer(world, link_to(kim, "kim@example.com"), FADING)
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, sam, world.who("2026-11-24 12:00"))
    gone, stays = kept(world)
    assert (gone.answers, gone.rules, gone.level, gone.day) == ({}, [], "T", 3)
    assert stays.answers["q3"] == ["fading"]


def test_no_other_clinic_sees_a_check_in(world: World, sam: int) -> None:
    other = another_clinic(world, name="Southgate")
    answer(world, link_to(sam), FADING)
    assert kept(other) == []
    with world.store.read() as connection:
        assert check_ins.unanswered(connection, other.clinic.id, at("2026-11-24 12:00")) == []


def test_two_answers_at_once_open_one_call(world: World, sam: int) -> None:
    """The second waits for the first one's lock, then finds its call."""
    done: list[Answered] = []
    other = threading.Thread(target=lambda: done.append(answer(world, link_to(sam), ILL)))
    with world.store.write() as connection:
        protocols = world.service.catalogue.protocols
        done.append(answer_check_in(connection, protocols, link_to(sam), FADING, at(NOON)))
        other.start()
        if not world.store.is_sqlite:
            wait_until_somebody_waits(connection)
    other.join()
    assert {one.call_id for one in done} == {1}
    assert all_calls(world) == [("red_answer", "D", "open", at("2026-11-23 12:35"))]


def everything(world: World) -> dict[str, list[Any]]:
    with world.store.read() as connection:
        return {table.name: sorted(connection.execute(sa.select(table)), key=str) for table in metadata.sorted_tables}


# --- who did not answer


def send(world: World, relay: ScriptedRelay, now: str, signer: Signer | None = None) -> None:
    delivery = world.delivery(relay)
    delivery.preparer.writer = Writer(signer or Signer([new_key()]), "https://notes.northgate.org")
    asyncio.run(delivery.until_idle(stopped_at(at(now))))


def quiet(world: World, now: str) -> list[tuple[str, str]]:
    with world.store.read() as connection:
        found = check_ins.unanswered(connection, world.clinic.id, at(now))
        assert call_rows.listed(connection, world.clinic.id) == []
    return [(one.name, one.step) for one in found]


def test_the_quiet_list_of_day_4_is_exactly_who_was_asked_and_said_nothing(world: World, sam: int) -> None:
    for name in ("Kim Day", "Lou Fox", "Max Roe"):
        world.treat(world.client(name), "2026-11-20")
    max_roe = 4
    answer(world, link_to(2, "kim@example.com"), WELL, "2026-11-21 09:59")
    with ScriptedRelay() as relay:
        send(world, relay, "2026-11-21 10:00")
        send(world, relay, "2026-11-23 10:00")
        assert quiet(world, "2026-11-24 09:59") == []
        answer(world, link_to(3, "lou@example.com"), WELL, "2026-11-23 12:00")
        with world.store.write() as connection:
            revise.erase(connection, world.clinic, max_roe, world.who("2026-11-23 13:00"))
        # Kim's answer was to the note of day 1: nobody knows how day 3 was.
        assert quiet(world, "2026-11-24 10:00") == [("Sam Reed", "day-03"), ("Kim Day", "day-03")]
        answer(world, link_to(sam), WELL, "2026-11-24 11:00")
        assert quiet(world, "2026-11-24 12:00") == [("Kim Day", "day-03")]
        send(world, relay, "2026-11-30 10:00")
        assert quiet(world, "2026-11-30 12:00") == []
        assert quiet(world, "2026-12-01 10:00") == [
            ("Sam Reed", "day-10"),
            ("Kim Day", "day-10"),
            ("Lou Fox", "day-10"),
        ]
        assert quiet(world, "2026-12-07 10:00") == []


def test_who_was_sent_no_link_is_not_waited_for(world: World, sam: int) -> None:
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
    assert world.rows(emails.c.state == "sent")
    assert quiet(world, "2026-11-22 12:00") == []


# --- a story: redness on day 3


def test_a_client_with_redness_on_day_3(world: World, sam: int) -> None:
    """From the e-mail to the call that is done; the webhook hears of it, and hears no name."""
    signer, link = Signer([new_key()]), link_to(sam)
    with ScriptedRelay() as relay, a_webhook() as webhook:
        watch = Watch(world.store, "w1", webhook.url)
        send(world, relay, "2026-11-21 10:00", signer)
        send(world, relay, "2026-11-23 10:00", signer)
        assert f"https://notes.northgate.org/c/{write_link(signer, CHECK_IN, link)}" in text_of(relay.log[-1])

        before = everything(world)
        assert about(world, link, "2026-11-23 10:03").day == 3  # a scanner opens the link
        assert everything(world) == before

        done = answer(world, link, FADING, "2026-11-23 12:20")
        assert (done.outcome.level, done.outcome.rules) == ("T", ("13", "24"))
        assert all_calls(world) == [("red_answer", "T", "open", at("2026-11-23 13:20"))]
        (one,) = kept(world, sam)
        day_3 = world.rows(emails.c.step == "day-03")[0]
        assert (one.email_id, one.call_id) == (day_3.id, done.call_id)

        def look(now: str) -> list[tuple[str, str]]:
            asyncio.run(watch.after_round(at(now), "", "", None))
            asyncio.run(watch.tell(at(now)))
            return [told for told in webhook.told if told[0].startswith("call")]

        assert look("2026-11-23 12:20:05") == [("call:1:T", "open")]
        assert look("2026-11-23 13:19") == [("call:1:T", "open")]
        assert look("2026-11-23 13:20") == [("call:1:T", "open")] * 2
        close(world, 1, "reached", "2026-11-23 13:25")
        assert look("2026-11-23 13:26")[-1] == ("call:1:T", "closed")
        assert "Sam" not in str(webhook.posts)
        assert "fading" not in str(webhook.posts)

        with world.store.read() as connection:
            (call,) = call_rows.of_client(connection, world.clinic.id, sam)
            deeds = connection.execute(sa.select(audit_lines.c.action).order_by(audit_lines.c.id)).scalars().all()
        assert (call["state"], call["outcome"], call["note"]) == ("closed", "reached", "coming at 4 pm")
        assert deeds[-2:] == ["check-in answered", "call closed"]
        assert quiet_after_call(world) == []


def quiet_after_call(world: World) -> list[str]:
    with world.store.read() as connection:
        return [one.name for one in check_ins.unanswered(connection, world.clinic.id, at("2026-11-24 12:00"))]
