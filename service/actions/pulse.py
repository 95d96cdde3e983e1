"""Whether a worker's rounds still move: a slow relay is honest work, a database that never answers is not."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.store.waits import Waits

#: Seconds without a sign after which a worker is not ready: longer than PostgreSQL's own patience with a statement.
LATE = 45.0
#: Seconds after which people are told, although no round ends that could note it.
TOLD_AFTER = 180.0


@dataclass
class Pulse:
    """One worker's rounds. pause: seconds between two; session: the longest that one conversation may take."""

    waits: Waits
    pause: float
    session: float
    _begun_at: float | None = field(default=None, init=False)
    _ended_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._ended_at = self.waits.seconds()

    def begin(self) -> None:
        """A round begins."""
        self._begun_at = self.waits.seconds()

    def end(self) -> None:
        """The round has ended, well or not."""
        self._begun_at, self._ended_at = None, self.waits.seconds()

    def still_for(self) -> float:
        """Seconds for which nothing has moved that should have; 0 while a long round goes on sending."""
        now = self.waits.seconds()
        if self._begun_at is None:
            return max(0.0, now - self._ended_at - self.pause)
        quiet = now - max(self._begun_at, self.waits.answered_at)
        return max(self.waits.longest(), quiet - self.session)

    def trouble(self) -> str:
        """Why the rounds do not move, "" while they do."""
        if self.still_for() <= LATE:
            return ""
        if self.waits.longest() > LATE:
            return "the database does not answer, and the round does not end"
        return "no round has ended for too long"
