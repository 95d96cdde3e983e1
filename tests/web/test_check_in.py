"""The check-in behind a client's link, in the eyes of a client with a telephone, of scanners and of strangers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

from service.actions import clinic_setup, revise
from service.actions.answer import CHECK_IN, STOP, TODAY, link_of, write_link
from service.actions.shelf import Shelf
from service.domain.triage import check_in_of
from service.mail.signing import Signer
from service.store import check_ins, clinics
from service.store.engine import Store
from service.store.tables import calls, metadata
from service.web.app import load_pages
from service.web.client_check_in import MOST_FIELDS, Patience, check_in_routes
from service.web.client_pages import ClientParts
from service.web.limits import MOST_BODY, RateLimit
from service.web.security import HEADERS, LOOPBACK_HOSTS, Secured
from tests.support.world import SMP, World, at, make_world

PUBLIC = "https://notes.northgate.org"
FORM = "application/x-www-form-urlencoded"
KEY = b"the newest key of these tests alone"
PATIENT = Patience()
NOON, NIGHT = "2026-11-23 12:20", "2026-11-23 23:00"


class Page(HTMLParser):
    """What a browser without scripts knows of a page: its form, and its links."""

    def __init__(self, answer: Response) -> None:
        super().__init__()
        self.status, self.html = answer.status_code, answer.text
        self.fields: list[tuple[str, str]] = []
        self.boxes: list[tuple[str, str]] = []
        self.buttons: list[tuple[str, str]] = []
        self.links: list[str] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        of = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.links.append(of["href"])
        elif tag == "button":
            self.buttons.append((of["name"], of["value"]))
        elif tag == "input" and of["type"] == "checkbox":
            self.boxes.append((of["name"], of["value"]))
            self.fields += [(of["name"], of["value"])] if "checked" in of else []
        elif tag == "input":
            self.fields.append((of["name"], of["value"]))

    @property
    def words(self) -> str:
        main = self.html.partition("<main")[2].partition(">")[2]
        return " ".join(re.sub(r"<[^>]*>", "", main).replace("\xa0", " ").split())

    @property
    def heading(self) -> str:
        found = re.search(r"<h1>(.*?)</h1>", self.html, re.DOTALL)
        assert found
        return " ".join(re.sub(r"<[^>]*>", "", found[1]).replace("\xa0", " ").split())

    @property
    def question(self) -> str:
        """The key of the question it asks, "" for a page that asks nothing."""
        return dict(self.fields).get("at", "")


class Phone:
    """A client's browser over one world, and what became of the database."""

    def __init__(self, world: World, now: str = NOON, patience: Patience = PATIENT) -> None:
        self.world, self.now = world, now
        shelf = Shelf(world.service.catalogue, drafts_count=True)
        parts = ClientParts(world.store, Signer([KEY]), lambda: at(self.now), RateLimit(burst=100_000), shelf)
        self.app = FastAPI(openapi_url=None)
        self.app.add_middleware(Secured, hosts=LOOPBACK_HOSTS | {"notes.northgate.org"})
        self.app.include_router(check_in_routes(parts, shelf.catalogue, load_pages(), patience))
        self.http = TestClient(self.app, base_url=PUBLIC, follow_redirects=False)

    def open(self, path: str = "") -> Page:
        return Page(self.http.get(path or PATH))

    def press(self, page: Page, button: tuple[str, str], *ticks: tuple[str, str]) -> Page:
        """Touch a button that is there, and only boxes that are there."""
        assert button in page.buttons
        assert {*ticks} <= {*page.boxes}
        body = "&".join(f"{name}={value}" for name, value in (*page.fields, *ticks, button))
        return Page(self.post(body))

    def post(self, body: str | bytes, content_type: str = FORM, path: str = "") -> Response:
        return self.http.post(path or PATH, content=body, headers={"Content-Type": content_type})

    def fill(self, **ticks: str) -> Page:
        """The last page, after the clear answer to every question without ticks ("fading wider")."""
        page = self.open()
        while page.question:
            key = page.question
            if key not in ticks:
                clear = ("go", "clear") if ("go", "clear") in page.buttons else (key, "no")
                page = self.press(page, clear)
            elif page.boxes:
                page = self.press(page, ("go", "next"), *((key, one) for one in ticks[key].split()))
            else:
                page = self.press(page, (key, ticks[key]))
        return page

    def everything(self) -> dict[str, list[Any]]:
        with self.world.store.read() as connection:
            return {
                table.name: sorted(connection.execute(sa.select(table)), key=str) for table in metadata.sorted_tables
            }

    def kept(self) -> list[tuple[int, str, dict[str, list[str]]]]:
        with self.world.store.read() as connection:
            found = check_ins.listed(connection, self.world.clinic.id)
        return [(one.day, one.level, dict(one.answers)) for one in found]  # type: ignore[arg-type]

    def red_calls(self) -> list[tuple[str, str | None]]:
        with self.world.store.read() as connection:
            return [tuple(row) for row in connection.execute(sa.select(calls.c.reason, calls.c.level))]

    def set_clinic(self, **fields: Any) -> None:
        with self.world.store.write() as connection:
            clinics.change(connection, self.world.clinic.id, fields)


