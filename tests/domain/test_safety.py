"""The pure rule of the protected block: red flags in their card, and no promise past a limit."""

from __future__ import annotations

import pytest

from service.domain.protocol import Card, FollowUpProtocol
from service.domain.safety import (
    foreign_dates,
    limits_named,
    limits_passed,
    missing_flags,
    rows_without_words,
    words_in,
)
from service.mail.catalogue import Catalogue


@pytest.fixture(scope="module")
def protocol() -> FollowUpProtocol:
    return Catalogue.load().protocols["scalp-micropigmentation"]


def test_words_of_a_language_serve_its_regions() -> None:
    words = {"pt": ("pus",), "pt-PT": ("pus pt",)}
    assert words_in(words, "pt-BR") == ("pus",)
    assert words_in(words, "pt-PT") == ("pus pt",)
    assert words_in(words, "en") == ()


def test_a_language_without_words_is_told_where_to_add_them(protocol: FollowUpProtocol) -> None:
    assert rows_without_words(protocol, "en-GB") == ()
    gaps = rows_without_words(protocol, "de")
    assert gaps[0] == "limits.redness"
    assert gaps[-1] == "red flag 29"
    assert len(gaps) == len(protocol.limits) + len(protocol.red_flags)


def test_without_bullets_every_required_row_is_missing(protocol: FollowUpProtocol) -> None:
    missing = list(missing_flags(protocol, "day-01", "en", {}))
    assert [found.flag.row for found in missing if found.card is Card.EMERGENCY] == ["1", "2", "3", "4", "5", "6"]
    assert {found.flag.row for found in missing} >= {"7", "12", "16", "29"}
    assert not {"13", "17", "18", "20"} & {found.flag.row for found in missing}


def test_the_words_of_a_row_must_stand_in_one_bullet(protocol: FollowUpProtocol) -> None:
    words = {Card.EMERGENCY: ["heavy", "BLEEDING that spurts"]}
    assert "6" in {found.flag.row for found in missing_flags(protocol, "day-01", "en", words)}
    words = {Card.EMERGENCY: ["heavy BLEEDING, or it spurts"]}
    assert "6" not in {found.flag.row for found in missing_flags(protocol, "day-01", "en", words)}


def test_the_right_words_in_the_wrong_card_do_not_count(protocol: FollowUpProtocol) -> None:
    words = {Card.URGENT: ["heavy bleeding that spurts"]}
    assert "6" in {found.flag.row for found in missing_flags(protocol, "day-01", "en", words)}


@pytest.mark.parametrize(
    ("words", "last_day", "passed"),
    [
        ("The area may look red", 2, []),
        ("The area may look red", 3, ["redness"]),
        ("Any redness should be gone", 3, []),
        ("Your skin may feel itchy", 4, []),
        ("Your skin may feel itchy", 5, ["itch"]),
        ("The last few scabs may come off", 11, ["scabs"]),
        ("Keep your hands off", 300, []),
    ],
)
def test_a_normal_statement_may_not_outlive_its_limit(
    protocol: FollowUpProtocol, words: str, last_day: int, passed: list[str]
) -> None:
    assert [limit.key for limit in limits_passed(protocol, "en", words, last_day, ("gone",))] == passed


def test_a_statement_uses_the_date_of_the_sign_it_names(protocol: FollowUpProtocol) -> None:
    words = "redness should be gone"
    assert foreign_dates(protocol, "en", words, ["redness_ok_until", "for_date"]) == ()
    assert foreign_dates(protocol, "en", words, ["swelling_ok_until"]) == ()
    assert foreign_dates(protocol, "en", words, ["itch_ok_until"]) == ("itch_ok_until",)
    assert foreign_dates(protocol, "en", "Something else", ["itch_ok_until"]) == ()


def test_one_statement_may_name_several_signs(protocol: FollowUpProtocol) -> None:
    assert [limit.key for limit in limits_named(protocol, "en", "Swelling and a little fluid")] == ["swelling", "fluid"]
