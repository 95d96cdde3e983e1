"""The clock that is believed, and when it is not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from service.clock import ClockBrake, SteppedClock

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Machine:
    """A machine whose time passes by hand: `pass_by` for both clocks, `jump` for the wall clock alone."""

    def __init__(self) -> None:
        self.wall = SteppedClock(NOON)
        self.seconds = 0.0
        self.brake = ClockBrake(self.wall, lambda: self.seconds)

    def pass_by(self, span: timedelta) -> None:
        self.wall.advance(span)
        self.seconds += span.total_seconds()

    def jump(self, span: timedelta) -> None:
        self.wall.advance(span)


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (timedelta(days=30), "+30 days, 0:00:00"),
        (timedelta(hours=-2), "-2:00:00"),
        (timedelta(minutes=5, seconds=1), "+0:05:01"),
    ],
)
def test_a_jump_is_told_until_the_clock_is_right_again(span: timedelta, told: str) -> None:
    machine = Machine()
    machine.jump(span)
    for _ in range(3):
        machine.pass_by(timedelta(seconds=5))
        assert told in machine.brake.trouble()
    machine.jump(-span)
    assert machine.brake.trouble() == ""


def test_time_that_passes_and_small_corrections_are_no_jump() -> None:
    machine = Machine()
    machine.pass_by(timedelta(days=40))
    assert machine.brake.trouble() == ""
    for _ in range(100):
        machine.pass_by(timedelta(seconds=5))
        machine.jump(timedelta(seconds=10))
        assert machine.brake.trouble() == ""


def test_a_database_that_tells_another_time_is_noticed() -> None:
    machine = Machine()
    assert machine.brake.trouble(NOON + timedelta(minutes=5)) == ""
    assert "differ by -0:06:00" in machine.brake.trouble(NOON + timedelta(minutes=6))