def treated(store: Store, folder: Path) -> World:
    world = make_world(store, folder)
    world.treat(world.client(), "2026-11-20")
    return world


def path_of(client_id: int = 1, purpose: str = CHECK_IN, address: str = "sam@example.com") -> str:
    return f"/c/{write_link(Signer([KEY]), purpose, link_of(client_id, address))}"


PATH = path_of()


@pytest.fixture
def phone(store: Store, tmp_path: Path) -> Phone:
    """For what the database has a part in: on both."""
    return Phone(treated(store, tmp_path))


@pytest.fixture
def small_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "aftercare.db"
    path.write_bytes(sqlite_template.read_bytes())
    opened = Store(f"sqlite:///{path}")
    yield opened
    opened.close()


@pytest.fixture
def small(small_store: Store, tmp_path: Path) -> Phone:
    return Phone(treated(small_store, tmp_path))


# --- the way through the form


def test_the_link_opens_the_first_question_and_says_that_nobody_watches(small: Phone) -> None:
    page = small.open()
    assert (page.status, page.question) == (200, "q1")
    before, _, after = page.words.partition("Do you have any of these right now?")
    assert "No one is watching this form live. If you feel very unwell, call 999 now." in before
    assert "1 of 6" in before
    assert page.links == ["tel:999"]
    # What "none of these" denies is read before it.
    assert after.index("heavy bleeding") < after.index("none of these")


def test_every_question_stands_alone_with_its_clear_answer_first_and_i_am_not_sure(small: Phone) -> None:
    page, seen = small.open(), []
    while page.question:
        question = next(one for one in check_in_of(small_protocol(small)).questions if one.key == page.question)
        seen.append(question.key)
        offered = {value for name, value in (*page.boxes, *page.buttons) if name == question.key}
        assert offered | {question.clear} == {*question.options} - {"most_scabs"}, question.key
        assert page.buttons[0] == ("go", "next")  # what the Enter key presses answers nothing
        clear = (question.key, question.clear) if question.ticks == "one" else ("go", "clear")
        assert page.buttons.index(clear) == 1 or question.key == "q1"
        page = small.press(page, clear)
    assert seen == ["q1", "q2", "q3", "q4", "q5", "q6"]


def small_protocol(phone: Phone) -> Any:
    return phone.world.service.catalogue.protocols[SMP]


def test_who_is_well_needs_five_touches_and_is_not_told_that_all_is_fine(phone: Phone) -> None:
    page = phone.open()
    for button in (("go", "clear"), ("q2", "no"), ("go", "clear"), ("go", "clear-both"), ("go", "clear")):
        assert page.question
        assert phone.kept() == []
        page = phone.press(page, button)
    assert page.heading == "What you told us fits what we expect on day 3."
    assert "We have not seen your skin." in page.words
    clear = {key: ["none"] for key in ("q1", "q2", "q3", "q4", "q5", "q6")} | {"q2": ["no"]}
    assert phone.kept() == [(3, "N", clear)]
    assert phone.red_calls() == []


