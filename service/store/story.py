"""All that is written down about one client, for the page that tells it. Reads only."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from service.errors import NotFound
from service.store.tables import attempts, audit, emails, shared_facts, suppressions, treatments

#: So much of one kind is shown; nobody has had as many visits.
MOST = 500
#: Who looked at the record stands in the audit, and is no part of the client's story.
_LOOKED = "client opened"


def email(connection: sa.Connection, clinic_id: int, email_id: int) -> sa.RowMapping:
    """One outgoing e-mail of this clinic with `shared` facts and `treated_on`. Raises NotFound."""
    query = (
        sa.select(emails, shared_facts.c.facts.label("shared"), treatments.c.treated_on)
        .outerjoin(shared_facts, shared_facts.c.id == emails.c.shared_id)
        .outerjoin(treatments, treatments.c.id == emails.c.treatment_id)
        .where(emails.c.clinic_id == clinic_id, emails.c.id == email_id)
    )
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise NotFound(f"this clinic has no e-mail {email_id}", field="email", next_step="See `aftercare outbox`.")
    return row


def emails_of(connection: sa.Connection, clinic_id: int, client_id: int) -> list[sa.RowMapping]:
    """Outgoing e-mails of a client, the newest plans first, without their facts."""
    columns = [column for column in emails.c if column.name not in ("facts", "lease_token", "worker")]
    mine = (emails.c.client_id == client_id) & (emails.c.clinic_id == clinic_id)
    return list(connection.execute(sa.select(*columns).where(mine).order_by(emails.c.id.desc()).limit(MOST)).mappings())


def emails_between(
    connection: sa.Connection, clinic_id: int, client_id: int, span: tuple[datetime, datetime], limit: int
) -> list[int]:
    """Ids of a client's e-mails that fell due or went out in a span, by due time. span: the second one not included."""
    since, until = span
    mine = (emails.c.client_id == client_id) & (emails.c.clinic_id == clinic_id)
    within = [(column >= since) & (column < until) for column in (emails.c.due_at, emails.c.marked_at)]
    asked = sa.select(emails.c.id).where(mine, sa.or_(*within)).order_by(emails.c.due_at, emails.c.id).limit(limit)
    return list(connection.execute(asked).scalars())


def attempts_of(connection: sa.Connection, clinic_id: int, email_id: int) -> list[sa.RowMapping]:
    mine = (attempts.c.clinic_id == clinic_id) & (attempts.c.email_id == email_id)
    return list(connection.execute(sa.select(attempts).where(mine).order_by(attempts.c.id)).mappings())


def audit_of(connection: sa.Connection, clinic_id: int, client_id: int) -> list[sa.RowMapping]:
    """What was done to a client, the newest first; not who looked at it."""
    mine = (audit.c.clinic_id == clinic_id) & (audit.c.subject == f"client {client_id}") & (audit.c.action != _LOOKED)
    return list(connection.execute(sa.select(audit).where(mine).order_by(audit.c.id.desc()).limit(MOST)).mappings())


def suppression(connection: sa.Connection, clinic_id: int, email_folded: str) -> sa.RowMapping | None:
    """Why this address is not written to, None if it is."""
    query = sa.select(suppressions).where(
        suppressions.c.clinic_id == clinic_id,
        suppressions.c.email_folded == email_folded,
        suppressions.c.lifted_at.is_(None),
    )
    return connection.execute(query).mappings().one_or_none()
