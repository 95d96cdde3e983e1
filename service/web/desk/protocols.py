"""What the program follows after each kind of treatment: days, windows, limits, check-in; here to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.actions.own_steps import as_followed, own_step
from service.domain.own_steps import OwnStep
from service.domain.protocol import CheckIn, FollowUpProtocol, Level
from service.web.desk.visit import Answer, Page, Route, Visit

#: Words and kind of badge.
LEVELS: Mapping[Level, tuple[str, str]] = {
    Level.EMERGENCY: ("emergency, now", "act"),
    Level.DOCTOR: ("doctor, today", "act"),
    Level.TODAY: ("call us today", "act"),
    Level.SOON: ("call within two working days", "wait"),
    Level.VISIT: ("say so at the next visit", "wait"),
    Level.NORMAL: ("normal", "good"),
}


_DONE = {
    "step": "Saved. It holds for treatments registered from now on; what is planned already stays as it is.",
    "same": "Nothing was changed.",
}


def _list(visit: Visit) -> Answer:
    protocols = visit.service.catalogue.protocols.values()
    shown = [
        {
            "protocol": one,
            "followed": as_followed(visit.clinic, one)[0],
            "steps": _steps(one, visit),
            "misfit": as_followed(visit.clinic, one)[1],
            "columns": _columns(one),
            "questions": _questions(one, visit),
        }
        for one in protocols
    ]
    done = _DONE.get(visit.query.get("done", ""), "")
    return Page("settings_protocols.html", {"protocols": shown, "levels": LEVELS, "done": done})


def _steps(protocol: FollowUpProtocol, visit: Visit) -> list[dict[str, Any]]:
    """Each step as this clinic follows it, as the protocol says it, and whether they differ."""
    followed, _ = as_followed(visit.clinic, protocol)
    return [
        {
            "step": step,
            "protocol": said,
            "own": own_step(visit.clinic, protocol, step.key) != OwnStep(protocol.key, step.key),
        }
        for step, said in zip(followed.steps, protocol.steps, strict=True)
    ]


def _columns(protocol: FollowUpProtocol) -> list[tuple[str, str]]:
    """The days on which one column of levels holds: its step and words like "days 3 to 7"; the first such span."""
    spans: dict[str, str] = {}
    begins = 0
    for band in protocol.bands:
        spans.setdefault(band.like, f"days {begins} to {band.through_day}")
        begins = band.through_day + 1
    return [(step.key, spans.get(step.key, f"day {step.day}")) for step in protocol.steps]


def _questions(protocol: FollowUpProtocol, visit: Visit) -> list[dict[str, Any]]:
    """Each question of the check-in with its answers, in the clinic's language or the first there is."""
    check_in = protocol.check_in
    if check_in is None:
        return []
    asked = check_in.words.get(visit.clinic.language) or next(iter(check_in.words.values()))
    return [
        {
            "asks": asked.questions[question.key].asks,
            "answers": [
                (asked.questions[question.key].options[answer.key], answer.levels) for answer in question.answers
            ],
            "not_sure": question.not_sure,
            "ends": _ends(check_in, question.key),
        }
        for question in check_in.questions
    ]


def _ends(check_in: CheckIn, key: str) -> bool:
    """Whether any answer but "nothing of this" ends the form at once."""
    return check_in.stops_at == key


ROUTES = (Route("GET", "/settings/protocols", _list),)
