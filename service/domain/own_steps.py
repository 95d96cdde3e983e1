"""A clinic's own day, hour and window of a step, as far as the words of that step allow.

Refuses what would make the words untrue: a day of another band, a sign past its limit, a longer shelf life. So every
text that is right for the protocol is right for every clinic, and no text is ever checked against a clinic.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import time, timedelta
from itertools import pairwise
from typing import NoReturn

from service.domain.protocol import FollowUpProtocol, Step
from service.domain.reminder import GAP_BETWEEN_REMINDERS
from service.errors import BadInput

_SHORTEST = 60  # minutes
_DAY = 24 * 60
_ANY_HOUR = (time(0, 0), time(23, 59))


@dataclass(frozen=True, slots=True)
class OwnStep:
    """What a clinic set for one step, in the words of `Step`. None: as in the protocol."""

    protocol: str
    step: str
    day: int | None = None
    send_at: time | None = None
    until_day: int | None = None
    until_at: time | None = None


def for_clinic(protocol: FollowUpProtocol, own: Iterable[OwnStep]) -> FollowUpProtocol:
    """The protocol as one clinic follows it; its own days and hours count only while all of them fit the protocol."""
    try:
        return with_own(protocol, own)
    except BadInput:
        # The file of the protocol changed since: whoever reads the settings sees it, and planning goes on.
        return protocol


def with_own(protocol: FollowUpProtocol, own: Iterable[OwnStep]) -> FollowUpProtocol:
    """The protocol with a clinic's own steps. Raises BadInput naming the field of the form, the problem and the fix."""
    mine = {one.step: one for one in own if one.protocol == protocol.key}
    if not mine:
        return protocol
    steps = tuple(_own(protocol, step, mine[step.key]) if step.key in mine else step for step in protocol.steps)
    # The bands keep the steps in their order, and one a day; only the hours can bring two of them too close.
    for step, later in pairwise(steps):
        if mine.keys() & {step.key, later.key} and _gap(step, later) < GAP_BETWEEN_REMINDERS:
            hours = GAP_BETWEEN_REMINDERS // timedelta(hours=1)
            problem = f"{step.key} and {later.key} could go out less than {hours} hours apart"
            _refuse("send_at", problem, "Give both an hour of their own, or move one to another day.")
    return replace(protocol, steps=steps)


def as_planned(protocol: FollowUpProtocol, days: Iterable[tuple[str, int]]) -> FollowUpProtocol:
    """The protocol with the days on which the steps of one treatment were planned. days: (step, day)."""
    known = dict(days)
    steps = tuple(replace(step, day=known.get(step.key, step.day)) for step in protocol.steps)
    return replace(protocol, steps=steps) if steps != protocol.steps else protocol


def other_days(protocol: FollowUpProtocol, days: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Those (step, day) of a treatment's plan that the protocol has on another day."""
    own = {step.key: step.day for step in protocol.steps}
    return tuple((step, day) for step, day in days if own.get(step, day) != day)


def days_allowed(protocol: FollowUpProtocol, step: Step) -> tuple[int, int]:
    """First and last day on which all that the step's words say is right: in its band, and no sign past its limit.

    A sign whose limit is over before the protocol's own last day is spoken of as over, and bounds nothing. The day of
    the treatment itself is allowed only if it is the protocol's own: nobody knows the hour of the treatment.
    """
    begins = [band.through_day + 1 for band in protocol.bands if band.through_day < step.day]
    limits = [limit.ok_through_day for limit in protocol.limits.values() if limit.ok_through_day >= step.until_day]
    first = max([min(step.day, 1), *begins])
    return first, min([protocol.band(step.until_day).through_day, *limits])


def _own(protocol: FollowUpProtocol, step: Step, own: OwnStep) -> Step:
    first, last = days_allowed(protocol, step)
    day = step.day if own.day is None else own.day
    if not first <= day <= last:
        problem = f"on day {day} the words of {step.key} are not right: they are on days {first} to {last}"
        _refuse("day", problem, f"Choose a day from {first} to {last}.")
    latest = day + step.until_day - step.day
    found = replace(
        step,
        day=day,
        send_at=step.send_at if own.send_at is None else own.send_at,
        until_day=min(latest, last) if own.until_day is None else own.until_day,
        until_at=step.until_at if own.until_at is None else own.until_at,
    )
    if found.until_day > last:
        problem = f"after day {last} the words of {step.key} are not right any more"
        _refuse("useful_until_day", problem, f"End it on day {last} or sooner.")
    if _minute(found.until_day, found.until_at) > _minute(latest, step.until_at):
        field = "useful_until_day" if found.until_day > latest else "useful_until_at"
        problem = f"{step.key} would stay useful for longer than the protocol says"
        _refuse(field, problem, f"End it on day {latest} at {step.until_at:%H:%M} or sooner.")
    _check_window(found)
    return found


def _check_window(step: Step) -> None:
    """At least an hour to go out in, whatever the clinic's own hour is or will be."""
    sent = _minute(step.day, step.send_at or _ANY_HOUR[1])
    if _minute(step.until_day, step.until_at) >= sent + _SHORTEST:
        return
    if step.send_at is None and step.until_day >= step.day:
        problem = f"{step.key} would end on day {step.until_day} at {step.until_at:%H:%M}, too soon for some hours"
        _refuse("send_at", problem, "Give it an hour of its own, at least one hour before that.")
    field = "useful_until_day" if step.until_day < step.day else "useful_until_at"
    _refuse(field, f"{step.key} would end less than an hour after it goes out", "End it later, or send it sooner.")


def _gap(step: Step, later: Step) -> timedelta:
    """The shortest time between two steps. Without hours of their own both go out at the clinic's."""
    if step.send_at is None and later.send_at is None:
        return timedelta(days=later.day - step.day)
    sent, next_sent = step.send_at or _ANY_HOUR[1], later.send_at or _ANY_HOUR[0]
    return timedelta(minutes=_minute(later.day, next_sent) - _minute(step.day, sent))


def _minute(day: int, at: time) -> int:
    return day * _DAY + at.hour * 60 + at.minute


def _refuse(field: str, problem: str, fix: str) -> NoReturn:
    raise BadInput(problem, field=field, next_step=fix)
