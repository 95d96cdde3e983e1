"""Every page in a real browser: nothing serious for axe, a silent console, light, and never wider than its window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import pytest
from playwright.sync_api import Browser, Page, expect

from service.actions.answer import CHECK_IN, TODAY
from service.store.tables import Role
from tests.browser import story
from tests.browser.looking import Windows, check, serious, sideways
from tests.browser.person import answer_all
from tests.browser.places import CLIENT_PAGES, OTHERS, PARTS, PATHS, prepare, role_for
from tests.browser.site import PHONE, Site, open_page
from tests.browser.story import Ids

DESK = list(chain(((role_for(path), path) for path in PATHS), OTHERS))


@dataclass(frozen=True)
class Look:
    """An installation, its windows, and which rows its pages are about."""

    clinic: Site
    windows: Windows
    ids: Ids


@pytest.fixture(scope="module")
def look(chromium: Browser, clinic: Site) -> Iterator[Look]:
    windows = Windows(chromium, clinic)
    yield Look(clinic, windows, prepare(clinic))
    windows.close()


@pytest.mark.parametrize(("role", "path"), DESK)
def test_page_of_the_desk(look: Look, role: Role, path: str) -> None:
    page = look.windows.of(role)
    answer = page.goto(look.clinic.url + look.ids.filled(path))
    assert answer is not None
    assert answer.status == 200
    check(page)
    assert look.windows.said == []


@pytest.mark.parametrize("path", sorted(PARTS))
def test_what_is_no_page_is_part_of_one_or_a_file(look: Look, path: str) -> None:
    answer = look.windows.of(Role.OWNER).request.get(look.clinic.url + look.ids.filled(path))
    assert answer.status == 200
    assert 'class="desk"' not in answer.text()


def test_a_page_that_is_not_there_and_one_that_is_not_for_this_role(look: Look) -> None:
    for role, path, status in ((Role.OWNER, "/clients/999", 404), (Role.RECEPTION, "/audit", 403)):
        page = look.windows.of(role)
        answer = page.goto(look.clinic.url + path)
        assert answer is not None
        assert answer.status == status
        check(page)


def test_the_way_in(look: Look, chromium: Browser) -> None:
    page = open_page(chromium)
    page.goto(f"{look.clinic.url}/login")
    check(page)
    page.context.close()


@pytest.fixture
def phone(chromium: Browser) -> Iterator[Page]:
    """A client's telephone. axe needs scripts; these pages have none, so they are the same with scripts switched off."""
    page = open_page(chromium, PHONE)
    yield page
    assert page.locator("script").count() == 0
    page.context.close()


@pytest.mark.parametrize(("letter", "purpose"), CLIENT_PAGES)
def test_page_behind_a_clients_link(look: Look, phone: Page, letter: str, purpose: str) -> None:
    answer = phone.goto(look.clinic.client_page(letter, purpose, story.link(story.SENT)))
    assert answer is not None
    assert answer.status == 200
    check(phone)


def test_the_pages_that_a_clients_buttons_lead_to(look: Look, phone: Page) -> None:
    """The advice in each of its kinds, a question without an answer, a stop, and what is no link."""
    check_in = look.clinic.client_page("c", CHECK_IN, story.link(story.TODAY))
    for given, kind in (({"q1": "breathing"}, "emergency"), ({"q2": "unwell"}, "urgent"), ({}, "normal")):
        phone.goto(check_in)
        answer_all(phone, given)
        expect(phone.locator(f".advice.{kind}")).to_be_visible()
        check(phone)
    phone.goto(check_in)
    phone.click("button.go")
    expect(phone.locator(".missing")).to_be_visible()
    check(phone)
    for letter, purpose in CLIENT_PAGES[2:]:
        phone.goto(look.clinic.client_page(letter, purpose, story.link(story.RED)))
        with phone.expect_navigation():
            phone.click("main button")
        check(phone)
    phone.goto(look.clinic.client_page("t", TODAY, story.link(story.TODAY)) + "x")
    check(phone)


def test_every_text_is_shown_as_a_made_up_client_would_read_it(look: Look) -> None:
    for text_id in range(1, look.ids.text_id + 1):
        answer = look.windows.of(Role.OWNER).request.get(f"{look.clinic.url}/texts/{text_id}/look")
        assert answer.status == 200
        assert "tel:01632960001" in answer.text(), f"text {text_id}: {answer.text()[:300]}"


def test_the_code_on_the_card_is_whole(look: Look) -> None:
    """A QR code that is cut off at one side looks like one, and no camera reads it."""
    page = look.windows.of(Role.OWNER)
    for path in ("/clients/{client_id}/card", "/account/code"):
        page.goto(look.clinic.url + look.ids.filled(path))
        page.wait_for_selector("svg.qr")
        drawn, shown = page.eval_on_selector(
            "svg.qr", "(qr) => [qr.getBBox().x + qr.getBBox().width, qr.viewBox.baseVal.width]"
        )
        assert 20 < drawn <= shown


def test_what_is_checked_here_would_be_found(look: Look) -> None:
    page = look.windows.of(Role.OWNER)
    page.goto(look.clinic.url)
    page.evaluate("document.querySelector('h1').outerHTML = '<img src=\"/static/favicon.svg\" width=\"2000\">'")
    assert [name for name, _ in serious(page)] == ["image-alt"]
    assert sideways(page)
