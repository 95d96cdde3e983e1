"""The only reader of the wall clock. Everything below the actions gets `now` as an argument."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    """The present as an aware UTC instant."""
    return datetime.now(UTC)


def stopped_at(instant: datetime) -> Clock:
    """A clock that always says `instant`: one command under --now, and tests."""
    fixed = instant.astimezone(UTC)
    return lambda: fixed


def running_from(instant: datetime) -> Clock:
    """A clock that says `instant` now and runs on by the machine's monotonic time: business time within one tick."""
    started, base = time.monotonic(), instant.astimezone(UTC)
    return lambda: base + timedelta(seconds=time.monotonic() - started)


#: A wall clock that departs by more than this is not believed.
MOST = timedelta(minutes=5)


def passed() -> float:
    """Seconds that have really passed, the machine's sleep included; nobody can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class ClockBrake:
    """Notices a wall clock that jumps while this process lives. Downtime and sleep are no jumps.

    It holds until the clock is right again or the process begins anew: then the clock has been looked at.
    """

    def __init__(self, wall: Clock = wall_clock, seconds: Callable[[], float] = passed) -> None:
        self._wall = wall
        self._seconds = seconds
        self._last = (wall(), seconds())

    def trouble(self, database: datetime | None = None) -> str:
        """Why the clock is not believed, "" if it is. database: what the database's own clock says now."""
        wall, seconds = self._wall(), self._seconds()
        was, then = self._last
        jump = wall - was - timedelta(seconds=seconds - then)
        if abs(jump) > MOST:
            return f"the clock of this machine jumped by {_told(jump)}"
        self._last = (wall, seconds)  # a clock that is set right little by little is none that jumps
        apart = wall - database if database is not None else timedelta()
        return f"the clocks of this machine and the database differ by {_told(apart)}" if abs(apart) > MOST else ""


def _told(span: timedelta) -> str:
    sign = "-" if span < timedelta() else "+"
    return f"{sign}{timedelta(seconds=round(abs(span).total_seconds()))}"


class SteppedClock:
    """A clock moved by hand: the demo's days in seconds, and tests."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def __call__(self) -> datetime:
        return self._now

    def set(self, instant: datetime) -> None:
        self._now = instant.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        self._now += by
