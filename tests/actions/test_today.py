"""The page of the day: which treatment, which day, which words, and when it says none."""

from __future__ import annotations

import re
from datetime import date, time
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import answer, clinic_setup, revise, words
from service.actions.answer import Link, link_of
from service.actions.shelf import Shelf
from service.actions.today import Today, Why, read_today
from service.actions.words import Approval, TextKey
from service.domain.own_steps import OwnStep
from service.errors import NotFound
from service.store import clinics
from service.store.engine import Store
from service.store.tables import metadata, treatments
from tests.support.world import SMP, TATTOO, World, another_clinic, at, make_world

TREATED = "2026-11-20"
ANN = {"email": "ann@northgate-clinic.org", "name": "Ann Lee", "role": "clinician"}


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def link(client_id: int, address: str = "sam@example.com") -> Link:
    return link_of(client_id, address)


def show(world: World, whose: Link, now: str, *, live: bool = False) -> Today:
    shelf = Shelf(world.service.catalogue, drafts_count=not live)
    with world.store.read() as connection:
        return read_today(connection, shelf, whose, at(now))


def said(world: World, whose: Link, now: str) -> list[tuple[int, str]]:
    """(day, title) of all that the page says."""
    return [(one.day, one.title) for one in show(world, whose, now).spoken]


def everything(world: World) -> dict[str, list[Any]]:
    with world.store.read() as connection:
        return {table.name: sorted(connection.execute(sa.select(table)), key=str) for table in metadata.sorted_tables}


def change_clinic(world: World, **fields: str) -> World:
    with world.store.write() as connection:
        return World(world.service, clinics.change(connection, world.clinic.id, fields))


@pytest.mark.parametrize(
    ("now", "day", "words"),
    [
        ("2026-11-20 18:00", 0, "A few spots of blood should stop by the end of Saturday 21 November."),
        ("2026-11-21 12:00", 1, "A few spots of blood should stop by the end of Saturday 21 November."),
        ("2026-11-22 12:00", 2, "This should be gone by the end of Sunday 22 November."),
        ("2026-11-23 12:00", 3, "This should ease by the end of Tuesday 24 November."),
        ("2026-11-26 12:00", 6, "The itch and the tight feeling should have gone by the end of Tuesday 24 November."),
        ("2026-11-27 12:00", 7, "Small scabs on the dots are normal too."),
        ("2026-11-28 12:00", 8, "The last few may come off up to the end of Tuesday 1 December."),
        ("2026-12-02 12:00", 12, "All scabs should be gone."),
        ("2026-12-05 12:00", 15, "the colour looks pale or patchy"),
        ("2027-01-18 12:00", 59, "Some problems start weeks later."),
        ("2027-01-19 12:00", 60, "Some problems start weeks later."),
    ],
)
def test_one_link_says_what_is_normal_on_the_day_it_is_opened(world: World, now: str, day: int, words: str) -> None:
    client = world.client()
    world.treat(client, TREATED)
    page = show(world, link(client), now)
    assert page.why is None
    (spoken,) = page.spoken
    assert (spoken.day, spoken.protocol, spoken.tag) == (day, SMP, "en")
    assert words in spoken.text


def test_on_day_1_and_day_6_the_same_link_shows_different_advice(world: World) -> None:
    client = world.client()
    world.treat(client, TREATED)
    first, later = (show(world, link(client), now).spoken[0].text for now in ("2026-11-21 12:00", "2026-11-26 12:00"))
    assert "The area may look red" in first
    assert "The area may look red" not in later
    assert "any redness or warm skin is still there" in later


@pytest.mark.parametrize("now", ["2027-01-20 00:00", "2027-06-01 12:00"])
def test_after_the_last_day_with_words_only_the_contact_is_left(world: World, now: str) -> None:
    client = world.client()
    world.treat(client, TREATED)
    page = show(world, link(client), now)
    assert (page.spoken, page.why) == ((), Why.OVER)
    assert page.lines[0].replace("\u00a0", " ").startswith("We are open Monday to Friday 9 am to 6 pm")


@pytest.mark.parametrize(
    ("zone", "now", "day"),
    [
        ("Europe/London", "2026-11-22 23:59:59", 2),
        ("Europe/London", "2026-11-23 00:00:00", 3),
        ("Pacific/Auckland", "2026-11-21 10:59:59", 1),
        ("Pacific/Auckland", "2026-11-21 11:00:00", 2),
        ("America/Los_Angeles", "2026-11-23 07:59:59", 2),
        ("America/Los_Angeles", "2026-11-23 08:00:00", 3),
    ],
)
def test_a_day_begins_at_midnight_in_the_clinics_zone(world: World, zone: str, now: str, day: int) -> None:
    there = change_clinic(world, timezone=zone)
    client = there.client()
    there.treat(client, TREATED, now="2026-11-21 12:00")
    assert [shown[0] for shown in said(there, link(client), now)] == [day]


