"""A client with sore skin, a telephone and no JavaScript: from the link in a real e-mail to the call that ends it."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page, expect

from service.actions.answer import CHECK_IN, link_of
from service.store.tables import Role, audit, calls, check_ins, clients, emails
from tests.browser.person import Keyboard, answer_all
from tests.browser.site import PHONE, Site, open_page, site
from tests.support.scripted_relay import ScriptedRelay
from tests.support.webhook import a_webhook
from tests.support.world import World, text_of

PUBLIC = "https://notes.northgate-clinic.org"
#: Lines of the log of some mail scanners and messengers that open every link there is.
SCANNERS = (
    "Mozilla/5.0 (compatible; Microsoft Office Protection)",
    "Barracuda Sentinel (EE)",
    "Mimecast-URL-Protect/1.0",
    "Proofpoint URL Defense",
    "GoogleImageProxy",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "WhatsApp/2.23.20.0",
    "facebookexternalhit/1.1",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; bingbot/2.0)",
)
LINK = re.compile(rf"{PUBLIC}(/[a-z]/[\w-]+)")


class Mailed:
    """Karim, treated on Friday, and Ines, treated on Sunday. What their e-mails said up to Monday at ten."""

    def __init__(self) -> None:
        self.letters: list[str] = []

    def __call__(self, world: World, _now: str) -> None:
        for name, on in (("Karim", "2026-11-20"), ("Ines", "2026-11-22")):
            client = world.client(name, f"{name}@example.com", f"{on} 16:40", phone="020 7946 0018")
            world.treat(client, on, f"{on} 16:40")
        with ScriptedRelay() as relay:
            for hour in ("2026-11-21 10:00", "2026-11-23 10:00"):
                world.tick(relay, hour)
            self.letters = [text_of(message) for message in relay.log]


@pytest.fixture
def phone(chromium: Browser) -> Iterator[Page]:
    page = open_page(chromium, PHONE, javascript=False)
    yield page
    page.context.close()


def kept(world: World) -> dict[str, list[Any]]:
    """All that a client's link could change."""
    with world.store.read() as connection:
        return {
            table.name: list(connection.execute(sa.select(table).order_by(table.c.id)))
            for table in (clients, emails, calls, check_ins, audit)
        }


def test_redness_on_day_three_is_answered_at_once_and_becomes_a_call_that_somebody_ends(
    chromium: Browser, phone: Page, tmp_path: Path
) -> None:
    mailed = Mailed()
    with (
        a_webhook() as webhook,
        site(tmp_path / "site", "2026-11-23 12:20", mailed, public_url=PUBLIC, alert_webhook=webhook.url) as clinic,
    ):
        letter = [text for text in mailed.letters if "Dear Karim" in text][-1]
        assert "It is for Monday 23 November." in letter
        scanned(clinic, LINK.findall(letter))
        (path,) = [path for path in LINK.findall(letter) if path.startswith("/c/")]
        phone.goto(clinic.url + path)
        expect(phone.locator(".watch")).to_contain_text("No one is watching this form live.")
        answer_all(phone, {"q3": "fading"})
        advice = phone.locator(".advice")
        expect(advice.locator("h1")).to_contain_text("Call us today on 01632 960 001.")
        expect(advice).to_contain_text("If we are closed or do not answer, call NHS 111 on 111.")
        expect(advice).to_contain_text("This may be harmless, but someone needs to check.")
        expect(advice.locator("a").first).to_have_attribute("href", "tel:01632960001")
        assert advice.bounding_box()["y"] < 100, "the advice is the first thing on the page"  # type: ignore[index]

        page = open_page(chromium)
        clinic.sign_in(page)
        keys = Keyboard(page)
        expect(page.locator("h1")).to_have_text("1 call to make, the first by Mon 23 Nov, 13:20 (today)")
        keys.follow("article.act h2 a")
        expect(page.locator("h1")).to_have_text("Call Karim")
        keys.press("Shift+Tab")
        keys.say("Coming in at 16:00")
        keys.follow("button[value=reached]")
        expect(page.locator("[role=status]")).to_have_text("The call is done.")
        expect(page.locator("main")).to_contain_text("No calls to make.")
        page.goto(f"{clinic.url}/clients/1")
        told = page.locator(".timeline").inner_text()
        in_order = (
            "Called: reached",
            "Reception Person",
            "Answered the questions on day 3: a sign to look at today",
            "Day 3: the mail server took it",
            "Day 1: the mail server took it",
            "Treated on Fri 20 Nov",
        )
        places = [told.find(words) for words in in_order]
        assert -1 not in places, told
        assert places == sorted(places), told
        keys.tab_to(".timeline summary")
        keys.press("Enter")
        expect(page.locator(".timeline")).to_contain_text("Note: Coming in at 16:00")
        page.context.close()
    assert webhook.posts
    assert "Karim" not in str(webhook.posts)


