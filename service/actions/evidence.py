"""What is known about one client in a span of days: what was sent, by which words, who approved them, who phoned.

Reads only. Leaves out what only the clinic needs: the technician's notes and the answers to the check-in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import sqlalchemy as sa

from service.actions.previewing import Desk
from service.actions.sent_words import SentWords, sent_words
from service.domain.schedule import instant
from service.errors import BadInput
from service.store import audit, calls, clients, clinics, story, texts
from service.store.audit import Sought
from service.store.clinics import Clinic
from service.store.texts import TextVersion

#: E-mails and lines of the audit in one answer: years of visits.
MOST_EMAILS, MOST_LINES = 500, 10_000


@dataclass(frozen=True)
class Span:
    """Local days of the clinic, both included."""

    first: date
    last: date

    def instants(self, clinic: Clinic) -> tuple[datetime, datetime]:
        """When the first day begins, and when the last one is over."""
        after = self.last + timedelta(days=1)
        return instant(self.first, time(), clinic.zone), instant(after, time(), clinic.zone)


@dataclass(frozen=True)
class Evidence:
    """emails: those that fell due or went out in the span, by due time. calls: those that were open in it.

    treatments: of these e-mails, and those done in the span. versions: the texts of these e-mails, with their sources.
    lines: of the audit about this client, oldest first. broken: ids of lines of the whole audit that were changed.
    names: address of staff -> name.
    """

    clinic: Clinic
    client: sa.RowMapping
    span: Span
    emails: Sequence[SentWords]
    attempts: Sequence[sa.RowMapping]
    treatments: Sequence[sa.RowMapping]
    calls: Sequence[sa.RowMapping]
    versions: Sequence[tuple[TextVersion, str]]
    lines: Sequence[sa.RowMapping]
    broken: Sequence[int]
    names: Mapping[str, str]


def gather(connection: sa.Connection, desk: Desk, client_id: int, span: Span) -> Evidence:
    """All of it in one read. Raises NotFound; BadInput (fields "since", "until") for a span that cannot be answered."""
    if span.first > span.last:
        raise BadInput("The first day is after the last", field="until", next_step="Turn the two round.")
    clinic_id, (begins, ends) = desk.clinic.id, span.instants(desk.clinic)
    client = clients.get(connection, clinic_id, client_id)
    ids = story.emails_between(connection, clinic_id, client_id, (begins, ends), MOST_EMAILS + 1)
    _require_few(len(ids), MOST_EMAILS, "e-mails")
    found = [sent_words(connection, desk, email_id) for email_id in ids]
    about = {one.email["treatment_id"] for one in found}
    sought = Sought(subject=f"client {client_id}", since=begins, until=ends)
    lines = audit.search(connection, clinic_id, sought, MOST_LINES + 1)
    _require_few(len(lines), MOST_LINES, "lines of the audit")
    versions = {one.version.id: one.version for one in found if one.version is not None}
    return Evidence(
        clinic=desk.clinic,
        client=client,
        span=span,
        emails=found,
        attempts=[row for email_id in ids for row in story.attempts_of(connection, clinic_id, email_id)],
        treatments=[
            row
            for row in clients.list_treatments(connection, clinic_id, client_id)
            if row["id"] in about or span.first <= row["treated_on"] <= span.last
        ],
        calls=[
            row
            for row in reversed(calls.of_client(connection, clinic_id, client_id))
            if row["opened_at"] < ends and (row["closed_at"] is None or row["closed_at"] >= begins)
        ],
        versions=[(version, texts.source(connection, key)) for key, version in sorted(versions.items())],
        lines=lines[::-1],
        broken=audit.broken_links(connection, clinic_id),
        names=clinics.staff_names(connection, clinic_id),
    )


def _require_few(number: int, most: int, what: str) -> None:
    if number > most:
        fix = "Choose fewer days, and take one pack after the other."
        raise BadInput(f"There are more than {most} {what} in these days", field="since", next_step=fix)