@pytest.mark.parametrize(
    ("zone", "treated", "now", "day"),
    [
        # Summer time ends on 1 November 2026 in New York: that day has 25 hours.
        ("America/New_York", "2026-10-30", "2026-11-02 04:59", 2),
        ("America/New_York", "2026-10-30", "2026-11-02 05:00", 3),
        # It begins on 14 March 2027: that day has 23 hours.
        ("America/New_York", "2027-03-12", "2027-03-15 03:59", 2),
        ("America/New_York", "2027-03-12", "2027-03-15 04:00", 3),
    ],
)
def test_a_night_in_which_the_clocks_change_is_one_day(
    world: World, zone: str, treated: str, now: str, day: int
) -> None:
    there = change_clinic(world, timezone=zone)
    client = there.client()
    there.treat(client, treated, now="2027-03-31 12:00")
    assert [shown[0] for shown in said(there, link(client), now)] == [day]


def test_the_newest_treatment_of_an_area_counts_whatever_its_kind(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-01", now="2026-11-26 12:00")
    world.treat(client, "2026-11-25", now="2026-11-26 12:00", protocol=TATTOO)
    (spoken,) = show(world, link(client), "2026-11-26 12:00").spoken
    assert (spoken.protocol, spoken.day) == (TATTOO, 1)
    assert "the lines" in spoken.text


def test_a_cancelled_treatment_gives_way_to_the_one_before_and_then_to_none(world: World) -> None:
    client = world.client()
    newer = world.treat(client, "2026-11-20", now="2026-11-21 12:00")
    older = world.treat(client, "2026-11-10", now="2026-11-21 12:00")
    protocol, who = world.service.catalogue.protocols[SMP], world.who("2026-11-21 12:00")
    for treatment, left in ((newer, [11]), (older, [])):
        with world.store.write() as connection:
            revise.cancel_treatment(connection, world.clinic, treatment.treatment_id, protocol, who)
        page = show(world, link(client), "2026-11-21 12:00")
        assert [one.day for one in page.spoken] == left
    assert page.why is Why.NO_VISIT


@pytest.mark.parametrize("treated", [None, "2026-11-22"])
def test_no_visit_yet_says_nothing_of_the_body(world: World, treated: str | None) -> None:
    client = world.client()
    if treated:
        world.treat(client, treated, now="2026-11-22 12:00")
    page = show(world, link(client), "2026-11-21 12:00")
    assert (page.spoken, page.why) == ((), Why.NO_VISIT)


def test_words_for_two_areas_are_shown_together_or_not_at_all(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-10", now="2026-11-21 12:00")
    other = world.treat(client, "2026-11-20", now="2026-11-21 12:00", protocol=TATTOO)
    with world.store.write() as connection:
        connection.execute(sa.update(treatments).where(treatments.c.id == other.treatment_id).values(area="brows"))
    assert [one.day for one in show(world, link(client), "2026-11-21 12:00").spoken] == [1, 11]
    with world.store.write() as connection:
        unknown = sa.update(treatments).where(treatments.c.id == other.treatment_id).values(protocol="brows")
        connection.execute(unknown)
    page = show(world, link(client), "2026-11-21 12:00")
    assert (page.spoken, page.why) == ((), Why.NO_WORDS)


def test_an_erased_client_and_one_who_never_was_are_the_same_nobody(world: World) -> None:
    client = world.client()
    world.treat(client, TREATED)
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, client, world.who("2026-11-21 12:00"))
    told = set()
    for nobody in (client, client + 1):
        with pytest.raises(NotFound) as refused:
            show(world, link(nobody), "2026-11-21 12:00")
        told.add(str(refused.value))
    assert len(told) == 1


def test_who_stopped_the_e_mails_may_still_look(world: World) -> None:
    client = world.client()
    world.treat(client, TREATED)
    with world.store.write() as connection:
        answer.stop_by_link(connection, client, world.clinic.id, at("2026-11-21 12:00"))
    assert [day for day, _ in said(world, link(client), "2026-11-26 12:00")] == [6]


def test_a_link_that_went_to_an_address_of_before_shows_no_visit(world: World) -> None:
    client = world.client()
    world.treat(client, TREATED)
    with world.store.write() as connection:
        changed = {"email": "right@example.com"}
        revise.change_client(connection, world.clinic, client, changed, world.who("2026-11-21 12:00"))
    assert show(world, link(client), "2026-11-21 12:00").why is Why.NO_VISIT
    assert said(world, link(client, "right@example.com"), "2026-11-21 12:00")


def test_a_reader_who_said_this_is_not_me_sees_no_visit(world: World) -> None:
    client = world.client()
    world.treat(client, TREATED)
    with world.store.write() as connection:
        answer.not_me(connection, link(client), world.clinic.id, at("2026-11-21 12:00"))
    assert show(world, link(client), "2026-11-21 12:00").why is Why.NO_VISIT


def test_live_shows_only_words_that_a_clinician_has_approved_until_their_review_is_long_past(world: World) -> None:
    client = world.client()
    world.treat(client, TREATED)
    with world.store.write() as connection:
        clinic_setup.add_staff(connection, world.clinic, ANN, world.who("2026-11-20 16:00"))
    assert show(world, link(client), "2026-11-21 12:00", live=True).why is Why.NO_WORDS
    with world.store.write() as connection:
        signed = (TextKey(SMP, "today-00", "en"), Approval(ANN["email"], date(2026, 11, 21)))
        words.approve(connection, world.service.catalogue, world.clinic, signed, world.who("2026-11-20 16:00"))
    (spoken,) = show(world, link(client), "2026-11-21 12:00", live=True).spoken
    assert spoken.version == 1
    # Each stretch of days is signed for itself.
    assert show(world, link(client), "2026-11-23 12:00", live=True).why is Why.NO_WORDS
    # The review date and 14 days are over; a newer treatment would be on day 2.
    world.treat(client, "2026-12-04", now="2026-12-06 12:00")
    assert show(world, link(client), "2026-12-06 12:00", live=True).why is Why.NO_WORDS


def test_an_approved_version_is_shown_although_a_draft_follows_it(world: World) -> None:
    client = world.client()
    world.treat(client, TREATED)
    key = TextKey(SMP, "today-00", "en")
    source = world.service.catalogue.sources[SMP, "today-00", "en"].replace("What to do", "What you can do")
    with world.store.write() as connection:
        clinic_setup.add_staff(connection, world.clinic, ANN, world.who("2026-11-20 16:00"))
        signed = (key, Approval(ANN["email"], date(2027, 11, 20)))
        words.approve(connection, world.service.catalogue, world.clinic, signed, world.who("2026-11-20 16:00"))
        words.save(connection, world.service.catalogue, world.clinic, (key, source), world.who("2026-11-20 17:00"))
    assert "What to do" in show(world, link(client), "2026-11-21 12:00", live=True).spoken[0].text
    assert "What you can do" in show(world, link(client), "2026-11-21 12:00").spoken[0].text


def test_a_page_that_names_the_day_of_a_step_says_the_day_that_was_planned(world: World) -> None:
    client = world.client()
    world.treat(client, TREATED)
    key = TextKey(SMP, "today-00", "en")
    source = world.service.catalogue.sources[SMP, "today-00", "en"].replace("What to do", "Until {{ day_03_date }}", 1)
    with world.store.write() as connection:
        words.save(connection, world.service.catalogue, world.clinic, (key, source), world.who("2026-11-20 17:00"))
        own = [OwnStep(SMP, "day-03", 4, time(9))]
        moved = World(world.service, clinics.save_own_steps(connection, world.clinic.id, own))
    later = moved.client("Lou Day")
    moved.treat(later, TREATED)
    whose = (link(client), link(later, "lou@example.com"))
    usual, other = (show(world, one, "2026-11-21 12:00").spoken[0].text for one in whose)
    assert "Until Monday 23 November" in usual
    assert "Until Tuesday 24 November" in other


def test_a_client_without_words_in_the_language_reads_another_whole(world: World) -> None:
    client = world.client(language="pt-BR")
    world.treat(client, TREATED)
    assert show(world, link(client), "2026-11-21 12:00").spoken[0].tag == "en"


@pytest.mark.parametrize("lacking", ["phone", "emergency_number"])
def test_without_a_number_to_call_there_are_no_words_about_signs(world: World, lacking: str) -> None:
    there = change_clinic(world, **{lacking: ""})
    client = there.client()
    there.treat(client, TREATED)
    assert show(there, link(client), "2026-11-21 12:00").why is Why.NO_WORDS


def test_what_a_clinic_has_not_said_leaves_no_hole(world: World) -> None:
    there = change_clinic(world, hours="", urgent_line_number="")
    client = there.client()
    there.treat(client, TREATED)
    page = show(there, link(client), "2026-11-21 12:00")
    assert "call NHS 111. Do not wait" in page.spoken[0].text
    assert page.lines == ()
    assert not re.search(r"\n\n\n|<p></p>|<li></li>|None|\{\{", page.spoken[0].text + page.spoken[0].html)


def test_a_closed_day_is_told_by_its_date(world: World) -> None:
    client = world.client()
    world.treat(client, TREATED)
    page = show(world, link(client), "2026-11-22 12:00")
    assert "We are closed on Sunday 22 November." in page.spoken[0].text
    assert page.lines[1:] == ("We are closed on Sunday 22 November.",)


def test_a_clinics_own_words_and_numbers_are_shown_and_never_anothers(world: World) -> None:
    there = another_clinic(world, name="Elsewhere", sender_name="Elsewhere", phone="01632 960 999")
    client = there.client()
    there.treat(client, TREATED)
    text = show(world, link(client), "2026-11-21 12:00").spoken[0].text
    assert "01632 960 999" in text
    assert "01632 960 001" not in text


def test_reading_changes_nothing(world: World) -> None:
    client = world.client()
    world.treat(client, TREATED)
    before = everything(world)
    for now in ("2026-11-20 18:00", "2026-11-26 12:00", "2027-06-01 12:00"):
        show(world, link(client), now)
    assert everything(world) == before
