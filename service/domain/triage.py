"""The answers of a check-in, the day and the protocol -> how urgent it is, by which rows, and what to advise.

Pure rules over data: the table and every word stand in protocol.toml (content: the table of signs and its outcome
texts). Refuses to see anything reassuring in silence: what is unanswered or unsure is never normal.
"""

from __future__ import annotations

import hashlib
import re
import reprlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

from service.domain.protocol import (
    LAST_DAY,
    NOT_SURE,
    Answer,
    CheckIn,
    CheckInWords,
    FollowUpProtocol,
    Level,
    Question,
    gravest,
)
from service.errors import BadInput

_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Finding:
    """One rule that spoke. rule: a row of the table, "q2.unanswered", "q2.not_sure" or "late". says: for staff."""

    rule: str
    level: Level
    says: str


@dataclass(frozen=True)
class Outcome:
    """How urgent it is, and why. findings: the gravest first, else in the order of the questions."""

    level: Level
    findings: tuple[Finding, ...]

    @property
    def rules(self) -> tuple[str, ...]:
        """Every rule that spoke, once."""
        return tuple(dict.fromkeys(finding.rule for finding in self.findings))


def triage(protocol: FollowUpProtocol, day: int, answers: object) -> Outcome:
    """Judge a check-in; the gravest level wins.

    day: days after the treatment, 0 to 366, in the clinic's zone. answers: question -> list of option ids, as parsed
    from JSON or a form. Raises BadInput naming the question, the option and what there is.
    """
    check_in = check_in_of(protocol)
    # JSON's true is Python's 1.
    if type(day) is not int or not 0 <= day <= LAST_DAY:
        fix = f"Count the days after the treatment: a whole number from 0 to {LAST_DAY}."
        raise BadInput(f"{reprlib.repr(day)} is not a day", field="day", next_step=fix)
    found = list(_findings(protocol, check_in, day, read_answers(check_in, answers)))
    level = gravest(*(finding.level for finding in found))
    floor = protocol.band(day).floor
    if floor and gravest(level, floor) != level:
        level = floor
        found.append(Finding("late", floor, f"a check-in on day {day}: nothing counts as normal so late"))
    return Outcome(level, tuple(sorted(found, key=lambda finding: list(Level).index(finding.level))))


def check_in_of(protocol: FollowUpProtocol) -> CheckIn:
    """The protocol's check-in. Raises BadInput if it has none."""
    if protocol.check_in is None:
        fix = f"Add a [check_in] table to {protocol.key}/protocol.toml."
        raise BadInput(f"{protocol.key} has no check-in", field="protocol", next_step=fix)
    return protocol.check_in


def rules_version(protocol: FollowUpProtocol) -> str:
    """A digest of all that decides a level, to be kept beside an answer. Words do not change it."""
    check_in = check_in_of(protocol)
    limits = sorted((limit.key, limit.ok_through_day) for limit in protocol.limits.values())
    rules = (check_in.questions, check_in.unanswered, check_in.stops_at, protocol.bands, limits)
    return hashlib.sha256(repr(rules).encode()).hexdigest()


def read_answers(check_in: CheckIn, raw: object) -> dict[str, tuple[str, ...]]:
    """Answers of known questions and options only. Raises BadInput (field "answers" or "answers.<question>")."""
    if not isinstance(raw, Mapping):
        _refuse("", f"{reprlib.repr(raw)} is not a set of answers", 'Write them like {"q1": ["none"]}.')
    questions = {question.key: question for question in check_in.questions}
    for key in raw:
        if key not in questions:
            _refuse("", f"there is no question {reprlib.repr(key)}", f"The questions are {', '.join(questions)}.")
    return {key: _read_options(questions[key], given) for key, given in raw.items()}


