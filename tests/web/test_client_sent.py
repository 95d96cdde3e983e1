"""What was sent where: which words went to which address and when, for the day an address was the wrong one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions import revise
from service.store.engine import Store
from service.store.tables import Role, audit
from tests.support.desk import signed_in
from tests.support.scripted_relay import Accepted, ScriptedRelay
from tests.support.world import World, make_world, text_of

LATER = "2026-11-24 12:00"
LINK = re.compile(r"https://care\.example\.org/[sct]/[\w-]{40}")


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path, public_url="https://care.example.org")


@pytest.fixture
def went_out(world: World) -> Iterator[list[Accepted]]:
    """Sam's day 1 to a wrong address, day 3 to the corrected one."""
    sam = world.client("Sam Reed", "sam.reid@example.com", now="2026-11-20 10:00")
    world.treat(sam, "2026-11-20", now="2026-11-20 10:01")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
        with world.store.write() as connection:
            given = {"email": "sam.reed@example.com"}
            revise.change_client(connection, world.clinic, sam, given, world.who("2026-11-22 09:00"))
        world.tick(relay, "2026-11-23 10:00")
        yield relay.log


def words(text: str) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", text)))


def texts(page: str) -> list[str]:
    """The words of every e-mail on the page."""
    return [unescape(found) for found in re.findall(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)]


def test_every_word_stands_there_as_it_went_out_with_its_address_and_time(
    world: World, went_out: list[Accepted]
) -> None:
    with signed_in(world, Role.RECEPTION, LATER) as browser:
        page = browser.get("/clients/1/sent").text
    sent = [text_of(one).replace("\r\n", "\n").strip() for one in went_out]
    assert len(sent) == len(texts(page)) == 2
    for shown, text in zip(texts(page), sent, strict=True):
        assert LINK.search(text)
        assert shown.strip() == re.sub(r"(/[sct]/)[\w-]{40}", r"\1…", text)
    said = words(page)
    assert "Day 1, Sat 21 Nov 2026, 10:00:00" in said
    assert "Day 3, Mon 23 Nov 2026, 10:00:00" in said
    assert "These are the exact words that went out." in said
    assert "To sam.reid@example.com From Northgate <desk@northgate-clinic.org> Subject" in said


def test_one_address_is_chosen_without_naming_it_in_the_path(world: World, went_out: list[Accepted]) -> None:
    del went_out
    with signed_in(world, Role.OWNER, LATER) as browser:
        both = browser.get("/clients/1/sent").text
        wrong = words(browser.get("/clients/1/sent?which=1").text.partition("</nav>")[2].partition("</nav>")[2])
        right = words(browser.get("/clients/1/sent?which=2").text.partition("</nav>")[2].partition("</nav>")[2])
        assert words(browser.get("/clients/1/sent?which=9").text).count("To sam.") == words(both).count("To sam.")
    assert "@" not in "".join(re.findall(r'href="([^"]*)"', both))
    assert ("sam.reid@" in wrong, "sam.reed@" in wrong, "Day 3" in wrong) == (True, False, False)
    assert ("sam.reid@" in right, "sam.reed@" in right, "Day 3" in right) == (False, True, True)


def test_what_the_links_show_is_said_and_none_of_them_can_be_opened_from_here(
    world: World, went_out: list[Accepted]
) -> None:
    with signed_in(world, Role.CLINICIAN, LATER) as browser:
        page = browser.get("/clients/1/sent").text
    (token, *_) = LINK.findall(text_of(went_out[-1]))
    assert token.rpartition("/")[2] not in page
    assert "The link to stop opens a page with the clinic's name" in words(page)
    assert "The link to the check-in asks how the skin is." in words(page)


def test_looking_is_written_down_and_ops_may_not(world: World, went_out: list[Accepted]) -> None:
    del went_out
    with signed_in(world, Role.OPS, LATER) as browser:
        assert browser.get("/clients/1/sent").status_code == 403
    with signed_in(world, Role.RECEPTION, LATER) as browser:
        browser.get("/clients/1/sent")
    with world.store.read() as connection:
        line = connection.execute(sa.select(audit).where(audit.c.action == "client opened")).mappings().one()
    assert (line["actor"], line["subject"]) == ("reception1@northgate-clinic.org", "client 1")


def test_before_anything_went_out_the_page_says_what_will_stand_there(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with signed_in(world, Role.OWNER, "2026-11-20 17:00") as browser:
        assert 'href="/clients/1/sent"' in browser.get("/clients/1").text
        assert "Nothing was handed to a mail server" in browser.get("/clients/1/sent").text


def test_of_an_erased_client_only_times_are_left(world: World, went_out: list[Accepted]) -> None:
    del went_out
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, 1, world.who("2026-11-23 12:00"))
    with signed_in(world, Role.OWNER, LATER) as browser:
        page = browser.get("/clients/1/sent").text
    assert "Sam" not in page
    assert "example.com" not in page
    assert "Day 1, Sat 21 Nov 2026, 10:00:00" in words(page)
    assert "no longer kept" in words(page)
