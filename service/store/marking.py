"""Just before a message: the last look at everything that could forbid it, and the mark that it may be out.

Both run inside one short transaction that many conversations share. Nothing here talks to a relay.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from service.domain.reminder import State
from service.store.clients import is_suppressed
from service.store.engine import Instant, database_clock
from service.store.many import Many, Values
from service.store.tables import Kind, clients, clinics, emails, shared_facts, treatments


class LastLook(NamedTuple):
    """A claimed row and its world in the transaction of the mark."""

    id: int
    state: str
    token: str | None
    kind: str
    due_at: datetime
    useful_until: datetime
    doubt_since: datetime | None
    address: str
    stopped_at: datetime | None
    paused_at: datetime | None
    erased_at: datetime | None
    consented: bool
    cancelled_at: datetime | None
    suppressed: bool
    daily_cap: int | None
    last_reminder_at: datetime | None


_other = emails.alias("other")
#: When another reminder or catch-up note of the same client went out, or may have.
_LAST_REMINDER = (
    sa.select(sa.func.max(_other.c.marked_at))
    .where(
        _other.c.client_id == emails.c.client_id,
        _other.c.id != emails.c.id,
        _other.c.kind.in_((Kind.REMINDER, Kind.CATCH_UP)),
        _other.c.state.in_((State.SENDING, State.SENT, State.IN_DOUBT, State.UNCONFIRMED)),
    )
    .scalar_subquery()
)
# Built once, like every statement that each commit runs: building one costs more than running it.
_LAST_LOOK: sa.Select[*tuple[Any, ...]] = (
    sa.select(
        emails.c.id,
        emails.c.state,
        emails.c.lease_token,
        emails.c.kind,
        emails.c.due_at,
        emails.c.useful_until,
        emails.c.doubt_since,
        clients.c.email,
        clients.c.stopped_at,
        clients.c.paused_at,
        clients.c.erased_at,
        clients.c.consent_on.is_not(None),
        treatments.c.cancelled_at,
        is_suppressed,
        clinics.c.daily_cap,
        sa.type_coerce(_LAST_REMINDER, Instant),
    )
    .select_from(
        emails.join(clients, clients.c.id == emails.c.client_id).join(clinics, clinics.c.id == emails.c.clinic_id)
    )
    .outerjoin(treatments, treatments.c.id == emails.c.treatment_id)
    .where(emails.c.id.in_(sa.bindparam("b_ids", expanding=True)))
    .with_for_update(of=emails)
)


def last_look(connection: sa.Connection, ids: Sequence[int]) -> dict[int, LastLook]:
    """Lock these rows, whose clients are locked already, and read what the mark must still agree with."""
    return {row[0]: LastLook._make(row) for row in connection.execute(_LAST_LOOK, {"b_ids": ids}).all()}


_FROZEN = (
    "marked_at",
    "message_id",
    "text_id",
    "text_version",
    "frame_version",
    "facts",
    "shared_id",
    "dated",
    "digest",
)
#: The columns of a mark, in the order in which `mark` takes them.
MARKED = ("id", *_FROZEN)


def keep_shared(connection: sa.Connection, rows: Iterable[tuple[str, int, str]]) -> None:
    """Keep facts that many letters share: id, clinic id, facts. What is there already stays."""
    # In one order, or two workers wait for each other's new row.
    fresh = [{"id": key, "clinic_id": clinic_id, "facts": facts} for key, clinic_id, facts in sorted(set(rows))]
    if fresh:
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        connection.execute(insert(shared_facts).on_conflict_do_nothing(), fresh)


def mark(connection: sa.Connection, rows: Sequence[tuple[Any, ...]], lease_seconds: int) -> None:
    """Write the marks. rows: values of MARKED. Call only for rows that `last_look` found claimed with their token.

    The lease begins anew: the row may have waited long for its turn, and must not lapse while it is being said.
    """
    _mark(lease_seconds).execute(connection, rows)


@lru_cache(maxsize=8)
def _mark(lease_seconds: int) -> Many:
    def build(many: Values) -> sa.Update:
        return (
            sa.update(emails)
            .where(emails.c.id == many["id"])
            .values(
                state=State.SENDING,
                lease_until=database_clock(lease_seconds),
                # Marking a row that is in doubt uses up one of its repeats, whatever becomes of it.
                doubt_retries=emails.c.doubt_retries + sa.case((emails.c.doubt_since.is_(None), 0), else_=1),
                **{name: many[name] for name in _FROZEN},
            )
        )

    return Many([emails.c[name] for name in MARKED], build)