def test_redness_on_day_3_is_a_call_today_said_at_once(phone: Phone) -> None:
    page = phone.fill(q3="fading", q6="small_scabs")
    assert page.heading == "Urgent: Call us today on 01632 960 001."
    for sentence in (
        "If we are closed or do not answer, call NHS 111 on 111.",
        "Do not wait for the next day.",
        "This may be harmless, but someone needs to check.",
        "If you have diabetes or a weak immune system, get medical advice today.",
        "No one is watching this form live.",
        "Do not wait for us to call you.",
    ):
        assert sentence in page.words
    assert page.links[:2] == ["tel:01632960001", "tel:111"]
    assert "closed now" not in page.words
    assert phone.kept()[0][1] == "T"
    assert phone.red_calls() == [("red_answer", "T")]


def test_on_a_closed_day_the_urgent_line_comes_first_too(small: Phone) -> None:
    with small.world.store.write() as connection:
        given = {"closed_days": small.now[:10]}
        clinic_setup.change_clinic(connection, small.world.clinic, given, small.world.who("2026-11-20 09:00"))
    page = small.fill(q3="fading")
    assert page.heading == "Urgent: We are closed now. Call NHS 111 on 111."
    assert page.links[:2] == ["tel:111", "tel:01632960001"]


def test_at_night_the_urgent_line_comes_before_anything_else(small: Phone) -> None:
    small.now = NIGHT
    page = small.fill(q3="fading")
    assert page.heading == "Urgent: We are closed now. Call NHS 111 on 111."
    assert page.words.startswith("Urgent: We are closed now. Call NHS 111 on 111. Call NHS 111 on 111 Call 01632")
    assert page.links[:2] == ["tel:111", "tel:01632960001"]
    assert page.words.index("We are closed now") < page.words.index("Call us today on")


@pytest.mark.parametrize(
    ("ticks", "card", "heading", "first_link"),
    [
        ({"q2": "unwell"}, "urgent", "Urgent: Get medical help today.", "tel:111"),
        ({"q5": "bleeding"}, "urgent", "Urgent: Get medical help today.", "tel:111"),
        ({"q1": "not_sure"}, "urgent", "Urgent: Get medical help today.", "tel:111"),
        ({"q4": "not_sure"}, "urgent", "Urgent: Call us today on 01632 960 001.", "tel:01632960001"),
        (
            {"q6": "dots_blue"},
            "normal",
            "Call us in the next 2 working days on 01632 960 001.",
            "tel:01632960001",
        ),
        ({"q6": "patchy"}, "normal", "Tell us at your next visit.", "tel:01632960001"),
    ],
)
def test_each_level_has_its_card_its_words_and_whom_to_call_first(
    small: Phone, ticks: dict[str, str], card: str, heading: str, first_link: str
) -> None:
    page = small.fill(**ticks)
    assert page.heading == heading
    assert f'class="card advice {card}"' in page.html
    assert page.links[0] == first_link
    assert page.links[-1] == f"..{PATH}"  # to change the answers


@pytest.mark.parametrize("sign", ["breathing", "mouth_swelling", "confused", "blue_skin", "heavy_bleeding"])
def test_an_emergency_ends_the_form_and_the_page_has_one_link_alone(small: Phone, sign: str) -> None:
    page = small.press(small.open(), ("go", "next"), ("q1", sign))
    assert page.heading == "Emergency: Call 999 now."
    assert "Say that you had a skin treatment on Friday 20 November, and what you feel." in page.words
    assert page.words.endswith("Do not wait for us.")
    assert page.links == ["tel:999"]
    assert page.buttons == []
    assert small.kept() == [(3, "E", {"q1": [sign]})]
    assert small.red_calls() == [("red_answer", "E")]


def test_the_same_answers_mean_something_else_on_another_day(small: Phone) -> None:
    headings = {}
    for day in ("21", "23"):
        small.now = f"2026-11-{day} 12:00"
        headings[day] = small.fill(q3="fading").heading
    assert headings["21"] == "What you told us fits what we expect on day 1."
    assert headings["23"].startswith("Urgent: Call us today")


def test_most_scabs_are_asked_about_from_day_8_on(small: Phone) -> None:
    for now, offered in (("2026-11-27 12:00", False), ("2026-11-28 12:00", True)):
        small.now = now
        page = small.open()
        while page.question != "q6":
            page = small.press(page, ("q2", "no") if page.question == "q2" else ("go", "clear"))
        assert (("q6", "most_scabs") in page.boxes) is offered


