"""WHEN: treatment date + protocol + clinic zone + now -> one entry per step: planned, late, missed or superseded.

A day is a calendar day in the clinic's zone (P11). A local time in a gap moves on by the gap's length, in a fold the
first one counts, and on a date that the zone skipped it is the same hour of the next day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

from service.domain.own_steps import OwnStep, for_clinic
from service.domain.protocol import FollowUpProtocol, Step
from service.domain.reminder import Reason, State
from service.errors import BadInput

CATCH_UP_IS_COVERED_BY_A_STEP_WITHIN = timedelta(hours=24)


@dataclass(frozen=True)
class ClinicTime:
    """A clinic's zone, the local hour it writes at, and what it set for single steps."""

    zone: ZoneInfo
    send_at: time
    own_steps: tuple[OwnStep, ...] = ()


@dataclass(frozen=True)
class Entry:
    """One step of a plan. due_at, useful_until, not_before: UTC; due_at is nominal, late registration moves not_before.

    useful_until is exclusive: at that instant the e-mail is too late.
    """

    step: str
    day: int
    due_at: datetime
    useful_until: datetime
    not_before: datetime
    state: State
    reason: Reason | None = None


def read_zone(name: str) -> ZoneInfo:
    """An IANA zone by its name. Raises BadInput for anything else, paths and the empty name included."""
    if name not in available_timezones():
        raise BadInput(
            f"{name!r} is not a time zone",
            field="timezone",
            next_step="Use a name of the IANA list, like Europe/London or America/New_York.",
        )
    return ZoneInfo(name)


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The UTC instant of a local wall-clock time. The offset before a gap applies in it, so 02:30 becomes 03:30."""
    return datetime.combine(day, at.replace(fold=0), tzinfo=zone).astimezone(UTC)


def local_day(now: datetime, zone: ZoneInfo) -> date:
    """The calendar day at `now` in that zone."""
    return now.astimezone(zone).date()


def day_number(treated_on: date, on: date) -> int:
    """Calendar days since the treatment; 0 on its own day."""
    return (on - treated_on).days


def plan(protocol: FollowUpProtocol, treated_on: date, clinic: ClinicTime, now: datetime) -> tuple[Entry, ...]:
    """One entry per step, in order of days, at the clinic's own days and hours. now: the instant of registration."""
    followed = for_clinic(protocol, clinic.own_steps)
    return tuple(_entry(step, treated_on, clinic, now) for step in followed.steps)


def _entry(step: Step, treated_on: date, clinic: ClinicTime, now: datetime) -> Entry:
    due_at = instant(treated_on + timedelta(days=step.day), step.send_at or clinic.send_at, clinic.zone)
    until = instant(treated_on + timedelta(days=step.until_day), step.until_at, clinic.zone)
    # A clinic that writes later in the day than the shelf life ends still gets a window: never an empty one.
    until = max(until, due_at + timedelta(hours=1))
    if now >= until:
        # not_before is capped at useful_until, so one index finds what may go and what is too late.
        return Entry(step.key, step.day, due_at, until, until, State.MISSED, Reason.REGISTERED_LATE)
    return Entry(step.key, step.day, due_at, until, max(due_at, now), State.PLANNED)


def superseded(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """The plan of a treatment that a newer one of the same area has already replaced: nothing of it may go out."""
    return tuple(
        replace(entry, state=State.CANCELLED, reason=Reason.SUPERSEDED) if entry.state is State.PLANNED else entry
        for entry in entries
    )


def supersedes(newer: tuple[date, int], older: tuple[date, int]) -> bool:
    """Whether a treatment replaces another of the same area. Each: (treated_on, id); on one date the later id wins."""
    return newer > older


def among(
    entries: Iterable[Entry], mine: tuple[date, int], others: Iterable[tuple[date, int]]
) -> tuple[tuple[Entry, ...], list[int]]:
    """A treatment beside the client's others of the same area: what stays of its plan, and whose plans it replaces.

    mine, others: (treated_on, id). Returns the entries and the ids of the older treatments.
    """
    outdated, older = False, []
    for other in others:
        if supersedes(mine, other):
            older.append(other[1])
        elif supersedes(other, mine):
            outdated = True
    return (superseded(entries) if outdated else tuple(entries)), older


@dataclass(frozen=True)
class Standing:
    """What a correction needs of a row that stands. sent_on: local day it went out, if it did."""

    step: str
    state: State
    in_doubt: bool
    sent_on: date | None


@dataclass(frozen=True)
class Correction:
    """What a corrected date does to one standing row.

    state, reason: None leaves them. replaced: the step is planned anew beside it. wrong_day: its advice went out for
    another day, so a person must call.
    """

    state: State | None = None
    reason: Reason | None = None
    replaced: bool = False
    wrong_day: bool = False

    @property
    def kept(self) -> bool:
        """The step stays as it is: it was sent rightly, or is being sent now."""
        return self.state is None and not self.replaced


def correct(row: Standing, new_day: date) -> Correction:
    """P6. new_day: the local day that the words of this row are for now."""
    match row.state:
        case State.SENDING:
            return Correction()
        case State.SENT:
            too_early = row.sent_on is not None and row.sent_on < new_day
            return Correction(replaced=too_early, wrong_day=too_early)
        case State.MISSED | State.FAILED | State.UNCONFIRMED:
            return Correction(replaced=True)
        case State.CANCELLED:
            return Correction(replaced=True)
        case _ if row.in_doubt:
            return Correction(State.UNCONFIRMED, Reason.CORRECTED, replaced=True)
        case _:
            return Correction(State.CANCELLED, Reason.CORRECTED, replaced=True)


def catch_up(
    protocol: FollowUpProtocol, treated_on: date, clinic: ClinicTime, now: datetime, next_due: datetime | None
) -> Entry | None:
    """The one honest note after steps were missed for our own reasons, right for today; None if none should go.

    next_due: when the next open step of this treatment is due. A step within 24 h covers the note.
    """
    rule = protocol.catch_up
    today = local_day(now, clinic.zone)
    day = day_number(treated_on, today)
    if rule is None or not rule.from_day <= day <= rule.through_day:
        return None
    if next_due is not None and next_due - now <= CATCH_UP_IS_COVERED_BY_A_STEP_WITHIN:
        return None
    until = instant(today, rule.until_at, clinic.zone)
    if now >= until:
        return None
    return Entry(f"catch-up-{day:02d}", day, now, until, now, State.PLANNED)
