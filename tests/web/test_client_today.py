"""The page of the day in the eyes of clients, of strangers with a forwarded link, of scanners and of a style sheet."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import html5lib
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

import service.web
from service.actions import revise
from service.actions.answer import STOP, TODAY, link_of, write_link
from service.actions.shelf import Shelf
from service.mail.catalogue import Catalogue
from service.mail.signing import Signer
from service.store import clinics
from service.store.engine import Store
from service.store.tables import metadata, treatments
from service.web.app import WebParts, create_app, load_pages
from service.web.client_door import ClientParts
from service.web.client_today import today_routes
from service.web.limits import RateLimit
from service.web.security import HEADERS, LOOPBACK_HOSTS
from tests.support.world import World, at, make_world

PUBLIC = "https://notes.northgate.org"
SIGNER = Signer([b"a key of these tests and no others"])
TREATED = "2026-11-20"
STYLES = (Path(service.web.__path__[0]) / "static" / "aftercare.css").read_text(encoding="utf-8")
LABEL = "Answer 6 short questions"


class Place:
    """The whole application over one world with one treated client; its clock stands where a test puts it."""

    def __init__(self, world: World, *, live: bool = False, limit: RateLimit | None = None) -> None:
        self.world, self.now = world, at("2026-11-21 12:00")
        shelf = Shelf(world.service.catalogue, drafts_count=not live)
        parts = ClientParts(world.store, SIGNER, self._now, limit or RateLimit(burst=100_000), shelf=shelf)
        hosts = LOOPBACK_HOSTS | {"notes.northgate.org"}
        app = create_app(WebParts(None, lambda: (True, ""), lambda: True, hosts=hosts, clients=parts))
        self.http = TestClient(app, base_url=PUBLIC, follow_redirects=False, client=("203.0.113.7", 40000))

    def _now(self) -> datetime:
        return self.now

    def get(self, path: str = "", now: str = "2026-11-21 12:00") -> Response:
        self.now = at(now)
        return self.http.get(path or PATH)

    def everything(self) -> dict[str, list[Any]]:
        with self.world.store.read() as connection:
            return {
                table.name: sorted(connection.execute(sa.select(table)), key=str) for table in metadata.sorted_tables
            }

    def change_clinic(self, **fields: str) -> None:
        with self.world.store.write() as connection:
            clinics.change(connection, self.world.clinic.id, fields)


def path_of(client_id: int, purpose: str = TODAY, address: str = "sam@example.com") -> str:
    return f"/t/{write_link(SIGNER, purpose, link_of(client_id, address))}"


PATH = path_of(1)


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    found = make_world(store, tmp_path)
    found.treat(found.client(), TREATED)
    return found


@pytest.fixture
def place(world: World) -> Place:
    return Place(world)


def words_of(answer: Response) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", answer.text).replace("\u00a0", " ").split())


@pytest.mark.parametrize(
    ("now", "title"),
    [
        ("2026-11-20 18:00", "What to expect on Friday 20 November"),
        ("2026-11-21 12:00", "What to expect on Saturday 21 November"),
        ("2026-11-26 12:00", "What to expect on Thursday 26 November"),
        ("2026-11-28 12:00", "What to expect on Saturday 28 November"),
        ("2026-12-05 12:00", "What to expect on Saturday 5 December"),
        ("2027-01-19 12:00", "What to expect on Tuesday 19 January"),
        ("2027-01-20 12:00", "How to reach us"),
        ("2026-11-19 12:00", "How to reach us"),
    ],
)
def test_the_same_link_opens_the_page_of_the_day(place: Place, now: str, title: str) -> None:
    answer = place.get(now=now)
    assert answer.status_code == 200
    assert f"<title>{title}</title>" in answer.text
    assert f"<h1>{title}</h1>" in answer.text


def test_a_page_with_words_leads_on_to_the_check_in_and_the_stop(place: Place) -> None:
    answer = place.get()
    links = dict(re.findall(r'href="\.\./([a-z])/([A-Za-z0-9_-]{40})"', answer.text))
    assert set(links) == {"c", "s"}
    assert links["s"] == path_of(1, STOP).removeprefix("/t/")
    assert place.http.get(f"/s/{links['s']}").status_code == 200
    assert LABEL in answer.text
    place.change_clinic(check_in=False)  # type: ignore[arg-type]
    assert LABEL not in place.get().text


def test_every_page_is_whole_in_one_language_and_well_formed(place: Place) -> None:
    for now in ("2026-11-21 12:00", "2026-11-26 12:00", "2027-06-01 12:00"):
        page = place.get(now=now).text
        html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
        assert '<html lang="en" dir="ltr">' in page
        assert page.count("<h1>") == 1


def contact(answer: Response) -> str:
    """The words of a page that says how to reach the clinic, and no more."""
    words = words_of(answer)
    assert answer.status_code == 200
    assert "card" not in answer.text
    for word in ("normal", "red", "itch", "scab", "skin", "swell", "doctor", "area", LABEL):
        assert not re.search(rf"(?i)\b{word}", words), word
    assert 'href="tel:01632960001"' in answer.text
    assert 'href="tel:999"' in answer.text
    assert "If you cannot reach us, call NHS 111 on 111 ." in words
    assert "We are open Monday to Friday 9 am to 6 pm, and Saturday 10 am to 2 pm." in words
    return words


def test_after_60_days_the_contact_is_left(place: Place) -> None:
    assert "Your visit was some time ago." in contact(place.get(now="2027-01-20 00:00"))


def test_a_cancelled_treatment_shows_the_contact(place: Place) -> None:
    with place.world.store.write() as connection:
        connection.execute(sa.update(treatments).values(cancelled_at=at("2026-11-21 11:00")))
    assert "There is nothing else to show" in contact(place.get())


def test_live_words_that_nobody_has_approved_are_never_shown(world: World) -> None:
    assert "We cannot show what to expect" in contact(Place(world, live=True).get())


def test_after_a_newer_treatment_its_days_count(place: Place) -> None:
    place.world.treat(1, "2026-11-25", now="2026-11-26 12:00")
    words = words_of(place.get(now="2026-11-26 12:00"))
    assert "This page follows your visit on Wednesday 25 November." in words
    assert "Friday 20 November" not in words


def test_without_hours_phone_or_numbers_no_sentence_is_left_hanging(place: Place) -> None:
    place.change_clinic(phone="", hours="", emergency_number="", urgent_line_name="", urgent_line_number="")
    words = words_of(place.get())
    assert "Write to desk@northgate-clinic.org" in words
    assert not re.search(r"None|In an emergency|cannot reach us|open| on \.|call \.", words)


# --- what a stranger learns


def test_a_forwarded_link_tells_no_name_no_address_and_not_what_was_done(place: Place) -> None:
    for now in ("2026-11-21 12:00", "2026-12-10 12:00", "2027-06-01 12:00"):
        words = place.get(now=now).text.lower()
        for word in ("sam", "reed", "example.com", "scalp", "pigment", "tattoo", "treatment", "clinic "):
            assert word not in words, word


def test_a_name_that_looks_like_markup_is_only_a_name(place: Place) -> None:
    name = "<script>alert(1)</script> & Söhne"
    place.change_clinic(sender_name=name, urgent_line_name=name, wash_advice=name)
    for now in ("2026-11-21 12:00", "2027-06-01 12:00"):
        page = place.get(now=now).text
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne" in page
        assert "<script" not in page


def test_every_link_that_opens_nothing_gets_the_same_page(place: Place) -> None:
    gone = place.world.client("Gone Person")
    with place.world.store.write() as connection:
        revise.erase(connection, place.world.clinic, gone, place.world.who("2026-11-21 12:00"))
    paths = [
        path_of(gone, address="gone@example.com"),
        path_of(gone + 1),
        path_of(1, STOP),
        PATH[:-1],
        f"{PATH}A",
        "/t/1",
        "/t/" + "a" * 5000,
        "/t/%00%ff%0d%0aSet-Cookie:%20a=b",
    ]
    answers = [place.http.get(path) for path in paths]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1


def test_every_answer_is_private_and_loads_nothing_from_elsewhere(place: Place) -> None:
    for answer in (place.get(), place.get(now="2027-06-01 12:00"), place.http.get("/t/none"), place.http.post(PATH)):
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        assert "set-cookie" not in answer.headers
        assert not re.search(r"<script|<style|\son\w+=|\sstyle=|http:|https:|//", answer.text)


# --- scanners and other methods


def test_whatever_is_asked_the_database_stays_as_it_was(place: Place) -> None:
    before = place.everything()
    for method, status in (
        ("GET", 200), ("HEAD", 200), ("OPTIONS", 204), ("POST", 405), ("PUT", 405), ("PATCH", 405), ("DELETE", 405),
    ):  # fmt: skip
        for path in (PATH, f"{PATH}?answer=stop&List-Unsubscribe=One-Click"):
            answer = place.http.request(method, path, headers={"User-Agent": "SafeLinks", "Purpose": "prefetch"})
            assert answer.status_code == status, method
            if status != 200:
                assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert place.everything() == before


def test_who_asks_too_often_waits(world: World) -> None:
    place = Place(world, limit=RateLimit(burst=2, seconds=lambda: 0.0))
    answers = [place.get(path) for path in (PATH, "/t/none", PATH)]
    assert [answer.status_code for answer in answers] == [200, 404, 429]
    assert answers[-1].headers["retry-after"] == "1"


def test_without_its_database_the_page_asks_to_try_again(tmp_path: Path) -> None:
    lost = Store(f"sqlite:///{tmp_path / 'nowhere' / 'lost.db'}")
    app = FastAPI(openapi_url=None)
    parts = ClientParts(lost, SIGNER, lambda: at("2026-11-21 12:00"))
    app.include_router(today_routes(parts, Shelf(Catalogue.load(), drafts_count=True), load_pages()))
    with TestClient(app, base_url=PUBLIC) as http:
        answer = http.get(PATH)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")


# --- looks


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def colours(scheme: str) -> dict[str, str]:
    """The colours by name in one scheme; the dark one says only what differs."""
    dark = "".join(re.findall(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", STYLES, re.DOTALL))
    light = "".join(re.findall(r"^:root \{(.*?)\}", STYLES, re.DOTALL | re.MULTILINE))
    found = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", light))
    return found | (dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", dark)) if scheme == "dark" else {})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_words_of_a_care_card_stand_out_from_their_ground(scheme: str) -> None:
    found = colours(scheme)
    for card in ("normal", "urgent", "emergency"):
        rule = re.search(rf"\.card\.{card} \{{(.*?)\}}", STYLES)
        assert rule is not None
        told = dict(re.findall(r"--([a-z-]+): (?:var\(--([a-z-]+)\)|(?:#ffffff))", rule[1]))
        head, words, edge = (
            found[told[part]] if told[part] else "#ffffff" for part in ("head-of-card", "words-of-card", "edge-of-card")
        )
        assert contrast(words, head) >= 7, card
        assert contrast(edge, found["ground"]) >= 3, card
    for words in ("ink", "accent"):
        assert contrast(found[words], found["ground"]) >= 7
    assert contrast(found["on-accent"], found["accent"]) >= 7
