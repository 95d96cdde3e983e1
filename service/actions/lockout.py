"""A wrong password, remembered beyond the process that said it: asked for too often it locks the account at the relay.

Workers share one count for one set of relay settings. It ends when the relay takes an e-mail, when the settings change,
or when a person has tried it (`forget`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

import sqlalchemy as sa

from service.domain.breaker import AUTH_TRIES, Breaker
from service.store import watch
from service.store.engine import Store

_NAME = "relay sign-in"
CAUSE = "auth: the relay does not let us sign in"


class HasBreaker(Protocol):
    breaker: Breaker


@dataclass(frozen=True)
class Lockout:
    """What the workers of this installation remember. key: stands for the relay's settings, at most 16 characters."""

    store: Store
    key: str

    @asynccontextmanager
    async def shared(self, worker: HasBreaker) -> AsyncIterator[None]:
        """A round of a worker's: it begins with what the others found out, and leaves what it finds out itself."""
        worker.breaker = before = await self.store.in_thread(self._recall, worker.breaker)
        try:
            yield
        finally:
            if worker.breaker.auth_failures != before.auth_failures:
                await self.store.in_thread(self._keep, before, worker.breaker)

    def _recall(self, connection: sa.Connection, mine: Breaker) -> Breaker:
        failures, retry_at = self._known(connection)
        if failures == mine.auth_failures:
            return mine
        if not failures:
            return Breaker()  # the relay has let somebody in
        since = mine.opened_at or retry_at or datetime.now(UTC)
        told = replace(mine, opened_at=since, auth_failures=failures, probes=failures, urgent=True)
        return replace(told, retry_at=None if failures >= AUTH_TRIES else retry_at, cause=mine.cause or CAUSE)

    def _keep(self, connection: sa.Connection, before: Breaker, after: Breaker) -> None:
        failures = 0
        if after.auth_failures:
            failures = self._known(connection)[0] + max(after.auth_failures - before.auth_failures, 1)
        at = int(after.retry_at.timestamp()) if after.retry_at else 0
        watch.note_done(connection, _NAME, f"{self.key} {failures} {at}" if failures else "")

    def _known(self, connection: sa.Connection) -> tuple[int, datetime | None]:
        """How many failures in a row there were with these settings, and when the next try may be."""
        key, _, rest = watch.done_for(connection, _NAME).partition(" ")
        if key != self.key or not rest:
            return 0, None
        failures, _, at = rest.partition(" ")
        return int(failures), datetime.fromtimestamp(int(at), UTC) if int(at) else None


def forget(connection: sa.Connection) -> None:
    """A person has seen that the relay lets us in: try again."""
    if watch.done_for(connection, _NAME):
        watch.note_done(connection, _NAME, "")
