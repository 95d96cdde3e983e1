"""Which reminders followed another one of the same client too soon: the gap of design, asked of what has gone out."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from service.domain.reminder import GAP_BETWEEN_REMINDERS, State
from service.store.engine import Instant
from service.store.tables import Kind, attempts, emails

#: Exempt: a repeat in doubt, and a retry, whose turn had come before. An attempt is counted when it has ended.
_had_its_turn = sa.or_(
    emails.c.doubt_retries > 0,
    emails.c.attempts > 1,
    (emails.c.state == State.SENDING) & (emails.c.attempts > 0),
)
#: What a report proved afterwards has no mark of its own, only an instant put in its place.
_proven = (
    sa.select(sa.literal(1))
    .where(attempts.c.email_id == emails.c.id, attempts.c.outcome == State.SENT, attempts.c.marked_at.is_(None))
    .exists()
)


def too_close(connection: sa.Connection, limit: int) -> list[int]:
    """Ids of reminders and catch-up notes that were marked within the gap after another one of their client.

    Those that would have passed their shelf life by waiting are right.
    """
    excused = sa.case((_had_its_turn, 1), else_=0)
    # Of two with one mark's instant, that one came second which was allowed to.
    order = (emails.c.marked_at, excused, emails.c.useful_until.desc(), emails.c.id)
    before = sa.func.lag(emails.c.marked_at).over(partition_by=emails.c.client_id, order_by=order)
    out = (
        sa.select(
            emails.c.id,
            emails.c.marked_at,
            emails.c.useful_until,
            excused.label("excused"),
            _proven.label("proven"),
            sa.type_coerce(before, Instant).label("before"),
        )
        .where(
            emails.c.kind.in_((Kind.REMINDER, Kind.CATCH_UP)),
            emails.c.state.in_((State.SENDING, State.SENT, State.IN_DOUBT, State.UNCONFIRMED)),
            emails.c.marked_at.is_not(None),
        )
        .subquery()
    )
    near = out.c.excused == 0, sa.not_(out.c.proven), _within_a_day(connection, out.c.before, out.c.marked_at)
    found = connection.execute(sa.select(out).where(*near).order_by(out.c.id))
    return [row.id for row in found if row.marked_at < row.before + GAP_BETWEEN_REMINDERS < row.useful_until][:limit]


def _within_a_day(
    connection: sa.Connection, before: sa.ColumnElement[object], after: sa.ColumnElement[object]
) -> sa.ColumnElement[bool]:
    """Roughly, so that few rows are compared exactly: SQLite cannot add hours to an instant without rounding it."""
    if connection.dialect.name == "sqlite":
        return sa.func.julianday(after) - sa.func.julianday(before) < 1
    return after < before + sa.literal(timedelta(days=1), sa.Interval())