def _read_options(question: Question, given: object) -> tuple[str, ...]:
    options = f"The answers to {question.key} are {', '.join(question.options)}."
    if not isinstance(given, list | tuple):
        _refuse(question.key, f"{reprlib.repr(given)} is not a list", f'Write it like ["{question.clear}"]. {options}')
    seen: list[str] = []
    for option in given:
        if not isinstance(option, str) or option not in question.options:
            _refuse(question.key, f"there is no answer {reprlib.repr(option)} to {question.key}", options)
        if option in seen:
            _refuse(question.key, f"{option!r} stands there twice", "Name each answer once.")
        seen.append(option)
    return tuple(seen)


def _refuse(question: str, problem: str, fix: str) -> NoReturn:
    field = f"answers.{question}" if question else "answers"
    raise BadInput(problem, field=field, next_step=fix)


def _findings(
    protocol: FollowUpProtocol, check_in: CheckIn, day: int, answers: Mapping[str, tuple[str, ...]]
) -> Iterator[Finding]:
    ticked = {f"{key}.{option}" for key, given in answers.items() for option in given}
    stopped = False
    for question in check_in.questions:
        given = answers.get(question.key, ())
        # What a stopped form never asked is no silence.
        if not given and not stopped:
            rule = f"{question.key}.unanswered"
            yield Finding(rule, check_in.unanswered, f"question {question.key} was not answered")
        for finding in _of_question(protocol, question, day, ticked):
            yield finding
            graver = gravest(finding.level, check_in.unanswered) == finding.level
            stopped = stopped or (question.key == check_in.stops_at and graver)


def _of_question(
    protocol: FollowUpProtocol, question: Question, day: int, ticked: Collection[str]
) -> Iterator[Finding]:
    """What was ticked. The clear answer beside another one counts as the other one: it finds nothing."""
    for answer in question.answers:
        if f"{question.key}.{answer.key}" in ticked:
            yield Finding(answer.row, _level(protocol, answer, day, ticked), answer.says)
    if f"{question.key}.{NOT_SURE}" in ticked:
        yield Finding(f"{question.key}.{NOT_SURE}", question.not_sure, f"not sure about question {question.key}")


def _level(protocol: FollowUpProtocol, answer: Answer, day: int, ticked: Collection[str]) -> Level:
    level = answer.levels[protocol.column(day)]
    if any(other in ticked for other in answer.normal_if_any):
        level = Level.NORMAL
    past, raised = answer.past_limit, answer.raised
    if past and day > protocol.limits[past.limit].ok_through_day:
        level = gravest(level, past.level)
    if raised and any(other in ticked for other in raised.if_any):
        level = gravest(level, raised.to)
    return level


def words_for(check_in: CheckIn, language: str) -> CheckInWords:
    """The words of a language tag, or of its first part (pt for pt-BR). Raises BadInput naming those there are."""
    words = check_in.words.get(language) or check_in.words.get(language.partition("-")[0])
    if words is None:
        fix = f"Use one of {', '.join(check_in.words)}."
        raise BadInput(f"the check-in has no words in {reprlib.repr(language)}", field="language", next_step=fix)
    return words


def filled(sentences: tuple[str, ...], words: CheckInWords, facts: Mapping[str, str]) -> tuple[str, ...]:
    """Sentences with their slots filled; neutral words stand for a fact that is missing or empty.

    facts: phone, hours_line, emergency_number, urgent_line, treated_date, day, as they are shown to a reader; a slot
    without neutral words is left out, and with it a sentence that is nothing else.
    """
    known = words.if_unknown | {slot: fact for slot, fact in facts.items() if fact}
    shown = (_SLOT.sub(lambda slot: known.get(slot[1], ""), sentence).strip() for sentence in sentences)
    return tuple(sentence for sentence in shown if sentence)


def advice(words: CheckInWords, level: Level, facts: Mapping[str, str]) -> tuple[str, ...]:
    """What to tell the client, sentence by sentence. facts: as in `filled`; day is needed for the normal one."""
    return filled(words.outcomes[level], words, facts)
