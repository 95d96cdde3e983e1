"""A compiled text fills in facts, and only facts: no slot is forgotten, no name becomes markup."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.letter import facts
from service.domain.sample import SENDER, sample_letter
from service.errors import BadText
from service.mail.program import Slot, fill
from service.mail.texts import CompiledText, Frames, Rendered, compile_text
from tests.mail.samples import FRONT, catalogue, compiled, frames, render, shipped, smp

HOSTILE = [
    "<b>Sam</b>", "{{ phone }}", "{% if x %}", "\u202eSam", "Sam 😀", '" onclick="x', "</title><script>", "&amp;", "**Sam**",
    "::: urgent", "\ue000\ue001", "{{ self }}", "مريم", "__class__", "[a](b)",
]  # fmt: skip


def greet(name: str, text: CompiledText | None = None) -> Rendered:
    letter = replace(sample_letter("reminder", smp(), 1, "en"), greeting_name=name)
    return (text or compiled("Dear {{ greeting_name }},\n")).render(facts(letter, smp()))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_data_in_the_text_part(name: str) -> None:
    assert f"Dear {name},\n" in greet(name).text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_data_in_the_html_part(name: str) -> None:
    html = greet(name).html
    shown = re.search(r'<span dir="auto">(.*?)</span>,', html, re.DOTALL)
    assert shown is not None
    assert not set('<>"') & set(shown[1])
    assert shown[1] == name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&#34;")


@given(st.text(min_size=1, max_size=40))
def test_no_name_changes_anything_but_its_own_place(name: str) -> None:
    plain = greet("Sam").text
    assert greet(name).text == plain.replace("Sam", name)


def test_a_sender_name_is_escaped_in_the_attribute_that_repeats_the_subject() -> None:
    letter = replace(sample_letter("reminder", smp(), 1, "en"), sender=replace(SENDER, sender_name='No"rth <i>'))
    rendered = compiled("Dear\n").render(facts(letter, smp()))
    assert rendered.subject == 'A note from No"rth <i>'
    assert 'aria-label="A note from No&#34;rth &lt;i&gt;"' in rendered.html


def test_rendering_twice_gives_the_same_bytes() -> None:
    for _, text, protocol, day in shipped():
        assert render(text, protocol, day) == render(text, protocol, day)


def test_the_slots_used_are_those_the_program_asks_for() -> None:
    """Nothing is bound that no piece uses, nothing used is unbound."""
    for _, text, protocol, day in shipped():
        program, values = text.prepare(facts(sample_letter(text.kind, protocol, day, "en"), protocol))
        asked = {
            piece.name
            for part in (program.subject, program.text, program.html)
            for piece in part
            if isinstance(piece, Slot)
        }
        assert asked <= values.keys()
        for part in (program.subject, program.text, program.html):
            assert not re.search(r"\{\{|\}\}|\{%|None|Undefined|[\ue000-\uf8ff]", fill(part, values))


def test_an_empty_line_leaves_no_hole() -> None:
    text = compiled("One. {{ closed_line }} Two.\n\n{{ hours_line }}\n\n- {{ closed_line }}\n- b\n")
    letter = sample_letter("reminder", smp(), 1, "en")
    without = text.render(facts(replace(letter, sender=replace(SENDER, hours="")), smp()))
    assert "One. Two.\n\n- b\n" in without.text
    assert "<p></p>" not in re.sub(r' (class|style)="[^"]*"', "", without.html)
    sender = replace(SENDER, hours="mon 09:00-17:00", closed_on=date(2026, 11, 24))
    given_lines = text.render(facts(replace(letter, sender=sender), smp())).text
    assert "One. We are closed on Tuesday 24 November. Two." in given_lines
    assert "\n\nWe are open Monday 9\u00a0am to 5\u00a0pm.\n\n- We are closed" in given_lines


def test_an_urgent_line_without_a_number_is_named_alone() -> None:
    text = compiled("Call {{ urgent_line }}.\n")
    letter = sample_letter("reminder", smp(), 1, "en")
    assert "Call NHS 111 on 111." in text.render(facts(letter, smp())).text
    sender = replace(SENDER, urgent_line_name="your doctor", urgent_line_number="")
    alone = text.render(facts(replace(letter, sender=sender), smp()))
    assert "Call your doctor." in alone.text
    assert 'tel:"' not in alone.html


def test_without_links_the_frame_says_nothing_of_them() -> None:
    letter = replace(
        sample_letter("reminder", smp(), 1, "en"), stop_url="", stop_mailto="", today_url="", check_in_url=""
    )
    rendered = compiled("Dear\n").render(facts(letter, smp()))
    assert "http" not in rendered.text + rendered.html.replace("http://www.w3.org", "")
    assert "Stop these notes" not in rendered.text
    assert rendered.text.endswith("said yes to them.\n")


def test_without_a_public_address_the_stop_is_an_email() -> None:
    letter = replace(
        sample_letter("reminder", smp(), 1, "en"), stop_url="", stop_mailto="mailto:stop@northgate.example"
    )
    rendered = compiled("Dear\n").render(facts(letter, smp()))
    assert rendered.text.endswith("Stop these notes:\nmailto:stop@northgate.example\n")
    assert 'href="mailto:stop@northgate.example"' in rendered.html


def test_the_opt_out_is_the_last_line_of_every_text_part() -> None:
    for _, text, protocol, day in shipped():
        assert render(text, protocol, day).text.endswith(
            "Stop these notes:\nhttps://notes.northgate.example/s/7Hk2pQ\n"
        )


def test_a_program_is_made_once_for_each_band_and_set_of_empty_slots() -> None:
    text = catalogue().compile("scalp-micropigmentation", "catch-up", "en")
    empty = frozenset({"closed_line"})
    assert text.program(3, empty) is text.program(7, empty)
    assert text.program(3, empty) is not text.program(8, empty)
    assert text.program(3, empty) is not text.program(3, frozenset())


def test_a_day_without_words_is_refused() -> None:
    text = catalogue().compile("scalp-micropigmentation", "catch-up", "en")
    with pytest.raises(BadText, match="no section for day 15"):
        text.program(15, frozenset())


def test_a_language_without_words_of_its_own_is_refused_with_the_file_to_add() -> None:
    with pytest.raises(BadText) as caught:
        compiled("Hallo\n", language="de")
    assert "languages/de.toml" in (caught.value.next_step or "")


def test_a_region_uses_the_words_of_its_language_and_keeps_its_own_tag() -> None:
    html = compiled("Dear\n", language="en-GB").render(facts(sample_letter("reminder", smp(), 1, "en-GB"), smp())).html
    assert html.count('lang="en-GB"') == 2


@pytest.mark.parametrize(
    "frame",
    ["{{ secret }}", "{{ missed_date }}", "{% if %}", "{{ phone_tel }}"],
)
def test_a_frame_that_uses_what_is_not_there_is_refused(frame: str) -> None:
    bad = Frames(frames().html + frame, frames().text, frames().languages)
    with pytest.raises(BadText) as caught:
        compile_text(FRONT + "Dear\n", protocol=smp(), kind="reminder", language="en", frames=bad, name="day-01")
    assert caught.value.field == "frame.html.j2"


@pytest.mark.parametrize(
    "escape",
    [
        "{{ words.__class__.__mro__ }}", "{{ ''.__class__.__base__.__subclasses__() }}", "{{ words.update({'x': 1}) }}",
        "{{ lipsum.__globals__ }}", "{{ cycler.__init__ }}", "{% include 'x' %}", "{{ language.format.__globals__ }}",
    ],
)  # fmt: skip
def test_even_a_frame_cannot_leave_the_sandbox(escape: str) -> None:
    bad = Frames(frames().html + escape, frames().text, frames().languages)
    with pytest.raises(BadText):
        compile_text(FRONT + "Dear\n", protocol=smp(), kind="reminder", language="en", frames=bad, name="day-01")


def test_the_digests_follow_the_source_and_the_frames() -> None:
    one, other = compiled("Dear\n"), compiled("Dear you\n")
    assert one.sha256 != other.sha256
    assert one.frame_version == other.frame_version
    changed = Frames(frames().html, frames().text + " ", frames().languages)
    again = compile_text(
        FRONT + "Dear\n", protocol=smp(), kind="reminder", language="en", frames=changed, name="day-01"
    )
    assert (again.sha256, again.frame_version == one.frame_version) == (one.sha256, False)