def scanned(clinic: Site, paths: list[str]) -> None:
    """Every scanner opens every link, and nothing is recorded."""
    assert len(paths) >= 3
    before = kept(clinic.world)
    for number, scanner in enumerate(SCANNERS):
        told = {"User-Agent": scanner, "X-Forwarded-For": f"203.0.113.{number}"}
        for path in paths:
            for method in ("HEAD", "GET"):
                asked = urllib.request.Request(clinic.url + path, method=method, headers=told)
                with urllib.request.urlopen(asked) as answer:
                    assert answer.status == 200
    assert kept(clinic.world) == before


@pytest.fixture(scope="module")
def monday(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site"), "2026-11-23 12:20", Mailed(), public_url=PUBLIC) as clinic:
        yield clinic


def check_in(clinic: Site, phone: Page, name: str) -> None:
    number = {"Karim": 1, "Ines": 2}[name]
    phone.goto(clinic.client_page("c", CHECK_IN, link_of(number, f"{name}@example.com")))


def test_who_is_well_taps_five_times_at_most(monday: Site, phone: Page) -> None:
    check_in(monday, phone, "Karim")
    assert answer_all(phone, {}) <= 5
    expect(phone.locator(".advice h1")).to_have_text("What you told us fits what we expect on day 3.")
    expect(phone.locator(".advice")).to_contain_text("We have not seen your skin.")


def test_the_same_redness_is_normal_on_day_one(monday: Site, phone: Page) -> None:
    check_in(monday, phone, "Ines")
    answer_all(phone, {"q3": "fading"})
    expect(phone.locator(".advice.normal h1")).to_have_text("What you told us fits what we expect on day 1.")


def test_back_works_and_a_page_without_an_answer_says_so(monday: Site, phone: Page) -> None:
    check_in(monday, phone, "Ines")
    for words in ("", "no"):
        with phone.expect_navigation():
            phone.locator("button.answer", has_text=words).first.click()
    phone.check("input[value=wider]")
    phone.click("button.go")
    phone.click("button.back")
    expect(phone.locator("input[value=wider]")).to_be_checked()
    phone.uncheck("input[value=wider]")
    phone.click("button.go")
    expect(phone.locator("[role=alert]")).to_be_visible()
    phone.locator("button.answer").first.click()
    expect(phone.locator("legend")).to_contain_text("Any lumps or swelling?")


def test_an_emergency_ends_the_questions_and_one_touch_calls(monday: Site, phone: Page) -> None:
    check_in(monday, phone, "Ines")
    taps = answer_all(phone, {"q1": "breathing"})
    assert taps == 2
    expect(phone.locator(".advice.emergency h1")).to_contain_text("Call 999 now.")
    expect(phone.locator(".advice .call a")).to_have_attribute("href", "tel:999")
    with monday.world.store.read() as connection:
        graver = sa.select(calls.c.level).where(calls.c.client_id == 2, calls.c.level == "E")
        assert connection.execute(graver).scalars().all() == ["E"]


def test_at_night_the_number_that_answers_comes_first(chromium: Browser, phone: Page, tmp_path: Path) -> None:
    with site(tmp_path / "site", "2026-11-23 23:00", Mailed()) as clinic:
        check_in(clinic, phone, "Karim")
        answer_all(phone, {"q3": "fading"})
        for place, number in enumerate(("tel:111", "tel:01632960001")):
            expect(phone.locator(".advice .call a").nth(place)).to_have_attribute("href", number)
        expect(phone.locator(".advice .call a")).to_have_count(2)
        page = open_page(chromium)
        clinic.sign_in(page, Role.RECEPTION)
        expect(page.locator("h1")).to_contain_text("1 call to make")
        page.context.close()
