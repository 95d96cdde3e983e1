"""A text uses the slots of its typed context, in places where they make sense."""

from __future__ import annotations

import pytest

from service.errors import BadText
from service.mail.texts import compile_text
from tests.mail.samples import FRONT, compiled, frames, smp


@pytest.mark.parametrize(
    ("body", "line", "words", "fix"),
    [
        ("Dear\n\ncall {{ phon }}\n", 7, "no slot 'phon'", "{{ phone }}"),
        ("Dear\n{{ qqqqqqqqqqqqq }}\n", 6, "no slot", "Known here: "),
        ("{{ missed_date }}\n", 5, "no slot 'missed_date'", ""),
        ("::: urgent\n## x\n- y {{ emergency }}\n:::\n", 7, "no slot", "emergency_number"),
        ("{{ stop_url }}\n", 5, "is a link", "frame writes the links"),
        ("{{ hours_line }} and so on\n", 5, "whole sentence", "paragraph of its own"),
        ("({{ next_line }})\n", 5, "whole sentence", "space before it"),
        ("=== days 2-2\nx\n", 6, "belong to a catch-up", "Remove"),
    ],
)
def test_a_slot_out_of_place_is_refused_with_its_line(body: str, line: int, words: str, fix: str) -> None:
    with pytest.raises(BadText) as caught:
        compiled(body)
    assert words in caught.value.message
    assert caught.value.field == f"scalp-micropigmentation/day-01.en.md:{line}"
    assert fix in (caught.value.next_step or "")


@pytest.mark.parametrize("slot", ["phone", "hours_line", "urgent_line"])
def test_subject_and_preheader_hold_names_and_dates_only(slot: str) -> None:
    for front in (FRONT.replace("sender_name", slot), FRONT.replace("plain.", f"{{{{ {slot} }}}}")):
        with pytest.raises(BadText, match="cannot stand here"):
            compile_text(
                front + "Dear\n", protocol=smp(), kind="reminder", language="en", frames=frames(), name="day-01"
            )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("=== days 2-3\nx\n=== days 4-7\ny\n=== days 8-14\nz\n", "days 2-3 lie in several bands"),
        ("=== days 2-2\nx\n=== days 3-6\ny\n=== days 8-14\nz\n", "no words for day 7"),
        ("=== days 3-7\ny\n=== days 8-14\nz\n", "no words for day 2"),
        ("Dear\n", "several bands"),
    ],
)
def test_a_catch_up_says_the_right_thing_on_each_of_its_days(body: str, words: str) -> None:
    with pytest.raises(BadText, match=words):
        compiled(body, name="catch-up")


def test_a_band_of_the_protocol_may_be_split_further() -> None:
    body = "=== days 2-2\na\n=== days 3-4\nb\n=== days 5-7\nc\n=== days 8-14\nd\n"
    assert compiled(body, name="catch-up").bands == ((2, 2), (3, 4), (5, 7), (8, 14))
