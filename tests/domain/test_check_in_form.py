"""A check-in one question at a time: every way through the form, and every form that is not ours."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.check_in_form import Asked, Finished, after, first
from service.domain.protocol import CheckIn, Level, Question
from service.domain.triage import check_in_of, triage
from service.errors import BadInput
from service.mail.catalogue import Catalogue

SMP = Catalogue.load().protocols["scalp-micropigmentation"]
FORM = check_in_of(SMP)
Fields = list[tuple[str, str]]


def press(asked: Asked, *fields: tuple[str, str]) -> Asked | Finished:
    """A page's form with these buttons and ticks."""
    hidden = [(key, one) for key, chosen in asked.answers.items() if key != asked.question.key for one in chosen]
    return after(FORM, [("at", asked.question.key), *hidden, *fields])


def ask(fields: Fields) -> Asked:
    found = after(FORM, fields)
    assert isinstance(found, Asked)
    return found


def walk(**ticks: str) -> tuple[Asked | Finished, int]:
    """What the form ends with, and how many buttons were pressed: the clear one, unless a question has ticks."""
    page: Asked | Finished = first(FORM)
    taps = 0
    while isinstance(page, Asked):
        key = page.question.key
        given = [(key, one) for one in ticks[key].split()] if key in ticks else []
        one_tap = [(key, page.question.clear)] if page.question.ticks == "one" else [("go", "clear")]
        page, taps = press(page, *(given or one_tap)), taps + 1
    return page, taps


def test_the_form_opens_with_its_first_question_and_no_answer() -> None:
    page = first(FORM)
    assert (page.question.key, page.number, page.total, page.answers) == ("q1", 1, 6, {})


def test_who_is_well_passes_every_question_once_and_ends_normal() -> None:
    page, taps = walk()
    assert isinstance(page, Finished)
    assert page.answers == {question.key: (question.clear,) for question in FORM.questions}
    assert taps == 6
    assert triage(SMP, 1, page.answers).level == "N"


def test_who_is_well_needs_five_taps_at_most() -> None:
    page: Asked | Finished = first(FORM)
    taps = 0
    while isinstance(page, Asked):
        best = "clear-both" if page.with_next else "clear"
        page, taps = press(page, ("go", best)), taps + 1
    assert taps == 5
    assert isinstance(page, Finished)
    assert page.answers == {question.key: (question.clear,) for question in FORM.questions}


def test_an_emergency_ends_the_form_at_once_and_so_does_being_unsure_about_one() -> None:
    for option, level in (("breathing", "E"), ("not_sure", "D")):
        page, taps = walk(q1=option)
        assert isinstance(page, Finished)
        assert taps == 1
        assert triage(SMP, 3, page.answers).level == level


def test_an_emergency_is_never_argued_away_whatever_else_the_form_says() -> None:
    """A tick beside "none of these", and one that travels with a later question."""
    for fields in (
        [("at", "q1"), ("q1", "confused"), ("go", "clear")],
        [("at", "q4"), ("q1", "confused"), ("q4", "none")],
        [("at", "q6"), ("q1", "none"), ("q1", "confused"), ("go", "next")],
    ):
        found = after(FORM, fields)
        assert isinstance(found, Finished)
        assert triage(SMP, 3, found.answers).level == "E"


def test_a_tick_beside_the_clear_answer_counts_as_the_tick() -> None:
    page = press(ask([("at", "q1"), ("go", "clear"), ("q2", "no")]), ("q2", "no"))
    assert isinstance(page, Asked)
    page = press(page, ("q3", "wider"), ("go", "clear"))
    assert isinstance(page, Asked)
    assert page.answers["q3"] == ("wider", "none")


def test_without_an_answer_the_question_comes_again() -> None:
    page = ask([("at", "q1"), ("go", "next")])
    assert (page.question.key, page.missing) == ("q1", True)
    page = ask([("at", "q3"), ("q1", "none"), ("q2", "no")])
    assert (page.question.key, page.missing) == ("q3", True)


def test_back_shows_the_question_before_with_its_answer_and_loses_none() -> None:
    so_far = [("q1", "none"), ("q2", "no"), ("q3", "fading"), ("q3", "sore_easing")]
    page = ask([("at", "q4"), *so_far, ("q4", "face"), ("go", "back")])
    assert (page.question.key, page.answers["q3"], page.answers["q4"]) == ("q3", ("fading", "sore_easing"), ("face",))
    page = ask([("at", "q3"), ("q1", "none"), ("q2", "no"), ("q3", "fading"), ("q4", "face"), ("go", "next")])
    assert (page.question.key, page.answers["q4"]) == ("q4", ("face",))


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("at", "q1")] * 2,
        [("at", "q9"), ("go", "next")],
        [("at", "q1"), ("go", "send")],
        [("at", "q1"), ("go", "clear"), ("go", "clear")],
        [("at", "q1"), ("go", "back")],
        [("at", "q1"), ("q1", "none"), ("q1", "none")],
        [("at", "q1"), ("q1", "fine")],
        [("at", "q1"), ("q7", "none")],
        [("at", "q1"), ("client_id", "2")],
        [("at", "q2"), ("q2", "no")],
        [("at", "q2"), ("q1", "none"), ("q2", "no"), ("q2", "unwell")],
        [("at", "q3"), ("q1", "none"), ("q2", "no"), ("go", "clear-both")],
        [("at", "q6"), ("q6", "none")],
        [("q1", "none")],
    ],
)
def test_a_form_that_no_page_of_ours_sends_is_refused(fields: Fields) -> None:
    with pytest.raises(BadInput):
        after(FORM, fields)


OPTIONS = [(question.key, option) for question in FORM.questions for option in (*question.options, "invented")]
BUTTONS = [("go", one) for one in ("next", "back", "clear", "clear-both", "invented")]
ANY_FIELD = st.sampled_from([*OPTIONS, *BUTTONS, *(("at", question.key) for question in FORM.questions)])


@given(st.lists(ANY_FIELD, max_size=14))
def test_whatever_a_form_says_an_emergency_tick_is_refused_taken_back_to_or_told(fields: Fields) -> None:
    try:
        found = after(FORM, fields)
    except BadInput:
        return
    red = {option for key, option in fields if key == "q1"} - {"none", "not_sure", "invented"}
    if isinstance(found, Finished):
        assert (triage(SMP, 1, found.answers).level == "E") >= bool(red)
    elif red:
        assert ("go", "back") in fields


def of(number: int) -> CheckIn:
    questions = tuple(
        Question(f"q{place}", ticks="many", clear="none", not_sure=Level.TODAY, answers=())
        for place in range(1, number + 1)
    )
    return dataclasses.replace(FORM, questions=questions)


@pytest.mark.parametrize("number", [1, 4, 5, 6, 7, 8])
def test_longer_forms_have_as_many_shortcuts_as_they_need_and_never_over_the_first(number: int) -> None:
    form = of(number)
    page: Asked | Finished = first(form)
    taps = 0
    while isinstance(page, Asked):
        assert page.with_next is None or page.number > 1
        hidden = [(key, one) for key, chosen in page.answers.items() for one in chosen]
        button = "clear-both" if page.with_next else "clear"
        page, taps = after(form, [("at", page.question.key), *hidden, ("go", button)]), taps + 1
    assert taps == min(number, 5)
