"""Closed days are read strictly, written back the same, and hold from the first to the last."""

from __future__ import annotations

from datetime import date

import pytest

from service.domain.closed_days import is_closed, parse_closed_days, written
from service.errors import BadInput


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        ("", ""),
        (" \n\n", ""),
        ("2026-12-25", "2026-12-25"),
        ("2026-12-25..2026-12-26", "2026-12-25..2026-12-26"),
        ("2026-12-26\n2026-12-25\r\n2026-12-26", "2026-12-25\n2026-12-26"),
        ("2026-12-25, 2027-01-01  2026-12-28 .. 2026-12-29", "2026-12-25\n2026-12-28..2026-12-29\n2027-01-01"),
        ("2026-12-25..2026-12-25", "2026-12-25"),
        ("2026-01-01..2027-01-01", "2026-01-01..2027-01-01"),
    ],
)
def test_what_is_typed_is_kept_in_one_form(raw: str, kept: str) -> None:
    assert written(parse_closed_days(raw)) == kept
    assert written(parse_closed_days(kept)) == kept


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("25-26 Dec", "'25-26' is not a date"),
        ("2026-02-30", "'2026-02-30' is not a date"),
        ("20261225", "is not a date"),
        ("2026-W52-5", "is not a date"),
        ("1026-12-25", "is not a date"),
        ("2026-12-25..", "'2026-12-25..' is not a date"),
        ("..2026-12-25", "is not a date"),
        ("2026-12-24..2026-12-25..2026-12-26", "is not a date"),
        ("2026-12-26..2026-12-25", "ends before it begins"),
        ("2026-01-01..2027-01-02", "longer than a year"),
        ("\n".join(f"2026-{month:02d}-{day:02d}" for month in range(1, 6) for day in range(1, 22)), "more than 100"),
    ],
)
def test_what_is_unclear_is_quoted_with_the_way_to_write_it(raw: str, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as caught:
        parse_closed_days(raw)
    assert caught.value.field == "closed_days"
    assert caught.value.next_step


def test_a_span_holds_from_its_first_to_its_last_day() -> None:
    spans = parse_closed_days("2026-12-24..2026-12-26 2027-01-01")
    days = [date(2026, 12, day) for day in range(22, 29)]
    assert [is_closed(spans, day) for day in days] == [False, False, True, True, True, False, False]
    assert is_closed(spans, date(2027, 1, 1))
    assert not is_closed((), date(2027, 1, 1))
