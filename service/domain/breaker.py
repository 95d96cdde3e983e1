"""When the relay itself is in trouble: stop the line, probe it now and then, burn nobody's attempts (P5).

A value: every event gives the next one. Refuses to know connections or clocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from service.domain.replies import Kind, Scope, Stage, Verdict

PROBE_AFTER_MINUTES = (1, 2, 4, 5)
#: A wrong password asked for too often locks the account at the relay: then only changed settings help.
AUTH_TRIES = 10
NO_MORE = (
    f"After {AUTH_TRIES} tries no more are made: set the right user name and password, or have "
    "`aftercare test-email` go through"
)
#: So many in a row say that the line, not the one e-mail, is at fault. An address that does not exist says nothing.
CONNECTIONS_LOST_IN_A_ROW = 3
REFUSED_IN_A_ROW = 5


@dataclass(frozen=True)
class Breaker:
    """opened_at None: closed, mail flows. retry_at: the next probe; None while open: never again by itself."""

    opened_at: datetime | None = None
    retry_at: datetime | None = None
    probes: int = 0
    auth_failures: int = 0
    connections_lost: int = 0
    refused: int = 0
    cause: str = ""
    urgent: bool = False

    @property
    def is_open(self) -> bool:
        return self.opened_at is not None

    def lets_pass(self, now: datetime) -> bool:
        """Whether a conversation may be tried: the line is closed, or a probe is due."""
        return not self.is_open or (self.retry_at is not None and now >= self.retry_at)

    def after(self, verdict: Verdict, stage: Stage, now: datetime, cause: str) -> Breaker:
        """The breaker after one verdict. cause: words for people, without personal data."""
        if verdict.kind is Kind.ACCEPTED:
            return Breaker()
        if verdict.scope is Scope.RELAY:
            ours = verdict.kind is Kind.CONFIGURATION
            tripped = self.tripped(now, cause, auth=ours and stage is Stage.AUTH)
            return replace(tripped, urgent=self.urgent or ours)
        if verdict.scope is Scope.CONNECTION:
            lost = replace(self, connections_lost=self.connections_lost + 1)
            return lost.tripped(now, cause) if lost.connections_lost >= CONNECTIONS_LOST_IN_A_ROW else lost
        if verdict.kind is Kind.WITHHELD:
            return self
        refused = self.refused
        if verdict.kind is Kind.PERMANENT and not verdict.suppress:
            refused += 1
            if refused >= REFUSED_IN_A_ROW:
                return replace(self, refused=refused, connections_lost=0).tripped(now, cause)
        # The relay talked to us properly about one e-mail: the line works.
        return Breaker(refused=refused)

    def tripped(self, now: datetime, cause: str, *, auth: bool = False) -> Breaker:
        """Open, or after a failed probe open for longer."""
        if self.is_open and not self.lets_pass(now):
            return self  # conversations begun before it opened tell nothing new
        minutes = PROBE_AFTER_MINUTES[min(self.probes, len(PROBE_AFTER_MINUTES) - 1)]
        failures = self.auth_failures + (1 if auth else 0)
        if failures >= AUTH_TRIES:
            cause = f"{cause[:150]}. {NO_MORE}"
        return replace(
            self,
            opened_at=self.opened_at or now,
            retry_at=None if failures >= AUTH_TRIES else now + timedelta(minutes=minutes),
            probes=self.probes + 1,
            auth_failures=failures,
            cause=cause,
        )
