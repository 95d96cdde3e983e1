"""Lists that only show: the outbox, attempts, the forecast. Complete unless limited, by due time and id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.reminder import OPEN
from service.store.tables import attempts, audit, emails, suppressions

#: The columns a checker needs, in the order of the interface.
OUTBOX_COLUMNS = (
    "id",
    "clinic_id",
    "client_id",
    "treatment_id",
    "kind",
    "protocol",
    "step",
    "language",
    "state",
    "reason",
    "due_at",
    "useful_until",
    "not_before",
    "replaced_at",
    "doubt_since",
    "attempts",
    "doubt_retries",
    "message_id",
    "text_version",
    "sent_at",
    "last_code",
    "last_enhanced",
    "last_stage",
    "bounced_at",
    "bounce_class",
)
ATTEMPT_COLUMNS = (
    "email_id",
    "worker",
    "token",
    "claimed_at",
    "marked_at",
    "stage",
    "code",
    "enhanced",
    "reply",
    "ended_at",
    "outcome",
)


@dataclass(frozen=True)
class OutboxFilter:
    """Which rows; None: all. due_before: an instant."""

    state: str | None = None
    client_id: int | None = None
    due_before: datetime | None = None
    limit: int | None = None


def outbox_rows(connection: sa.Connection, clinic_id: int, wanted: OutboxFilter) -> Iterator[sa.RowMapping]:
    query = sa.select(*(emails.c[name] for name in OUTBOX_COLUMNS)).where(emails.c.clinic_id == clinic_id)
    if wanted.state is not None:
        query = query.where(emails.c.state == wanted.state)
    if wanted.client_id is not None:
        query = query.where(emails.c.client_id == wanted.client_id)
    if wanted.due_before is not None:
        query = query.where(emails.c.due_at < wanted.due_before)
    query = query.order_by(emails.c.due_at, emails.c.id).limit(wanted.limit)
    yield from _streamed(connection, query)


def _streamed(connection: sa.Connection, query: sa.Select[*tuple[Any, ...]]) -> Iterator[sa.RowMapping]:
    """Row after row; the cursor is closed also when nobody reads to the end."""
    with connection.execution_options(yield_per=1000).execute(query) as result:
        yield from result.mappings()


def attempt_rows(
    connection: sa.Connection, clinic_id: int, email_id: int | None, limit: int | None
) -> Iterator[sa.RowMapping]:
    query = sa.select(*(attempts.c[name] for name in ATTEMPT_COLUMNS)).where(attempts.c.clinic_id == clinic_id)
    if email_id is not None:
        query = query.where(attempts.c.email_id == email_id)
    query = query.order_by(attempts.c.id).limit(limit)
    yield from _streamed(connection, query)


def forecast_rows(connection: sa.Connection, clinic_id: int, now: datetime, until: datetime) -> Iterator[sa.RowMapping]:
    """What is open and falls due before `until`; what is waiting already counts as due now."""
    columns = ("clinic_id", "client_id", "protocol", "step", "due_at", "not_before", "state")
    query = (
        sa.select(*(emails.c[name] for name in columns))
        .where(
            emails.c.clinic_id == clinic_id,
            emails.c.state.in_(OPEN),
            emails.c.not_before < until,
            emails.c.useful_until > now,
        )
        .order_by(emails.c.due_at, emails.c.id)
    )
    yield from connection.execute(query).mappings()


def newest_record(connection: sa.Connection) -> datetime | None:
    """The latest business instant that is written down."""
    newest: datetime | None = connection.execute(sa.select(sa.func.max(audit.c.at))).scalar_one()
    return newest


def suppressed(connection: sa.Connection, clinic_id: int) -> list[sa.RowMapping]:
    """Suppressions of a clinic, the lifted ones too, by id. address: folded, as it is compared."""
    query = (
        sa.select(suppressions, suppressions.c.email_folded.label("address"))
        .where(suppressions.c.clinic_id == clinic_id)
        .order_by(suppressions.c.id)
    )
    return list(connection.execute(query).mappings())


def audit_lines(connection: sa.Connection, clinic_id: int, limit: int | None = None) -> list[sa.RowMapping]:
    """The clinic's audit, oldest first; with a limit the newest so many."""
    newest = sa.select(audit.c.id).where(audit.c.clinic_id == clinic_id).order_by(audit.c.id.desc()).limit(limit)
    return list(connection.execute(sa.select(audit).where(audit.c.id.in_(newest)).order_by(audit.c.id)).mappings())
