"""How long the worker's own work waits for the database. A server that hangs raises nothing: only this tells of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Waits:
    """Used by the event loop alone. seconds: a clock that nobody sets."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self.answered_at = seconds()
        self._begun: dict[object, float] = {}

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around one wait for the database."""
        mine = object()
        self._begun[mine] = self.seconds()
        try:
            yield
        finally:
            del self._begun[mine]
            self.answered_at = self.seconds()

    def longest(self) -> float:
        """Seconds for which the oldest wait that has not ended goes on, 0 without one."""
        return self.seconds() - min(self._begun.values()) if self._begun else 0.0
