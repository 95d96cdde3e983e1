"""The two parts say the same, and the HTML part holds what mail programs can be trusted with."""

from __future__ import annotations

import re
from html import unescape

import html5lib
import pytest

from service.mail.texts import Rendered
from tests.mail.samples import compiled, render, shipped, smp

EVERY = {label: (text, protocol, day) for label, text, protocol, day in shipped()}

#: Every pair of words and ground that an e-mail shows, and the contrast it must have (WCAG 2.2, 1.4.3 and 1.4.6).
PAIRS = [
    ("#212b32", "#ffffff", 7.0), ("#004a8f", "#ffffff", 7.0), ("#4c6272", "#ffffff", 4.5), ("#ffffff", "#00594f", 7.0),
    ("#212b32", "#e6f2f0", 7.0), ("#ffffff", "#b0120a", 7.0), ("#ffffff", "#212b32", 7.0),
    ("#e8edee", "#1b1f22", 7.0), ("#8cc8ff", "#1b1f22", 7.0), ("#e8edee", "#173c37", 7.0), ("#1b1f22", "#e8edee", 7.0),
    ("#6fb8ad", "#1b1f22", 3.0), ("#ff9d94", "#1b1f22", 3.0), ("#6f8290", "#1b1f22", 3.0), ("#4c6272", "#eef2f4", 3.0),
]  # fmt: skip
ALLOWED_TAGS = {
    "html",
    "head",
    "meta",
    "title",
    "style",
    "body",
    "div",
    "table",
    "tbody",
    "tr",
    "td",
    "h1",
    "h2",
    "p",
    "ul",
    "li",
    "a",
    "span",
    "strong",
    "br",
}


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def rendered(label: str) -> Rendered:
    return render(*EVERY[label])


def words_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", "", html)).replace("\u00a0", " ").split())


@pytest.mark.parametrize("label", EVERY)
def test_both_parts_hold_the_same_bullets(label: str) -> None:
    both = rendered(label)
    in_text = [line[2:] for line in both.text.splitlines() if line.startswith("- ")]
    in_html = [words_of(bullet) for bullet in re.findall(r"<li[^>]*>(.*?)</li>", both.html, re.DOTALL)]
    assert in_text == in_html
    assert len(set(in_text)) == len(in_text)
    assert in_text or label.startswith("notices")


@pytest.mark.parametrize("label", EVERY)
def test_both_parts_hold_the_same_links_and_numbers(label: str) -> None:
    both = rendered(label)
    linked = set(re.findall(r'href="([^"]*)"', both.html))
    assert {link for link in linked if not link.startswith("tel:")} == set(re.findall(r"https?://\S+", both.text))
    for link in linked:
        if link.startswith("tel:"):
            assert link.removeprefix("tel:") in both.text.replace(" ", "")


@pytest.mark.parametrize("label", EVERY)
def test_the_html_is_well_formed_and_uses_known_tags_only(label: str) -> None:
    html = rendered(label).html
    parser = html5lib.HTMLParser(strict=True, tree=html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False)
    tree = parser.parse(html)
    assert {element.tag for element in tree.iter() if isinstance(element.tag, str)} <= ALLOWED_TAGS
    for table in tree.iter("table"):
        assert table.get("role") == "presentation"
    levels = [element.tag for element in tree.iter() if element.tag in {"h1", "h2"}]
    assert levels[:1] == ["h1"]
    assert levels.count("h1") == 1


@pytest.mark.parametrize("label", EVERY)
def test_the_html_fetches_nothing_and_stays_small(label: str) -> None:
    html = rendered(label).html
    assert not re.search(r"src=|url\(|@import|<link|<img|<script|<svg|user-scalable|maximum-scale", html)
    assert len(html.encode()) < 40_000
    assert {link[:8] for link in re.findall(r"https?://", html)} <= {"https://"}


@pytest.mark.parametrize("label", EVERY)
def test_the_wrapper_repeats_language_and_direction(label: str) -> None:
    html = rendered(label).html
    assert html.startswith('<!DOCTYPE html>\n<html lang="en" dir="ltr">')
    assert re.search(r'<div role="article" aria-roledescription="email" aria-label="[^"]+" lang="en" dir="ltr">', html)


