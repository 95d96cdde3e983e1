"""Questions of the promises about whose something is, and whether a clinic can be worked for at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from service.store import audit
from service.store.clinics import usable
from service.store.tables import calls, clients, clinics, emails, treatments

SHOWN = 20


def of_another_clinic() -> sa.Select[int]:
    """E-mails that mix two clinics."""
    whose = emails.join(clients, clients.c.id == emails.c.client_id)
    whose = whose.outerjoin(treatments, treatments.c.id == emails.c.treatment_id)
    foreign = (emails.c.clinic_id != clients.c.clinic_id) | (treatments.c.clinic_id != emails.c.clinic_id)
    return sa.select(emails.c.id).select_from(whose).where(foreign)


def calls_of_another_clinic() -> sa.Select[int]:
    whose = calls.join(clients, clients.c.id == calls.c.client_id)
    return sa.select(calls.c.id).select_from(whose).where(calls.c.clinic_id != clients.c.clinic_id)


def of_another_person() -> sa.Select[int]:
    """E-mails about one client's treatment that are addressed to another client."""
    whose = emails.join(treatments, treatments.c.id == emails.c.treatment_id)
    return sa.select(emails.c.id).select_from(whose).where(treatments.c.client_id != emails.c.client_id)


def calls_of_another_person() -> sa.Select[int]:
    """Calls about one client's e-mail that name another client."""
    whose = calls.join(emails, emails.c.id == calls.c.email_id)
    return sa.select(calls.c.id).select_from(whose).where(emails.c.client_id != calls.c.client_id)


def of_nobody() -> sa.Select[int]:
    """E-mails whose client is not there any more."""
    whose = emails.outerjoin(clients, clients.c.id == emails.c.client_id)
    return sa.select(emails.c.id).select_from(whose).where(clients.c.id.is_(None))


def of_one_name() -> sa.Select[int]:
    """E-mails that share their Message-ID: a report about one could settle the other."""
    shared = sa.select(emails.c.message_id).where(emails.c.message_id.is_not(None)).group_by(emails.c.message_id)
    return sa.select(emails.c.id).where(emails.c.message_id.in_(shared.having(sa.func.count() > 1)))


def clinics_in_trouble(connection: sa.Connection, _: datetime) -> Sequence[int]:
    return sorted(usable(connection)[1])[:SHOWN]


def broken_audit(connection: sa.Connection, _: datetime) -> Sequence[int]:
    """Of every clinic, also of one that cannot be worked for."""
    ids = connection.execute(sa.select(clinics.c.id).order_by(clinics.c.id)).scalars().all()
    return [line for clinic_id in ids for line in audit.broken_links(connection, clinic_id)][:SHOWN]
