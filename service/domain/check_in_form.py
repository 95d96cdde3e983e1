"""A check-in one question at a time: the fields of a form -> the next question, or all answers. Nothing is remembered.

Every answer so far travels in the form. Refuses what no page of ours sends; an answer that ends the form ends it
wherever it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from service.domain.protocol import CheckIn, Question
from service.domain.triage import read_answers
from service.errors import BadInput

#: Fields besides the questions' own: the question that was shown, and the button that was pressed.
AT, GO = "at", "go"
#: Who is well presses so many buttons at most; longer forms have buttons that answer two questions.
MOST_TAPS = 5
_FIX = "Open the link again."


class Button(StrEnum):
    """What a button of the form says. CLEAR: the clear answer; CLEAR_BOTH: it and the next question's."""

    NEXT = "next"
    BACK = "back"
    CLEAR = "clear"
    CLEAR_BOTH = "clear-both"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to show. number: from 1. answers: all so far, question -> option ids. missing: none was chosen.

    with_next: the question that one button answers together with this one, None where there is no such button.
    """

    question: Question
    number: int
    total: int
    answers: Mapping[str, tuple[str, ...]]
    missing: bool = False
    with_next: Question | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """All answers there will be."""

    answers: Mapping[str, tuple[str, ...]]


def first(check_in: CheckIn) -> Asked:
    """The form as it is opened."""
    return _asked(check_in, 0, {})


def after(check_in: CheckIn, fields: Iterable[tuple[str, str]]) -> Asked | Finished:
    """What follows on a form with these fields. Raises BadInput for one that no page of ours sends."""
    answers, at, button = _read(check_in, fields)
    question = check_in.questions[at]
    if button is Button.BACK and at > 0:
        return _asked(check_in, at - 1, answers)
    if button is Button.BACK:
        raise _refused("there is nothing before the first question")
    cleared = _cleared(check_in, at, button)
    # The clear answer beside another one counts as the other one: a tick is never lost.
    answers |= {one.key: (*answers.get(one.key, ()), one.clear) for one in cleared if not _is_clear(one, answers)}
    if _ends(check_in, answers):
        return Finished(answers)
    if any(not answers.get(one.key) for one in check_in.questions[:at]):
        raise _refused("a question before this one has no answer")
    if not answers.get(question.key):
        return _asked(check_in, at, answers, missing=True)
    coming = at + max(1, len(cleared))
    return Finished(answers) if coming >= len(check_in.questions) else _asked(check_in, coming, answers)


def _read(check_in: CheckIn, fields: Iterable[tuple[str, str]]) -> tuple[dict[str, tuple[str, ...]], int, Button]:
    said: dict[str, list[str]] = {}
    for name, value in fields:
        said.setdefault(name, []).append(value)
    shown, pressed = said.pop(AT, []), said.pop(GO, [Button.NEXT])
    answers = read_answers(check_in, said)
    keys = [question.key for question in check_in.questions]
    if len(shown) != 1 or shown[0] not in keys or len(pressed) != 1 or pressed[0] not in tuple(Button):
        raise _refused("it does not say which question was shown, or which button was pressed")
    for question in check_in.questions:
        if question.ticks == "one" and len(answers.get(question.key, ())) > 1:
            raise _refused(f"{question.key} takes one answer")
    return answers, keys.index(shown[0]), Button(pressed[0])


def _cleared(check_in: CheckIn, at: int, button: Button) -> tuple[Question, ...]:
    """The questions that a button gives the clear answer."""
    if button is Button.CLEAR:
        return (check_in.questions[at],)
    if button is not Button.CLEAR_BOTH:
        return ()
    if at not in _pairs(check_in):
        raise _refused("no button answers these two questions")
    return check_in.questions[at : at + 2]


def _is_clear(question: Question, answers: Mapping[str, tuple[str, ...]]) -> bool:
    return question.clear in answers.get(question.key, ())


def _ends(check_in: CheckIn, answers: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether an answer to the question that stops the form is anything but the clear one."""
    stopper = next((one for one in check_in.questions if one.key == check_in.stops_at), None)
    return stopper is not None and bool({*answers.get(stopper.key, ())} - {stopper.clear})


def _asked(check_in: CheckIn, place: int, answers: Mapping[str, tuple[str, ...]], *, missing: bool = False) -> Asked:
    question, total = check_in.questions[place], len(check_in.questions)
    with_next = check_in.questions[place + 1] if place in _pairs(check_in) else None
    return Asked(question, place + 1, total, answers, missing, with_next)


def _pairs(check_in: CheckIn) -> set[int]:
    """Places of the questions that are asked alone, but may be answered with the next. Never the one that stops."""
    total = len(check_in.questions)
    places = (total - 3 - 2 * extra for extra in range(total - MOST_TAPS))
    return {place for place in places if place > 0 and check_in.questions[place].key != check_in.stops_at}


def _refused(problem: str) -> BadInput:
    return BadInput(f"this is not our form: {problem}", field="answers", next_step=_FIX)
