"""What the technician knows about a treatment: what is accepted, what is refused."""

from __future__ import annotations

import pytest

from service.domain.remarks import LOT_LIMIT, NOTE_LIMIT, Remarks, clean_remarks
from service.errors import BadInput


def test_nothing_is_needed_and_white_space_is_nothing() -> None:
    assert clean_remarks(Remarks()) == clean_remarks(Remarks("  ", "\t")) == Remarks("", "")


def test_both_are_lines_without_what_stands_around_them() -> None:
    given = Remarks("  B-2291  /  07 ", " dünne Haut,  second pass light ")
    assert clean_remarks(given) == Remarks("B-2291 / 07", "dünne Haut, second pass light")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (Remarks(lot="x" * (LOT_LIMIT + 1)), "lot"),
        (Remarks(lot="B-1\nB-2"), "lot"),
        (Remarks(note="x" * (NOTE_LIMIT + 1)), "note"),
        (Remarks(note="turned \u202e round"), "note"),
        (Remarks(note="\x1b[2J"), "note"),
    ],
)
def test_too_long_or_more_than_a_line_is_refused_naming_the_field(given: Remarks, field: str) -> None:
    with pytest.raises(BadInput) as refused:
        clean_remarks(given)
    assert refused.value.field == field


def test_the_longest_that_is_allowed_is_taken() -> None:
    longest = Remarks("x" * LOT_LIMIT, "y" * NOTE_LIMIT)
    assert clean_remarks(longest) == longest
