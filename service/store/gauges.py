"""The whole installation at one instant, in numbers: what the metrics show.

Reads only, every few seconds, through indexes: it costs the same however many e-mails are planned for later days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from service.domain.reminder import OPEN, State
from service.store.figures import fell_due_at
from service.store.tables import LEASED, WAITING, alerts, calls, emails, outages
from service.store.watch import last_good

DAY = timedelta(hours=24)
#: The calls of a day are looked for among so many: there is no index on when they were opened.
NEWEST_CALLS = 20_000
# As text, like the conditions of the partial indexes.
_waiting, _leased, _held = sa.text(WAITING), sa.text(LEASED), sa.text("state = 'held'")
_open_call = calls.c.state == sa.literal_column("'open'")
_number = sa.func.count()


@dataclass(frozen=True, slots=True)
class CallList:
    """The open calls: how many by reason, how many past their deadline, when the first was opened."""

    by_reason: dict[str, int]
    overdue: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every clinic together. states: planned and in_doubt that may go within a day, all claimed, sending and held, sent
    and unconfirmed of the last day. waiting: what may go now; oldest_due_at: when the first of these fell due.
    missed, failed: reminders that ended so in the last day. bounced: those handed over in the last day that came back.
    outages: the kinds that go on.
    """

    states: dict[str, int]
    waiting: int
    oldest_due_at: datetime | None
    missed: int
    failed: int
    bounced: int
    calls: CallList
    last_good_at: datetime | None
    alerts: int
    outages: frozenset[str]


def snapshot(connection: sa.Connection, now: datetime) -> Snapshot:
    """All that the metrics show."""
    soon, waiting, oldest = _soon(connection, now)
    gone, bounced = _gone(connection, now)
    lost = _lost(connection, now)
    going_on = sa.select(outages.c.kind).where(outages.c.ended_at.is_(None))
    alarms = sa.select(_number).select_from(alerts).where(alerts.c.closed_at.is_(None))
    counted = soon | _by_state(connection, _leased) | _by_state(connection, _held) | gone
    return Snapshot(
        states={str(state): counted.get(state, 0) for state in (*OPEN, State.SENT, State.UNCONFIRMED)},
        waiting=waiting,
        oldest_due_at=oldest,
        missed=lost.get(State.MISSED, 0),
        failed=lost.get(State.FAILED, 0),
        bounced=bounced,
        calls=_calls(connection, now),
        last_good_at=last_good(connection),
        alerts=connection.execute(alarms).scalar_one(),
        outages=frozenset(connection.execute(going_on).scalars()),
    )


def _soon(connection: sa.Connection, now: datetime) -> tuple[dict[str, int], int, datetime | None]:
    """By state, what may go within a day; how much of it may go now, and when the first of that fell due."""
    may_go = emails.c.not_before <= now
    query = sa.select(emails.c.state, _number, _number.filter(may_go), sa.func.min(fell_due_at).filter(may_go))
    rows = connection.execute(query.where(_waiting, emails.c.not_before <= now + DAY).group_by(emails.c.state)).all()
    oldest = min((row[3] for row in rows if row[3] is not None), default=None)
    return {row[0]: row[1] for row in rows}, sum(row[2] for row in rows), oldest


def _by_state(connection: sa.Connection, which: sa.TextClause) -> dict[str, int]:
    query = sa.select(emails.c.state, _number).where(which).group_by(emails.c.state)
    return {row[0]: row[1] for row in connection.execute(query)}


def _gone(connection: sa.Connection, now: datetime) -> tuple[dict[str, int], int]:
    """What was handed over in the last day: sent and unconfirmed, and how much of it came back."""
    bounced = _number.filter(emails.c.bounced_at.is_not(None))
    query = sa.select(emails.c.state, _number, bounced).where(emails.c.marked_at > now - DAY)
    rows = connection.execute(query.group_by(emails.c.state)).all()
    ended = {row[0]: row[1] for row in rows if row[0] in (State.SENT, State.UNCONFIRMED)}
    return ended, sum(row[2] for row in rows)


def _lost(connection: sa.Connection, now: datetime) -> dict[str, int]:
    """Reminders that were lost in the last day, by the reason of the calls that they opened: each has one (P3)."""
    newest = sa.select(sa.func.max(calls.c.id) - NEWEST_CALLS).scalar_subquery()
    query = sa.select(calls.c.reason, _number).where(calls.c.id > newest, calls.c.opened_at > now - DAY)
    return {row[0]: row[1] for row in connection.execute(query.group_by(calls.c.reason))}


def _calls(connection: sa.Connection, now: datetime) -> CallList:
    overdue, oldest = _number.filter(calls.c.due_at <= now), sa.func.min(calls.c.opened_at)
    query = sa.select(calls.c.reason, _number, overdue, oldest).where(_open_call).group_by(calls.c.reason)
    rows = connection.execute(query).all()
    oldest_at = min((row[3] for row in rows), default=None)
    by_reason = dict.fromkeys(map(str, (State.MISSED, State.FAILED, State.UNCONFIRMED)), 0)
    by_reason |= {row[0]: row[1] for row in rows}
    return CallList(by_reason, sum(row[2] for row in rows), oldest_at)