def test_back_keeps_every_answer_and_shows_the_ticks(small: Phone) -> None:
    page = small.press(small.press(small.open(), ("go", "clear")), ("q2", "no"))
    page = small.press(page, ("go", "next"), ("q3", "fading"), ("q3", "wider"))
    page = small.press(page, ("go", "back"), ("q4", "face"))
    assert page.question == "q3"
    assert [field for field in page.fields if field[0] == "q3"] == [("q3", "fading"), ("q3", "wider")]
    page = small.press(small.press(page, ("go", "back")), ("q2", "unwell"))
    assert page.question == "q3"
    page = small.press(page, ("go", "next"))
    assert ("q4", "face") in page.fields
    page = small.press(page, ("go", "next"))
    for _ in range(2):
        page = small.press(page, ("go", "clear"))
    assert page.heading == "Urgent: Get medical help today."
    assert small.kept()[0][2] == {
        "q1": ["none"], "q2": ["unwell"], "q3": ["fading", "wider"], "q4": ["face"], "q5": ["none"], "q6": ["none"],
    }  # fmt: skip


def test_next_without_an_answer_asks_again_and_says_why(small: Phone) -> None:
    page = small.press(small.open(), ("go", "next"))
    assert (page.status, page.question) == (422, "q1")
    assert "Please choose an answer." in page.words
    assert small.kept() == []


def test_answering_again_is_welcome_and_a_page_loaded_anew_counts_once(phone: Phone) -> None:
    body = "at=q1&q1=breathing&go=next"
    assert phone.post(body).content == phone.post(body).content
    assert len(phone.kept()) == 1
    phone.fill()
    assert [level for _, level, _ in phone.kept()] == ["E", "N"]
    assert phone.red_calls() == [("red_answer", "E")]


# --- nothing is done by looking, by strangers, or by forms that are not ours


def test_reading_changes_nothing_whoever_reads_and_however(phone: Phone) -> None:
    before = phone.everything()
    for method, query in itertools.product(("GET", "HEAD", "OPTIONS"), ("", "?at=q1&q1=breathing&go=next")):
        answer = phone.http.request(method, PATH + query, headers={"User-Agent": "Barracuda Sentinel (EE)"})
        assert answer.status_code in (200, 204)
        assert "Emergency" not in answer.text
    assert phone.http.options(PATH).headers["allow"] == "GET, HEAD, OPTIONS, POST"
    for method in ("PUT", "PATCH", "DELETE"):
        assert phone.http.request(method, PATH, content="at=q1&q1=breathing").status_code == 405
    assert phone.everything() == before


def test_no_page_before_the_last_answer_writes_anything(phone: Phone) -> None:
    before, page = phone.everything(), phone.open()
    for button in (("go", "clear"), ("q2", "unwell"), ("go", "clear"), ("go", "back"), ("go", "clear")):
        page = phone.press(page, button)
        assert phone.everything() == before


WELL = "q1=none&q2=no&q3=none&q4=none&q5=none"


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        ("", FORM, 400),
        ("at=q6", FORM, 400),
        ("go=clear", FORM, 400),
        ("at=q6&go=clear", FORM, 400),
        ("at=q6&go=clear&q1=none&q3=none&q4=none&q5=none", FORM, 400),
        (f"at=q6&at=q6&go=clear&{WELL}", FORM, 400),
        (f"at=q6&go=clear&go=clear&{WELL}", FORM, 400),
        (f"at=q6&go=send&{WELL}", FORM, 400),
        (f"at=q6&go=clear&{WELL}&q5=none", FORM, 400),
        (f"at=q6&go=clear&{WELL}&q2=unwell", FORM, 400),
        (f"at=q6&go=clear&{WELL}&q7=none", FORM, 400),
        (f"at=q6&go=clear&{WELL}&q5=plague", FORM, 400),
        (f"at=q6&go=clear&{WELL}&level=N", FORM, 400),
        (f"at=q6&go=clear&{WELL}&client_id=2", FORM, 400),
        (f"at=q1&go=back&{WELL}", FORM, 400),
        (f"at=q3&go=clear-both&{WELL}", FORM, 400),
        ("List-Unsubscribe=One-Click", FORM, 400),
        ("answer=stop", FORM, 400),
        (b"at=q1&q1=\xff", FORM, 400),
        ("at=q1&q1=%ff%fe", FORM, 400),
        ("at=q1&q1=%00breathing", FORM, 400),
        ("&".join(["q1=none"] * (MOST_FIELDS + 1)), FORM, 400),
        ("x" * (MOST_BODY + 1), FORM, 413),
        ('{"at": "q1", "q1": "breathing"}', "application/json", 415),
        ("at=q1&q1=breathing", "text/plain", 415),
        ("--x\r\n", "multipart/form-data; boundary=x", 415),
    ],
)
def test_a_form_that_is_not_ours_is_refused_politely_and_nothing_is_saved(
    small: Phone, body: str | bytes, content_type: str, status: int
) -> None:
    before = small.everything()
    answer = small.post(body, content_type)
    assert answer.status_code == status
    assert "Nothing was saved." in answer.text
    assert "call the number in the e-mail" in answer.text
    assert small.everything() == before


