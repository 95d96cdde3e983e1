"""The life of an outgoing e-mail: states, legal moves, when to try again, when to give up, what a lost reply becomes.

Pure: the same table feeds the database's CHECK, the delivery loop and the model in the tests.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from service.domain.replies import Kind, Verdict


class State(StrEnum):
    PLANNED = "planned"
    CLAIMED = "claimed"
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    HELD = "held"
    SENT = "sent"
    FAILED = "failed"
    MISSED = "missed"
    CANCELLED = "cancelled"
    UNCONFIRMED = "unconfirmed"


class Reason(StrEnum):
    """Why a row is where it is. One list: staff read it, tests assert it, metrics count it."""

    REGISTERED_LATE = "registered_late"
    TOO_LATE = "too_late"
    TOO_EARLY = "too_early"
    SUPERSEDED = "superseded"
    CORRECTED = "corrected"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    STOPPED = "stopped"
    ERASED = "erased"
    SUPPRESSED = "suppressed"
    NO_CONSENT = "no_consent"
    PAUSED = "paused"
    UNAPPROVED = "unapproved"
    RENDER_ERROR = "render_error"
    RESTORED = "restored"
    REFUSED = "refused"
    TRY_AGAIN = "try_again"
    RELAY_TROUBLE = "relay_trouble"
    REPLY_LOST = "reply_lost"
    WORKER_LOST = "worker_lost"
    CHANGED = "changed"
    GAP = "gap"
    PACE = "pace"
    DAILY_CAP = "daily_cap"


P, C, S, D, H = State.PLANNED, State.CLAIMED, State.SENDING, State.IN_DOUBT, State.HELD
_NO_MORE = frozenset[State]()

#: Every legal move. `sent` wins from wherever a late 250 finds the row, even where a lost lease moved it meanwhile.
MOVES: dict[State, frozenset[State]] = {
    P: frozenset({C, H, State.MISSED, State.CANCELLED, State.SENT}),
    C: frozenset({S, P, D, H, State.FAILED, State.MISSED, State.CANCELLED, State.UNCONFIRMED, State.SENT}),
    S: frozenset({State.SENT, P, D, State.FAILED, State.MISSED, State.CANCELLED, State.UNCONFIRMED}),
    D: frozenset({C, State.UNCONFIRMED, State.SENT}),
    H: frozenset({P, State.MISSED, State.CANCELLED, State.UNCONFIRMED, State.SENT}),
    State.SENT: _NO_MORE,
    State.FAILED: _NO_MORE,
    State.MISSED: _NO_MORE,
    State.CANCELLED: _NO_MORE,
    State.UNCONFIRMED: frozenset({State.SENT}),
}
OPEN = (P, C, S, D, H)
FINAL = tuple(state for state in State if state not in OPEN)

BACK_OFF_MINUTES = (5, 10, 20, 40, 60)
#: Between two reminders of one client.
GAP_BETWEEN_REMINDERS = timedelta(hours=12)
DOUBT_WAIT = (timedelta(minutes=15), timedelta(minutes=30))


@dataclass(frozen=True)
class Claimed:
    """What the decision needs of a row a worker holds.

    attempts: counted so far. doubt_retries: repeats marked so far. in_doubt: an earlier copy may be out.
    useful_until: end of its shelf life; no wait goes beyond it, so that expiry finds the row by time.
    """

    id: int
    attempts: int
    doubt_retries: int
    in_doubt: bool
    useful_until: datetime


@dataclass(frozen=True)
class Next:
    """What becomes of the row. not_before None: leave it as it is. attempts: the new count."""

    state: State
    reason: Reason | None
    not_before: datetime | None
    attempts: int


def after(row: Claimed, verdict: Verdict, now: datetime, doubt_cap: int) -> Next:
    """The move after one conversation about `row`. now: business time. doubt_cap: repeats allowed while in doubt."""
    attempts = row.attempts + (1 if verdict.counts else 0)
    match verdict.kind:
        case Kind.ACCEPTED:
            return Next(State.SENT, None, None, attempts)
        case Kind.IN_DOUBT:
            return _doubt(row, now, doubt_cap, attempts)
        case Kind.PERMANENT:
            # The copy before this one may have arrived: this refusal proves nothing about it.
            state = State.UNCONFIRMED if row.in_doubt else State.FAILED
            return Next(state, Reason.REFUSED, None, attempts)
        case Kind.TEMPORARY if verdict.counts:
            return _again(row, Reason.TRY_AGAIN, now + back_off(row.id, attempts), doubt_cap, attempts)
        case Kind.WITHHELD:
            # The mark was not committed: our own trouble, and nothing was sent.
            return _again(row, Reason.TRY_AGAIN, now, doubt_cap, attempts)
        case _:
            return _again(row, Reason.RELAY_TROUBLE, now, doubt_cap, attempts)


def _again(row: Claimed, reason: Reason, at: datetime, doubt_cap: int, attempts: int) -> Next:
    """A definite "not now". With its repeats used up a row in doubt ends here: the first reply stays lost."""
    state = _back(row, doubt_cap)
    if state is State.UNCONFIRMED:
        return Next(state, Reason.REPLY_LOST, None, attempts)
    return Next(state, reason, min(at, row.useful_until), attempts)


def _back(row: Claimed, doubt_cap: int) -> State:
    """Where a definite "not now" leads: to be planned again, unless an earlier copy may be out."""
    return lapsed(State.CLAIMED, in_doubt=row.in_doubt, doubt_retries=row.doubt_retries, doubt_cap=doubt_cap)


def _doubt(row: Claimed, now: datetime, doubt_cap: int, attempts: int) -> Next:
    if row.doubt_retries >= doubt_cap:
        return Next(State.UNCONFIRMED, Reason.REPLY_LOST, None, attempts)
    return Next(State.IN_DOUBT, Reason.REPLY_LOST, min(now + doubt_wait(row.id), row.useful_until), attempts)


def lapsed(state: State, *, in_doubt: bool, doubt_retries: int, doubt_cap: int) -> State:
    """Where a row goes whose worker is gone: before the mark nothing was sent, after it nobody knows."""
    if state is State.SENDING or in_doubt:
        return State.IN_DOUBT if doubt_retries < doubt_cap else State.UNCONFIRMED
    return State.PLANNED


def ended(*, in_doubt: bool, otherwise: State) -> State:
    """Stopped, corrected or out of date: `otherwise`, but a row once in doubt may have arrived and says so."""
    return State.UNCONFIRMED if in_doubt else otherwise


def back_off(row_id: int, attempts: int) -> timedelta:
    """5, 10, 20, 40, 60, 60 … minutes, spread by 20 % either way, never under 5; a row and count give one wait."""
    minutes = BACK_OFF_MINUTES[min(attempts, len(BACK_OFF_MINUTES)) - 1] if attempts else BACK_OFF_MINUTES[0]
    spread = 0.8 + 0.4 * _fraction(f"back-off:{row_id}:{attempts}")
    return max(timedelta(minutes=minutes * spread), timedelta(minutes=BACK_OFF_MINUTES[0]))


def doubt_wait(row_id: int) -> timedelta:
    """15 to 30 minutes: long enough for a slow relay, short enough for receivers that drop a repeated Message-ID."""
    low, high = DOUBT_WAIT
    return low + (high - low) * _fraction(f"doubt:{row_id}")


def _fraction(seed: str) -> float:
    """0 ≤ f < 1 from a text: spread without a random source, so that a rule stays a function of its arguments."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6], "big") / 2**48
