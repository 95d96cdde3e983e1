"""A protocol knows which words hold on which day, and what each card must say."""

from __future__ import annotations

import pytest

from service.domain.protocol import Card, FollowUpProtocol
from service.mail.catalogue import Catalogue


@pytest.fixture(scope="module")
def protocol() -> FollowUpProtocol:
    return Catalogue.load().protocols["scalp-micropigmentation"]


@pytest.mark.parametrize(
    ("day", "column"),
    [
        (0, "day-01"),
        (2, "day-01"),
        (3, "day-03"),
        (7, "day-03"),
        (8, "day-10"),
        (14, "day-10"),
        (15, "day-10"),
        (999, "day-10"),
    ],
)
def test_each_day_reads_like_the_step_of_its_band(protocol: FollowUpProtocol, day: int, column: str) -> None:
    assert protocol.column(day) == column


def test_a_sign_moves_from_normal_into_the_urgent_card_when_its_days_are_over(protocol: FollowUpProtocol) -> None:
    rows = {
        column: {flag.row for flag in protocol.required_flags(column, Card.URGENT)}
        for column in ("day-01", "day-03", "day-10")
    }
    assert rows["day-03"] - rows["day-01"] == {"13", "17", "20"}
    assert rows["day-10"] - rows["day-03"] == {"18"}
    assert rows["day-01"] <= rows["day-03"] <= rows["day-10"]


def test_the_emergency_card_says_the_same_on_every_day(protocol: FollowUpProtocol) -> None:
    for column in ("day-01", "day-03", "day-10"):
        rows = [flag.row for flag in protocol.required_flags(column, Card.EMERGENCY)]
        assert rows == ["1", "2", "3", "4", "5", "6"]


def test_nothing_is_required_of_the_normal_card(protocol: FollowUpProtocol) -> None:
    assert protocol.required_flags("day-01", Card.NORMAL) == ()


def test_a_step_is_found_by_its_key(protocol: FollowUpProtocol) -> None:
    step = protocol.step("day-03")
    assert step is not None
    assert step.day == 3
    assert protocol.step("day-99") is None


def test_the_texts_are_those_of_the_steps_the_catch_up_and_the_page(protocol: FollowUpProtocol) -> None:
    assert protocol.letters == ("day-01", "day-03", "day-10", "catch-up")
    assert protocol.texts == (*protocol.letters, "today-00", "today-03", "today-08", "today-15")


@pytest.mark.parametrize(
    ("day", "text"),
    [(-1, None), (0, "today-00"), (2, "today-00"), (3, "today-03"), (14, "today-08"), (15, "today-15"),
     (60, "today-15"), (61, None)],
)  # fmt: skip
def test_the_page_has_words_from_the_day_of_the_treatment_to_its_last(
    protocol: FollowUpProtocol, day: int, text: str | None
) -> None:
    found = protocol.today_on(day)
    assert (found.text if found else None) == text


def test_a_text_that_is_read_on_several_days_knows_which(protocol: FollowUpProtocol) -> None:
    assert protocol.span("catch-up") == (2, 14)
    assert protocol.span("today-15") == (15, 60)
    assert protocol.span("day-03") is None
