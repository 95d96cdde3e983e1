"""Reads the [check_in] of a protocol.toml: its questions, which answer is which row of the table, and its words.

Refuses to guess: an answer without a row, a sign that gets less urgent by waiting, a language that lacks a word or a
number is an error that names the file, the key and the fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType

from service.domain.protocol import (
    LAST_DAY,
    NOT_SURE,
    Answer,
    CheckIn,
    CheckInWords,
    FollowUpProtocol,
    Level,
    PastLimit,
    Question,
    QuestionWords,
    Raise,
    gravest,
)
from service.domain.strict_table import Table

_KEY = re.compile(r"[a-z][a-z0-9_]*\Z")
_TAG = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z")
_SLOT = re.compile(r"\{(\w*)\}")
#: Silence and doubt are never normal.
_NEVER_NORMAL = (Level.EMERGENCY, Level.DOCTOR, Level.TODAY)
#: Slots with neutral words for a reader whose clinic is not known.
_MAY_BE_UNKNOWN = ("phone", "emergency_number", "urgent_line", "treated_date")
_SLOTS = frozenset({*_MAY_BE_UNKNOWN, "hours_line", "day"})
#: The numbers that no translation may lose.
_MUST_NAME: Mapping[Level, frozenset[str]] = MappingProxyType({
    Level.EMERGENCY: frozenset({"emergency_number"}),
    Level.DOCTOR: frozenset({"urgent_line", "phone", "emergency_number"}),
    Level.TODAY: frozenset({"phone", "urgent_line", "emergency_number"}),
    Level.SOON: frozenset({"phone"}),
    Level.VISIT: frozenset(),
    Level.NORMAL: frozenset({"phone"}),
})  # fmt: skip


def read_check_in(table: Table, protocol: FollowUpProtocol) -> CheckIn:
    """Read a [check_in] table. protocol: the rest of the file, already checked. Raises BadProtocol."""
    questions = tuple(_read_question(row, protocol) for row in table.rows("questions"))
    unanswered = Level(table.choice("unanswered", _NEVER_NORMAL))
    stops_at = table.optional_text("stops_at")
    _check_questions(questions, table)
    if stops_at is not None and stops_at not in [question.key for question in questions]:
        known = ", ".join(question.key for question in questions)
        table.refuse("stops_at", f"no question {stops_at!r}", f"Name one of {known}, or leave it out.")
    row = table.table("words")
    words = {language: _read_words(row.table(language), questions) for language in row.names()}
    for language in words:
        if not _TAG.match(language):
            row.refuse(language, f"{language!r} is not a language", "Write a language tag, like en or pt-BR.")
    if not words:
        table.refuse("words", "there is no language", "Add a [check_in.words.en] table.")
    table.finish()
    return CheckIn(questions, unanswered, stops_at, words)


def _read_question(row: Table, protocol: FollowUpProtocol) -> Question:
    question = Question(
        key=_checked_key(row, "key"),
        ticks=row.choice("ticks", ("one", "many")),
        clear=_checked_key(row, "clear"),
        not_sure=Level(row.choice(NOT_SURE, _NEVER_NORMAL)),
        answers=tuple(_read_answer(answer, protocol) for answer in row.rows("answers")),
    )
    row.finish()
    if not question.answers:
        row.refuse("answers", "there is no answer", "Add rows like { key = …, row = … }.")
    for option in question.options:
        if question.options.count(option) > 1:
            row.refuse("answers", f"{option!r} stands there twice", "Give every answer its own key.")
    return question


def _checked_key(row: Table, key: str) -> str:
    value = row.text(key)
    if not _KEY.match(value):
        row.refuse(key, f"{value!r} cannot be a key", "Use small letters, digits and underscores, like clear_fluid.")
    return value


def _read_answer(row: Table, protocol: FollowUpProtocol) -> Answer:
    key, number = _checked_key(row, "key"), row.text("row")
    flag = next((flag for flag in protocol.red_flags if flag.row == number), None)
    if flag and row.optional_table("levels"):
        row.refuse("levels", f"row {number} is a red flag", "Leave levels out: they stand in [[red_flags]].")
    limit, raised = row.optional_table("past_limit"), row.optional_table("raise")
    answer = Answer(
        key=key,
        row=number,
        says=flag.says if flag else row.text("says"),
        levels=flag.levels if flag else _read_levels(row.table("levels"), protocol),
        source=flag.source if flag else row.strings("source"),
        from_day=row.integer("from_day", 0, LAST_DAY) if "from_day" in row.names() else 0,
        past_limit=_read_past_limit(limit, protocol) if limit else None,
        raised=_read_raise(raised) if raised else None,
        normal_if_any=row.strings("normal_if_any") if "normal_if_any" in row.names() else (),
    )
    row.finish()
    columns = [band.like for band in protocol.bands]
    for before, after in pairwise(columns):
        if gravest(answer.levels[before], answer.levels[after]) != answer.levels[after]:
            problem = f"row {number} falls from {answer.levels[before]} to {answer.levels[after]} in {after}"
            row.refuse("levels", problem, "No sign gets less urgent by waiting: raise the later level.")
    return answer


def _read_levels(row: Table, protocol: FollowUpProtocol) -> dict[str, Level]:
    """A level holds from its step on; the first step must have one."""
    levels: dict[str, Level] = {}
    level = None
    for step in protocol.steps:
        if level is None or row.optional_text(step.key):
            level = Level(row.choice(step.key, tuple(Level)))
        levels[step.key] = level
    row.finish()
    return levels


def _read_past_limit(row: Table, protocol: FollowUpProtocol) -> PastLimit:
    past = PastLimit(row.choice("limit", tuple(protocol.limits)), Level(row.choice("level", tuple(Level))))
    row.finish()
    return past


def _read_raise(row: Table) -> Raise:
    raised = Raise(Level(row.choice("to", tuple(Level))), row.strings("if_any"))
    row.finish()
    return raised


def _check_questions(questions: tuple[Question, ...], table: Table) -> None:
    if not questions:
        table.refuse("questions", "there is no question", "Add at least one [[check_in.questions]].")
    keys = [question.key for question in questions]
    if len(set(keys)) < len(keys):
        table.refuse("questions", "two questions have the same key", "Give every question its own key.")
    known = {f"{question.key}.{answer.key}" for question in questions for answer in question.answers}
    for named in _named(questions):
        if named not in known:
            table.refuse("questions", f"there is no answer {named!r}", "Write it as question.answer, like q3.fading.")


def _named(questions: tuple[Question, ...]) -> Iterator[str]:
    """The answers that other answers look at."""
    for question in questions:
        for answer in question.answers:
            yield from answer.normal_if_any
            yield from answer.raised.if_any if answer.raised else ()


def _read_words(row: Table, questions: tuple[Question, ...]) -> CheckInWords:
    not_sure = row.text(NOT_SURE)
    outcomes, unknown = row.table("outcomes"), row.table("if_unknown")
    words = CheckInWords(
        intro=_read_sentences(row, "intro", frozenset({"emergency_number"})),
        questions={one.key: _read_question_words(row.table(one.key), one, not_sure) for one in questions},
        outcomes={level: _read_sentences(outcomes, level.value, _MUST_NAME[level]) for level in Level},
        if_unknown={slot: unknown.text(slot) for slot in _MAY_BE_UNKNOWN},
    )
    for table in (outcomes, unknown, row):
        table.finish()
    return words


def _read_question_words(row: Table, question: Question, not_sure: str) -> QuestionWords:
    labels = row.table("options")
    words = QuestionWords(
        asks=row.text("asks"),
        hint=row.optional_text("hint") or "",
        why=row.text("why"),
        options={option: not_sure if option == NOT_SURE else labels.text(option) for option in question.options},
    )
    for table in (labels, row):
        table.finish()
    return words


def _read_sentences(row: Table, key: str, must: frozenset[str]) -> tuple[str, ...]:
    sentences = row.strings(key)
    whole = " ".join(sentences)
    used = set(_SLOT.findall(whole))
    if used - _SLOTS or re.search(r"[{}]", _SLOT.sub("", whole)):
        row.refuse(key, "has a place that nothing fills", f"Use only {{{'}, {'.join(sorted(_SLOTS))}}}.")
    if must - used:
        row.refuse(key, f"lacks {{{'}, {'.join(sorted(must - used))}}}", "Say whom to call: put it in.")
    return sentences
