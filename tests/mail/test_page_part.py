"""The words of the page of the day: true on every day they are shown, whole, discreet, and fit for a page."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import html5lib
import pytest

from service.domain.protocol import CARD_OF_LEVEL, FollowUpProtocol
from service.domain.sample import TREATED_ON
from service.domain.triage import triage
from service.errors import BadText
from service.mail.texts import Rendered, compile_text
from tests.mail.samples import FRONT, catalogue, frames, pages, render, smp

EVERY = {label: (text, protocol, day) for label, text, protocol, day in pages()}
DAYS = [(key, day) for key in sorted(catalogue().protocols) for day in range(61)]
#: The answer of the check-in that says of a sign: it is still there.
STILL_THERE = {
    "redness": ("q3", "fading"), "swelling": ("q4", "slight"), "fluid": ("q5", "clear_fluid"),
    "itch": ("q6", "itchy"), "scabs": ("q6", "small_scabs"), "few_scabs": ("q6", "small_scabs"),
}  # fmt: skip
CLEAR = {"q1": ["none"], "q2": ["no"], "q3": ["none"], "q4": ["none"], "q5": ["none"], "q6": ["none"]}


def page(key: str, day: int) -> tuple[FollowUpProtocol, Rendered]:
    """What the page of a shipped protocol says on one day."""
    protocol = catalogue().protocols[key]
    found = protocol.today_on(day)
    assert found is not None
    return protocol, render(catalogue().compile(key, found.text, "en"), protocol, day)


def bullets(html: str, card: str) -> list[str]:
    """What a reader sees in one card."""
    whole = re.search(rf'<section class="card {card}">(.*?)</section>', html, re.DOTALL)
    assert whole is not None, card
    return [unescape(re.sub(r"<[^>]*>", "", one)) for one in re.findall(r"<li>(.*?)</li>", whole[1], re.DOTALL)]


def said_on(day: int) -> str:
    on = TREATED_ON + timedelta(days=day)
    return f"{on:%A} {on.day} {on:%B}"


@pytest.mark.parametrize(("key", "day"), DAYS)
def test_no_day_calls_normal_what_is_past_its_limit_that_day(key: str, day: int) -> None:
    protocol, shown = page(key, day)
    for bullet in bullets(shown.html, "normal"):
        if re.search(r"\b(gone|stop)\b", bullet):
            continue
        for limit in protocol.limits.values():
            if any(word in bullet.casefold() for word in limit.words["en"]):
                assert day <= limit.ok_through_day, bullet
                if limit.key in STILL_THERE:
                    question, answer = STILL_THERE[limit.key]
                    assert triage(protocol, day, CLEAR | {question: [answer]}).level == "N", bullet


@pytest.mark.parametrize(("key", "day"), DAYS)
def test_every_date_on_a_page_is_the_day_or_the_end_of_the_sign_it_stands_with(key: str, day: int) -> None:
    protocol, shown = page(key, day)
    for bullet in bullets(shown.html, "normal"):
        named = [one for one in protocol.limits.values() if any(word in bullet.casefold() for word in one.words["en"])]
        for found in re.findall(r"\w+day \d+ \w+", bullet):
            assert found in {said_on(one.ok_through_day) for one in named}, bullet


@pytest.mark.parametrize(("key", "day"), DAYS)
def test_every_day_names_all_its_red_flags_in_the_right_card(key: str, day: int) -> None:
    protocol, shown = page(key, day)
    for flag in protocol.red_flags:
        card = CARD_OF_LEVEL.get(flag.levels[protocol.column(day)])
        if card is not None:
            said = [bullet.casefold() for bullet in bullets(shown.html, card)]
            assert any(all(word in one for word in flag.words["en"]) for one in said), flag.row


@pytest.mark.parametrize("key", sorted(catalogue().protocols))
def test_on_the_last_day_of_redness_it_says_so_and_on_the_next_it_sends_to_the_phone(key: str) -> None:
    _, day_2 = page(key, 2)
    assert f"This should be gone by the end of {said_on(2)}." in day_2.text
    _, day_3 = page(key, 3)
    assert f"should have gone by the end of {said_on(2)}. If you still have any of these, call us" in day_3.text
    assert "any redness or warm skin is still there, even if it is fading" in bullets(day_3.html, "urgent")


def test_the_last_scabs_have_their_date_and_after_it_none_is_normal() -> None:
    for day in (8, 9, 11):
        assert f"The last few may come off up to the end of {said_on(11)}." in page(smp().key, day)[1].text
    for day in (12, 14, 15, 60):
        assert "All scabs should be gone." in bullets(page(smp().key, day)[1].html, "normal")


@pytest.mark.parametrize("label", EVERY)
def test_a_page_names_its_day_the_number_and_no_person(label: str) -> None:
    text, protocol, day = EVERY[label]
    shown = render(text, protocol, day)
    assert shown.subject == f"What to expect on {said_on(day)}"
    assert shown.text.startswith(f"{shown.subject}\n\n")
    assert 'href="tel:01632960001"' in shown.html
    assert not re.search(r"Sam|Dear|scalp|tattoo|pigment|treatment", shown.text + shown.html)
    assert "http" not in shown.html + shown.text


@pytest.mark.parametrize("label", EVERY)
def test_both_renderings_say_the_same_and_the_html_is_whole_without_a_style_of_its_own(label: str) -> None:
    shown = render(*EVERY[label])
    in_html = [unescape(re.sub(r"<[^>]*>", "", one)) for one in re.findall(r"<li>(.*?)</li>", shown.html, re.DOTALL)]
    assert in_html == [line.removeprefix("- ") for line in shown.text.splitlines() if line.startswith("- ")]
    assert not re.search(r"style=|<table|<script|<img|src=", shown.html)
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    parser.parse(f"<!DOCTYPE html><html><head><title>x</title></head><body>{shown.html}</body></html>")
    assert re.findall(r"<h1>", shown.html) == ["<h1>"]
    emergency = shown.html[shown.html.index('class="card emergency"') :].partition("</section>")[0]
    assert re.findall(r'href="([^"]*)"', emergency) == ["tel:999"]
    assert "<h2>Urgent: call us or a doctor today if:</h2>" in shown.html


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("Dear {{ greeting_name }},\n", "no slot 'greeting_name'"),
        ("{{ next_line }}\n", "no slot 'next_line'"),
        ("{{ stop_url }}\n", "no slot 'stop_url'"),
        ("=== days 3-4\n\nwords\n", "there are no words for day 5"),
        ("=== days 3-9\n\nwords\n", "days 3-9 lie in several bands"),
    ],
)
def test_a_page_that_names_somebody_or_leaves_out_a_day_is_refused(body: str, problem: str) -> None:
    with pytest.raises(BadText) as caught:
        compile_text(FRONT + body, protocol=smp(), kind="today", language="en", frames=frames(), name="today-03")
    assert problem in caught.value.message