def test_every_link_that_opens_nothing_gets_the_same_page(phone: Phone) -> None:
    world, token = phone.world, PATH.removeprefix("/c/")
    gone = world.client("Gone Person")
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, gone, world.who(NOON))
    paths = [
        path_of(gone, address="gone@example.com"),
        path_of(gone + 1),
        path_of(purpose=STOP),
        path_of(purpose=TODAY),
        f"/c/{token[:-1]}",
        f"/c/{token}A",
        f"/c/{token[:20]}{'A' if token[20] != 'A' else 'B'}{token[21:]}",
        "/c/1",
        "/c/%00%ff",
        "/c/" + "a" * 5000,
    ]
    before = phone.everything()
    answers = [phone.http.get(path) for path in paths] + [phone.post("at=q1&q1=breathing", path=path) for path in paths]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(answer.headers.items())) for answer in answers}) == 1
    assert phone.everything() == before


def test_where_nothing_is_asked_there_is_the_phone_and_no_form(small: Phone) -> None:
    pages = {}
    small.now = "2027-01-20 12:00"
    pages["over"] = small.open()
    small.now = NOON
    small.set_clinic(check_in=False)
    pages["off"] = small.open()
    assert small.post("at=q1&q1=breathing&go=next").text == pages["off"].html
    small.set_clinic(check_in=True)
    with small.world.store.write() as connection:
        revise.change_client(connection, small.world.clinic, 1, {"email": "new@example.com"}, small.world.who(NOON))
    pages["another address"] = small.open()
    assert {page.html for page in pages.values()} == {pages["off"].html}
    page = pages["off"]
    assert (page.status, page.question) == (200, "")
    assert page.links[:3] == ["tel:01632960001", "tel:111", "tel:999"]
    assert small.kept() == []


def test_a_forwarded_link_tells_nothing_about_the_client_before_an_answer(small: Phone) -> None:
    words = small.open().html.lower()
    for word in ("sam", "reed", "scalp", "micropigmentation", "november", "2026", "example.com", "day 3"):
        assert word not in words, word


def test_every_answer_is_private_and_loads_nothing_from_elsewhere(small: Phone) -> None:
    answers = [small.http.get(PATH), small.post("at=q1&go=clear"), small.post("at=q1&q1=breathing"), small.post("")]
    for answer in answers:
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        assert "set-cookie" not in answer.headers
        assert not re.search(r"<script|<style|\son\w+=|\sstyle=|http:|https:|//", answer.text)
    # A question may be kept by the browser, for its own "back"; an advice with the visit's date may not.
    assert [answer.headers["cache-control"] for answer in answers] == ["private, no-cache"] * 2 + ["no-store"] * 2


# --- words of others, and trouble of our own


def test_names_of_a_clinic_are_only_names(small: Phone) -> None:
    evil = "<b onload=x>&\ue000"
    small.set_clinic(sender_name=evil, urgent_line_name=f"{evil} {{number}}")
    page = small.fill(q3="fading")
    assert "<b " not in page.html
    assert page.html.count("&lt;b onload=x&gt;&amp;") >= 3
    assert page.links[:2] == ["tel:01632960001", "tel:111"]


