"""What the clock of a run said when a relay wrote down an hour of the real one."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime


@dataclass
class RunClock:
    """The clock by which a run sends: the machine's, or one that stands still under --now or in a test's own rounds.

    A machine that is told a wrong hour (faketime) still lives by the machine's: what is judged is the true hour.
    """

    _since: list[datetime] = field(default_factory=list)
    _said: list[datetime | None] = field(default_factory=list)

    def says(self, instant: datetime | None) -> None:
        """From now on it stands at `instant`; None: it is the machine's."""
        self._since.append(datetime.now(UTC))
        self._said.append(instant)

    def at(self, real: datetime) -> datetime:
        """What it said at a real instant."""
        place = bisect_right(self._since, real)
        said = self._said[place - 1] if place else None
        return said or real
