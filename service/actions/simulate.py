"""What would happen, on a copy: the same claims, last checks and records as a real run, with a relay that takes all.

Sends nothing and changes nothing in the real database; the copy is thrown away.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from service.actions.outcomes import heard_outcome
from service.actions.upkeep import Upkeep
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import State
from service.domain.replies import Heard, Stage, classify
from service.store import ledger, outbox
from service.store.engine import Store
from service.store.outbox import Lease
from service.store.schema import migrate
from service.store.tables import calls, clients, emails, metadata

_TAKEN = Heard(Stage.MESSAGE, 250, "2.0.0 simulated")


@dataclass(frozen=True)
class Span:
    """From when to when is simulated, and while what part of it nothing runs (None: it runs all the time)."""

    start: datetime
    end: datetime
    down: tuple[datetime, datetime] | None = None

    def runs_at(self, at: datetime) -> bool:
        return self.down is None or not self.down[0] <= at < self.down[1]


@contextmanager
def copy_of(store: Store) -> Iterator[Store]:
    """A throw-away SQLite copy of the rows, in a private folder."""
    with tempfile.TemporaryDirectory(prefix="aftercare-simulate-") as folder:
        copy = Store(f"sqlite:///{Path(folder) / 'copy.db'}")
        try:
            migrate(copy)
            with store.read() as source, copy.write() as target:
                for table in metadata.sorted_tables:
                    rows = source.execution_options(yield_per=1000).execute(sa.select(table)).mappings()
                    for chunk in rows.partitions(1000):
                        target.execute(sa.insert(table), [dict(row) for row in chunk])
            yield copy
        finally:
            copy.close()


def run(store: Store, protocols: dict[str, FollowUpProtocol], span: Span) -> list[dict[str, Any]]:
    """What becomes of every e-mail that moves or should go out within the span, by due time and id."""
    upkeep = Upkeep(protocols, doubt_cap=1, lost_workers=list)
    with copy_of(store) as copy:
        at: datetime | None = span.start
        while at is not None and at <= span.end:
            if span.runs_at(at):
                with copy.write() as connection:
                    _round(connection, upkeep, at)
            at = _next_event(copy, span, at)
        with copy.read() as connection:
            return [dict(row) for row in connection.execute(_story(span)).mappings()]


def _round(connection: sa.Connection, upkeep: Upkeep, now: datetime) -> None:
    upkeep.run(connection, now)
    while ids := outbox.due_ids(connection, now, 1000):
        rows = outbox.claim(connection, ids, Lease("simulation", "0", 3600), now)
        looks = ledger.last_look(connection, [(row.client_id, row.id) for row in rows])
        at = ("simulation", now, now)
        outcomes = [heard_outcome(row, _TAKEN, classify(_TAKEN), at, 1) for row in rows if row.id in looks]
        ledger.record(connection, outcomes)


def _next_event(copy: Store, span: Span, at: datetime) -> datetime | None:
    """The next instant at which something can change: a row falls due or out of date, or the outage ends."""
    waiting = emails.c.state.in_([State.PLANNED, State.IN_DOUBT, State.HELD])
    moments = [
        sa.select(sa.func.min(column)).where(waiting, column > at)
        for column in (emails.c.not_before, emails.c.useful_until)
    ]
    with copy.read() as connection:
        found = [connection.execute(query).scalar_one() for query in moments]
    if span.down is not None and at < span.down[1]:
        found.append(span.down[1])
    return min((moment for moment in found if moment is not None), default=None)


def _story(span: Span) -> sa.Select[Any]:
    called = sa.select(sa.literal(1)).where(calls.c.email_id == emails.c.id, calls.c.state == "open").exists()
    within = sa.or_(
        emails.c.ended_at.between(span.start, span.end),
        sa.and_(emails.c.due_at <= span.end, emails.c.state.in_([State.PLANNED, State.HELD, State.IN_DOUBT])),
    )
    return (
        sa.select(
            emails.c.id,
            emails.c.clinic_id,
            emails.c.client_id,
            clients.c.name,
            emails.c.kind,
            emails.c.protocol,
            emails.c.step,
            emails.c.state,
            emails.c.reason,
            emails.c.due_at,
            emails.c.sent_at,
            called.label("call"),
        )
        .select_from(emails.join(clients, clients.c.id == emails.c.client_id))
        .where(within)
        .order_by(emails.c.due_at, emails.c.id)
    )