def test_what_a_clinic_has_not_said_is_said_in_neutral_words(small: Phone) -> None:
    blank = dict.fromkeys(("phone", "hours", "emergency_number", "urgent_line_name", "urgent_line_number"), "")
    small.set_clinic(**blank)
    assert "call your local emergency number now" in small.open().words
    page = small.fill(q3="fading")
    assert page.heading == "Urgent: Call us today on our usual number."
    assert "call an urgent medical advice line" in page.words
    assert page.links == [f"..{PATH}"]
    assert small.press(small.open(), ("go", "next"), ("q1", "breathing")).links == []


def test_an_urgent_line_without_a_number_is_named_and_not_called(small: Phone) -> None:
    small.set_clinic(urgent_line_name="your doctor or urgent care", urgent_line_number="")
    small.now = NIGHT
    page = small.fill(q3="fading")
    assert page.heading == "Urgent: We are closed now. Call your doctor or urgent care."
    assert page.links[0] == "tel:01632960001"


def test_a_client_whose_language_has_no_words_gets_the_clinics_whole(small: Phone) -> None:
    with small.world.store.write() as connection:
        revise.change_client(connection, small.world.clinic, 1, {"language": "ar"}, small.world.who(NOON))
    page = small.open()
    assert '<html lang="en" dir="ltr">' in page.html
    assert "Do you have any of these right now?" in page.words


def test_answers_that_cannot_be_saved_are_advised_on_all_the_same(small_store: Store, tmp_path: Path) -> None:
    """Another program holds the database: the advice does not wait for it."""
    phone = Phone(treated(small_store, tmp_path), patience=Patience(save=0.05))
    page = phone.open()
    with Store(str(small_store.url)).write():
        for button in (("go", "clear"), ("q2", "unwell"), *[("go", "clear")] * 4):
            page = phone.press(page, button)
        assert page.heading == "Urgent: Get medical help today."
        assert "We could not save your answers, so we do not know about them. Please phone." in page.words
        assert phone.kept() == []
        emergency = phone.press(phone.open(), ("go", "next"), ("q1", "breathing"))
        assert (emergency.heading, emergency.links) == ("Emergency: Call 999 now.", ["tel:999"])


def test_whatever_keeps_answers_from_being_saved_there_is_advice(small: Phone) -> None:
    """Not only a database that is away: here it refuses the row."""
    page = small.open()
    refuses = "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    with small.world.store.write() as connection:
        connection.exec_driver_sql(f"CREATE TRIGGER refuses BEFORE INSERT ON check_ins {refuses}")
    page = small.press(page, ("go", "next"), ("q1", "breathing"))
    assert (page.status, page.heading) == (200, "Emergency: Call 999 now.")


def test_a_form_that_is_open_ends_in_its_advice_though_the_database_is_gone(small_store: Store, tmp_path: Path) -> None:
    phone = Phone(treated(small_store, tmp_path))
    page = phone.press(phone.open(), ("go", "clear"))
    database = Path(str(small_store.url.database))
    for file in database.parent.glob("aftercare.db*"):
        file.write_bytes(b"no database at all " * 1000)
    page = phone.press(page, ("q2", "unwell"))
    for _ in range(4):
        page = phone.press(page, ("go", "clear"))
    assert (page.status, page.heading) == (200, "Urgent: Get medical help today.")
    assert "We could not save your answers" in page.words
    # Nobody opened this one before: all that is known is that it must not be waited for.
    unknown = phone.http.get(path_of(2))
    assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "60")
    assert "Do not wait for this page." in unknown.text


def test_too_many_tries_are_refused(small_store: Store, tmp_path: Path) -> None:
    world = treated(small_store, tmp_path)
    shelf = Shelf(world.service.catalogue, drafts_count=True)
    parts = ClientParts(world.store, Signer([KEY]), lambda: at(NOON), RateLimit(burst=3, seconds=lambda: 0.0), shelf)
    app = FastAPI(openapi_url=None)
    app.include_router(check_in_routes(parts, shelf.catalogue, load_pages()))
    with TestClient(app, base_url=PUBLIC) as http:
        assert [http.get(PATH).status_code for _ in range(5)] == [200] * 3 + [429] * 2
