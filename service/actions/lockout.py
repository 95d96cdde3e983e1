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
    """What the workers of this installation remember. key: stands for the relay's settings, at most 12 characters."""

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
        failures, since, retry_at = self._known(connection)
        if failures == mine.auth_failures:
            return mine
        if not failures:
            return Breaker()  # the relay has let somebody in
        told = replace(mine, opened_at=mine.opened_at or since, retry_at=retry_at, probes=failures)
        return replace(told, auth_failures=failures, urgent=True, cause=mine.cause or CAUSE)

    def _keep(self, connection: sa.Connection, before: Breaker, after: Breaker) -> None:
        said = ""
        if after.auth_failures and after.opened_at:
            failures = self._known(connection)[0] + max(after.auth_failures - before.auth_failures, 1)
            stopped = failures >= AUTH_TRIES or after.retry_at is None
            retry_at = 0 if stopped or after.retry_at is None else int(after.retry_at.timestamp())
            said = f"{self.key} {failures} {int(after.opened_at.timestamp())} {retry_at}"
        watch.note_done(connection, _NAME, said)

    def _known(self, connection: sa.Connection) -> tuple[int, datetime | None, datetime | None]:
        """Failures in a row with these settings, since when, and when the next try may be."""
        key, *rest = watch.done_for(connection, _NAME).split(" ")
        if key != self.key or len(rest) != 3:
            return 0, None, None
        failures, since, retry_at = map(int, rest)
        return failures, datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(retry_at, UTC) if retry_at else None


def forget(connection: sa.Connection) -> None:
    """A person has seen that the relay lets us in: try again."""
    if watch.done_for(connection, _NAME):
        watch.note_done(connection, _NAME, "")