@pytest.mark.parametrize("label", EVERY)
def test_the_preheader_comes_first_and_is_padded(label: str) -> None:
    body = rendered(label).html.partition("<body")[2]
    hidden = re.match(r'[^>]*>\s*<div aria-hidden="true" style="display:none[^"]*">([^<]*)</div>', body)
    assert hidden is not None
    words, _, padding = hidden[1].partition("&zwnj;")
    assert 40 <= len(words) + 4 <= 90
    assert padding.count("&zwnj;&nbsp;") > 50


@pytest.mark.parametrize("label", [label for label in EVERY if not label.startswith("notices")])
def test_levels_are_said_in_words_in_both_parts(label: str) -> None:
    both = rendered(label)
    assert "\n\nURGENT: call us or a doctor today if:\n\n" in both.text
    assert "\n\nEMERGENCY: call 999 now if:\n\n" in both.text
    headings = [words_of(heading) for heading in re.findall(r"<h2[^>]*>(.*?)</h2>", both.html, re.DOTALL)]
    assert {"Urgent: call us or a doctor today if:", "Emergency: call 999 now if:"} <= set(headings)


@pytest.mark.parametrize("label", [label for label in EVERY if not label.startswith("notices")])
def test_the_emergency_card_links_to_the_emergency_number_alone(label: str) -> None:
    html = rendered(label).html
    card = html[html.index('class="emergency-head"') : html.index("About this note")]
    assert re.findall(r'href="([^"]*)"', card) == ["tel:999"]


@pytest.mark.parametrize("label", [label for label in EVERY if not label.startswith("notices")])
def test_the_call_button_is_large_and_its_number_does_not_break(label: str) -> None:
    html = rendered(label).html
    style, words = re.findall(r'class="button".*?<a href="tel:01632960001" style="([^"]*)">(.*?)</a>', html, re.DOTALL)[
        0
    ]
    padding, height = re.search(r"padding:(\d+)px", style), re.search(r"line-height:(\d+)px", style)
    assert padding is not None
    assert height is not None
    assert 2 * int(padding[1]) + int(height[1]) >= 44
    assert " " not in re.sub(r"<[^>]*>", "", words)
    assert "\n\nCall 01632 960 001\n\n" in rendered(label).text


@pytest.mark.parametrize(("words", "ground", "least"), PAIRS)
def test_words_stand_out_from_their_ground(words: str, ground: str, least: float) -> None:
    assert contrast(words, ground) >= least


def test_every_colour_in_use_is_one_of_the_tested_pairs() -> None:
    used = {colour for label in EVERY for colour in re.findall(r"#[0-9a-f]{6}\b", rendered(label).html)}
    assert used == {colour for one, other, _ in PAIRS for colour in (one, other)}


@pytest.mark.parametrize("label", EVERY)
def test_every_ground_is_said_twice_for_old_programs(label: str) -> None:
    for attributes in re.findall(r"<t[dr]([^>]*)>|<table([^>]*)>", rendered(label).html):
        ground = re.search(r'bgcolor="([^"]*)"', "".join(attributes))
        styled = re.search(r"background-color:(#\w+)", "".join(attributes))
        assert (ground and ground[1]) == (styled and styled[1])


def test_bold_words_and_slots_are_strong_in_html_and_plain_in_text() -> None:
    both = render(compiled("A **b {{ for_date }}** & {{ phone }}.\n"), smp(), 1)
    assert "A b Saturday 21 November & 01632 960 001.\n" in both.text
    assert "A <strong>b </strong><strong>Saturday 21 November</strong> &amp; <a" in both.html


def test_all_dark_rules_come_with_their_twin_for_outlook() -> None:
    sheet = rendered("notices.hello.en").html.partition("<style>")[2].partition("</style>")[0]
    rules = re.findall(r"^((?:\[data-ogsc\])?) (\.[^{]+)\{", sheet, re.MULTILINE)
    plain = {re.sub(r",\s+", ",", names).strip() for scope, names in rules if not scope}
    outlook = {names.replace("[data-ogsc] ", "").replace(", ", ",").strip() for scope, names in rules if scope}
    assert plain == outlook
