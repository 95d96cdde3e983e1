"""Registers clients and treatments: one transaction, the client row locked first, the plan read back from the rows.

Nothing is told to the scheduler: the rows are the schedule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from service.actions.addresses import check_address
from service.actions.born_lost import call_about, is_silenced, late_step
from service.domain.persons import (
    NAME_LIMIT,
    clean_language,
    clean_line,
    clean_name,
    clean_phone,
    fold_address,
    fold_name,
)
from service.domain.protocol import FollowUpProtocol
from service.domain.remarks import NO_REMARKS, Remarks, clean_remarks
from service.domain.reminder import Reason, State
from service.domain.schedule import Entry, among, day_number, local_day, plan
from service.domain.strict_table import read_clock_time
from service.errors import BadInput
from service.store import audit, clients, outbox
from service.store.audit import Deed
from service.store.calls import Call, open_call
from service.store.clinics import Clinic
from service.store.tables import Kind, emails

EARLIEST = date(1970, 1, 2)


@dataclass(frozen=True)
class NewClient:
    """A client as somebody typed it. consent: False only for an explicit no. consent_words: their version, if known."""

    name: str
    email: str
    phone: str = ""
    language: str = ""
    client_ref: str = ""
    guardian: str = ""
    consent: bool = True
    consent_on: date | None = None
    consent_words: int | None = None


@dataclass(frozen=True)
class Planned:
    """A treatment and the rows that stand for it. kept: steps a correction left because they went or are going out."""

    treatment_id: int
    rows: Sequence[sa.RowMapping]
    created: bool = True
    kept: tuple[str, ...] = field(default=())


def client_values(given: NewClient, clinic: Clinic, actor: str, now: datetime) -> dict[str, Any]:
    """The checked row of a client. Raises BadInput naming the field."""
    name = clean_name(given.name)
    email = check_address(given.email)
    today = local_day(now, clinic.zone)
    consent_on = (given.consent_on or today) if given.consent else None
    if consent_on is not None and consent_on > today:
        raise BadInput(f"{consent_on} is in the future", field="consent_on", next_step="Give the day it was agreed.")
    return {
        "clinic_id": clinic.id,
        "name": name,
        "name_folded": fold_name(name),
        "email": email,
        "email_folded": fold_address(email),
        "phone": clean_phone(given.phone) if given.phone else "",
        "language": clean_language(given.language) if given.language else clinic.language,
        "client_ref": clean_line("client_ref", given.client_ref, 100) if given.client_ref else "",
        "guardian": clean_line("guardian", given.guardian, NAME_LIMIT) if given.guardian else "",
        "consent_on": consent_on,
        "consent_by": actor,
        "consent_words": given.consent_words if given.consent else None,
        "created_at": now,
    }


def add_client(connection: sa.Connection, clinic: Clinic, given: NewClient, actor: str, now: datetime) -> sa.RowMapping:
    """Register one client. Raises BadInput if this clinic already has the same person."""
    values = client_values(given, clinic, actor, now)
    known = clients.find(connection, clinic.id, values)
    if known is not None:
        raise BadInput(
            f"client {known['id']} is already this person",
            field="client_ref" if values["client_ref"] else "email",
            next_step=f"Add the treatment to client {known['id']}, or correct it with `aftercare client set`.",
        )
    client_id = clients.add(connection, values)
    audit.note(connection, clinic.id, Deed(actor, "client added", f"client {client_id}", {}), now)
    return clients.get(connection, clinic.id, client_id)


@dataclass(frozen=True)
class NewTreatment:
    """A treatment as somebody typed it. treated_at: 'HH:MM' or empty."""

    client_id: int
    protocol: FollowUpProtocol
    treated_on: date
    treated_at: str = ""
    remarks: Remarks = NO_REMARKS


def check_treatment(given: NewTreatment, clinic: Clinic, now: datetime) -> None:
    """Raises BadInput for a date that cannot be one of a treatment done."""
    today = local_day(now, clinic.zone)
    if given.treated_on > today:
        raise BadInput(
            f"{given.treated_on} is in the future (today is {today} in {clinic.timezone})",
            field="on",
            next_step="Register a treatment when it is done.",
        )
    if given.treated_on < EARLIEST:
        raise BadInput(f"{given.treated_on} is too long ago", field="on", next_step="Check the year.")
    if given.treated_at and read_clock_time(given.treated_at) is None:
        raise BadInput(f"{given.treated_at!r} is not a time", field="at", next_step="Write it as HH:MM.")


def add_treatment(connection: sa.Connection, clinic: Clinic, given: NewTreatment, actor: str, now: datetime) -> Planned:
    """Register a treatment and plan its e-mails. The same treatment again changes nothing and answers its plan."""
    client = clients.get(connection, clinic.id, given.client_id, lock=True)
    check_treatment(given, clinic, now)
    remarks = clean_remarks(given.remarks)
    known = clients.find_treatment(connection, given.client_id, given.protocol.key, given.treated_on)
    if known is not None:
        return Planned(known["id"], plan_rows(connection, known["id"]), created=False)
    treatment_id = clients.add_treatment(
        connection,
        {
            "clinic_id": clinic.id,
            "client_id": given.client_id,
            "protocol": given.protocol.key,
            "area": given.protocol.area,
            "treated_on": given.treated_on,
            "treated_at": given.treated_at,
            "created_at": now,
            "created_by": actor,
            "lot": remarks.lot,
            "note": remarks.note,
        },
    )
    entries = plan(given.protocol, given.treated_on, clinic.time, now)
    save_entries(connection, clinic, client, (treatment_id, given.protocol, given.treated_on), entries, now)
    deed = Deed(actor, "treatment added", f"client {given.client_id}", {"treatment": treatment_id})
    audit.note(connection, clinic.id, deed, now)
    return Planned(treatment_id, plan_rows(connection, treatment_id))


Subject = tuple[int, FollowUpProtocol, date]


def save_entries(
    connection: sa.Connection,
    clinic: Clinic,
    client: sa.RowMapping,
    subject: Subject,
    entries: Sequence[Entry],
    now: datetime,
) -> None:
    """Write the entries of one treatment: superseded by a newer one, superseding the older ones, or withheld."""
    treatment_id, protocol, treated_on = subject
    live = clients.live_treatments(connection, client["id"], protocol.area)
    entries, older = among(entries, (treated_on, treatment_id), [(row["treated_on"], row["id"]) for row in live])
    if older:
        outbox.end_open(connection, emails.c.treatment_id.in_(older), Reason.SUPERSEDED, now)
    outbox.add(connection, [entry_row(client, (treatment_id, protocol), entry, now) for entry in entries])
    step = late_step(entries, day_number(treated_on, local_day(now, clinic.zone)), client["state"])
    if step is not None:
        call_about(connection, treatment_id, step, now)
    if is_silenced(entries, client["state"]):
        open_call(connection, Call(clinic.id, client["id"], None, "bounced"), now)


def entry_row(
    client: sa.RowMapping, subject: tuple[int, FollowUpProtocol], entry: Entry, now: datetime
) -> dict[str, Any]:
    """The outbox row of one entry. What must not be written to this client is born ended or held, with its reason."""
    treatment_id, protocol = subject
    state, reason = entry.state, entry.reason
    if state is State.PLANNED:
        state, reason = WITHHELD.get(client["state"], (state, reason))
    return {
        "clinic_id": client["clinic_id"],
        "client_id": client["id"],
        "treatment_id": treatment_id,
        "kind": Kind.CATCH_UP if entry.step.startswith("catch-up") else Kind.REMINDER,
        "protocol": protocol.key,
        "step": entry.step,
        "day": entry.day,
        "language": client["language"],
        "state": state,
        "reason": reason,
        "due_at": entry.due_at,
        "useful_until": entry.useful_until,
        "not_before": entry.not_before,
        "planned_at": now,
        "ended_at": now if state in (State.MISSED, State.CANCELLED) else None,
    }


#: What a client's state makes of a new plan.
WITHHELD = {
    "stopped": (State.CANCELLED, Reason.STOPPED),
    "suppressed": (State.CANCELLED, Reason.SUPPRESSED),
    "no_consent": (State.CANCELLED, Reason.NO_CONSENT),
    "erased": (State.CANCELLED, Reason.ERASED),
    "paused": (State.HELD, Reason.PAUSED),
}


def plan_rows(connection: sa.Connection, treatment_id: int) -> list[sa.RowMapping]:
    """The rows that stand for a treatment's steps, one a step: the live one, else the last cancelled one."""
    rows = connection.execute(
        sa.select(emails)
        .where(emails.c.treatment_id == treatment_id, emails.c.replaced_at.is_(None), emails.c.kind == Kind.REMINDER)
        .order_by(emails.c.day, emails.c.id)
    ).mappings()
    standing: dict[str, sa.RowMapping] = {}
    for row in rows:
        before = standing.get(row["step"])
        if before is None or before["state"] == State.CANCELLED or row["state"] != State.CANCELLED:
            standing[row["step"]] = row
    return list(standing.values())
