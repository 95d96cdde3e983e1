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
