"""Codes as people say them."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from service.domain.plain import REASONS, call_reason, local, reason, words
from service.domain.reminder import Reason

LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)


def test_every_reason_has_plain_words_without_a_code() -> None:
    assert set(REASONS) == set(Reason)
    for sentence in REASONS.values():
        assert "_" not in sentence
        assert len(sentence.split()) >= 3


def test_a_code_nobody_knows_yet_is_readable() -> None:
    assert reason("some_new_reason") == "some new reason"
    assert call_reason("red_flag") == "red flag"
    assert (reason(None), words(None)) == ("", "")


def test_an_instant_is_told_on_the_clinics_wall_clock() -> None:
    assert local(datetime(2026, 11, 21, 10, tzinfo=UTC), LONDON, NOW) == "Sat 21 Nov 10:00"
    assert local(datetime(2026, 7, 1, 9, tzinfo=UTC), LONDON, NOW) == "Wed 1 Jul 10:00"
    assert local(datetime(2026, 11, 21, 2, tzinfo=UTC), ZoneInfo("Australia/Perth"), NOW) == "Sat 21 Nov 10:00"
    assert local(None, LONDON, NOW) == ""


def test_another_year_is_named() -> None:
    assert local(datetime(2027, 1, 2, 10, tzinfo=UTC), LONDON, NOW) == "Sat 2 Jan 2027 10:00"
    new_year = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)
    assert local(new_year, ZoneInfo("Asia/Tokyo"), NOW) == "Fri 1 Jan 2027 08:30"
