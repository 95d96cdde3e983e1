"""What would happen, on a copy: claims, words, last checks and records of a real round, with a relay that takes all.

Sends nothing and changes nothing in the real database; the copy is thrown away.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from service.actions.book import Answer, Book
from service.actions.book import Rules as DeliveryRules
from service.actions.outcomes import heard_outcome, withheld_outcome
from service.actions.prepare import Preparer
from service.actions.shelf import Shelf
from service.actions.upkeep import OWED_WITHIN, Upkeep
from service.actions.writing import Writer
from service.clock import stopped_at
from service.domain.contact import Withheld
from service.domain.reminder import Reason, State, ended
from service.domain.replies import Heard, Stage, classify
from service.domain.schedule import instant, local_day
from service.mail.catalogue import Catalogue
from service.mail.signing import Signer
from service.store import clinics, outbox
from service.store.engine import Store
from service.store.outbox import ClaimedEmail, Lease
from service.store.owed import owed_catch_ups
from service.store.schema import migrate
from service.store.tables import APPEND_ONLY, calls, clients, emails, metadata

_TAKEN = Heard(Stage.MESSAGE, 250, "2.0.0 simulated")
_WORKER = "simulation"
_BATCH = 500
_LEASE_SECONDS = 3600
#: Signs only what is thrown away.
_KEY = b"only for simulations: 32 bytes or more"


@dataclass(frozen=True)
class Span:
    """From when to when is simulated, and while what part of it nothing runs (None: it runs all the time)."""

    start: datetime
    end: datetime
    down: tuple[datetime, datetime] | None = None

    def runs_at(self, at: datetime) -> bool:
        return self.down is None or not self.down[0] <= at < self.down[1]


@dataclass(frozen=True)
class Rules:
    """As the real worker has them. drafts_count: trial mode, in which unapproved words may go out."""

    catalogue: Catalogue
    doubt_cap: int
    drafts_count: bool


@contextmanager
def copy_of(store: Store) -> Iterator[Store]:
    """A throw-away SQLite copy of the rows that decide what happens, in a private folder."""
    with tempfile.TemporaryDirectory(prefix="aftercare-simulate-") as folder:
        copy = Store(f"sqlite:///{Path(folder) / 'copy.db'}")
        try:
            migrate(copy)
            with store.read() as source, copy.write() as target:
                for table in metadata.sorted_tables:
                    if table in APPEND_ONLY:
                        continue  # evidence of the past decides nothing
                    rows = source.execution_options(yield_per=1000).execute(sa.select(table)).mappings()
                    for chunk in rows.partitions(1000):
                        target.execute(sa.insert(table), [dict(row) for row in chunk])
            yield copy
        finally:
            copy.close()


def run(store: Store, rules: Rules, span: Span, seen: Callable[[datetime], None] | None = None) -> list[dict[str, Any]]:
    """What becomes of every e-mail that moves or should go out within the span, by due time and id.

    seen: told each instant that has been gone through.
    """
    with copy_of(store) as copy:
        asyncio.run(_live_through(copy, rules, span, seen or (lambda _: None)))
        with copy.read() as connection:
            return [dict(row) for row in connection.execute(_story(span)).mappings()]


async def _live_through(copy: Store, rules: Rules, span: Span, seen: Callable[[datetime], None]) -> None:
    # Whoever holds a row in the real database is not here to finish it.
    upkeep = Upkeep(dict(rules.catalogue.protocols), rules.doubt_cap, lost_workers=list)
    preparer = Preparer(Shelf(rules.catalogue, rules.drafts_count), Writer(Signer([_KEY])))
    at: datetime | None = span.start
    while at is not None and at <= span.end:
        if span.runs_at(at):
            await copy.in_thread(upkeep.run, at)
            await _send_due(copy, preparer, rules.doubt_cap, at)
        seen(at)
        at = _next_event(copy, span, at)


async def _send_due(copy: Store, preparer: Preparer, doubt_cap: int, at: datetime) -> None:
    """One round: everything due, in batches, with the delivery's own book."""
    waiting = await copy.in_thread(outbox.due_ids, at, 10**9)
    lease = Lease(_WORKER, "0", _LEASE_SECONDS)
    async with Book(copy, stopped_at(at), DeliveryRules(_WORKER, lease_seconds=_LEASE_SECONDS)) as book:
        for first in range(0, len(waiting), _BATCH):
            rows = await copy.in_thread(preparer.claim, waiting[first : first + _BATCH], lease, at)
            await asyncio.gather(*(_take(book, preparer, row, (doubt_cap, at)) for row in rows))


async def _take(book: Book, preparer: Preparer, row: ClaimedEmail, how: tuple[int, datetime]) -> None:
    """Write it, ask for its mark, and have the relay take it. how: the cap on repeats, and now."""
    doubt_cap, at = how
    try:
        written = preparer.write(row, at)
    except ValueError:  # a clinic without an address to write from: the delivery puts such a row aside too
        written = Withheld(ended(in_doubt=row.in_doubt, otherwise=State.HELD), Reason.RENDER_ERROR)
    if isinstance(written, Withheld):
        book.put(withheld_outcome(row, written, _WORKER, at, spoke=False))
        return
    if await book.mark(written) is Answer.MARKED:
        outcome = heard_outcome(row, _TAKEN, classify(_TAKEN), (_WORKER, at, at), doubt_cap)
        book.put(outcome, row.treatment_id, preparer.covers(row))


def _next_event(copy: Store, span: Span, at: datetime) -> datetime | None:
    """The next instant at which something can change: a row falls due or out of date, the outage ends, a day begins."""
    waiting = emails.c.state.in_([State.PLANNED, State.IN_DOUBT, State.HELD])
    moments = [
        sa.select(sa.func.min(column)).where(waiting, column > at)
        for column in (emails.c.not_before, emails.c.useful_until)
    ]
    with copy.read() as connection:
        found = [connection.execute(query).scalar_one() for query in moments]
        if owed_catch_ups(connection, at, OWED_WITHIN):
            # What cannot be made up for today may be tomorrow.
            zones = {clinic.zone for clinic in clinics.every(connection)}
            found += [instant(local_day(at, zone) + timedelta(days=1), time(), zone) for zone in zones]
    if span.down is not None and at < span.down[1]:
        found.append(span.down[1])
    return min((moment for moment in found if moment is not None), default=None)


def _story(span: Span) -> sa.Select[Any]:
    called = sa.select(sa.literal(1)).where(calls.c.email_id == emails.c.id, calls.c.state == "open").exists()
    within = sa.or_(
        emails.c.ended_at.between(span.start, span.end),
        sa.and_(emails.c.due_at <= span.end, emails.c.state.in_([State.PLANNED, State.HELD, State.IN_DOUBT])),
    )
    columns = ("id", "clinic_id", "client_id", "kind", "protocol", "step", "state", "reason", "due_at", "sent_at")
    return (
        sa.select(*(emails.c[name] for name in columns), clients.c.name, called.label("call"))
        .select_from(emails.join(clients, clients.c.id == emails.c.client_id))
        .where(within)
        .order_by(emails.c.due_at, emails.c.id)
    )
