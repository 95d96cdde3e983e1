"""One e-mail as it would look, through the same writer that the delivery uses. Sends and stores nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa

from service.actions.writing import Around, Words, Writer, Written
from service.domain.contact import Withheld
from service.domain.protocol import FollowUpProtocol
from service.domain.schedule import instant, plan
from service.errors import BadInput, NotAllowed
from service.store import clients
from service.store.clinics import Clinic
from service.store.outbox import ClaimedEmail
from service.store.tables import Kind

SAMPLE_TREATED_ON = date(2026, 11, 20)
SAMPLE_CLINIC = Clinic(
    id=0,
    name="Northgate Clinic",
    sender_name="Northgate",
    from_address="",
    reply_to="desk@northgate-clinic.org",
    timezone="Europe/London",
    send_at="10:00",
    language="en",
    # 01632 numbers are reserved for examples.
    phone="01632 960 001",
    hours="mon-fri 09:00-18:00; sat 10:00-14:00",
    emergency_number="999",
    urgent_line_name="NHS 111",
    urgent_line_number="111",
    wash_advice="",
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)


def sample_row(protocol: FollowUpProtocol, step_key: str, clinic: Clinic, treated_on: date) -> ClaimedEmail:
    """A made-up row of one step, as if claimed at its due time; catch-ups take the day from `catch-up-NN`."""
    day, kind = _day_of(protocol, step_key)
    due_at = instant(treated_on + timedelta(days=day), clinic.time.send_at, clinic.zone)
    return ClaimedEmail(
        id=0,
        clinic_id=clinic.id,
        client_id=0,
        treatment_id=0,
        kind=kind,
        protocol=protocol.key,
        step=step_key,
        day=day,
        language=clinic.language,
        due_at=due_at,
        useful_until=due_at + timedelta(days=1),
        planned_at=due_at,
        attempts=0,
        doubt_retries=0,
        doubt_since=None,
        message_id=None,
        text_id=None,
        facts=None,
        dated=None,
        digest=None,
        claimed_at=due_at,
        client_name="Sam Reed",
        address="sam@example.com",
        treated_on=treated_on,
        token="",
    )


def _day_of(protocol: FollowUpProtocol, step_key: str) -> tuple[int, str]:
    step = protocol.step(step_key)
    if step is not None:
        return step.day, Kind.REMINDER
    word, _, day = step_key.rpartition("-")
    if protocol.catch_up and step_key == "catch-up":
        return protocol.catch_up.from_day, Kind.CATCH_UP
    rule = protocol.catch_up
    if rule and word == "catch-up" and day.isdigit() and rule.from_day <= int(day) <= rule.through_day:
        return int(day), Kind.CATCH_UP
    known = ", ".join([step.key for step in protocol.steps] + (["catch-up"] if protocol.catch_up else []))
    raise BadInput(f"{protocol.key} has no step {step_key!r}", field="step", next_step=f"Steps: {known}.")


def client_row(
    connection: sa.Connection, clinic: Clinic, protocol: FollowUpProtocol, step_key: str, client_id: int
) -> ClaimedEmail:
    """The row as it would be for this client's newest treatment of that protocol."""
    client = clients.get(connection, clinic.id, client_id)
    treated = [
        row["treated_on"]
        for row in clients.list_treatments(connection, clinic.id, client_id)
        if row["protocol"] == protocol.key and row["cancelled_at"] is None
    ]
    if not treated:
        raise BadInput(
            f"client {client_id} has no such treatment", field="client", next_step="Leave --client out for a sample."
        )
    row = sample_row(protocol, step_key, clinic, treated[-1])
    return replace(
        row,
        client_id=client_id,
        client_name=client["name"],
        address=client["email"],
        language=client["language"],
    )


def write(writer: Writer, row: ClaimedEmail, clinic: Clinic, protocol: FollowUpProtocol, words: Words) -> Written:
    """The finished message. Raises NotAllowed when this clinic's data is not enough to write it."""
    entries = plan(protocol, row.treated_on or SAMPLE_TREATED_ON, clinic.time, row.planned_at)
    later = [entry.due_at for entry in entries if entry.due_at > row.due_at]
    missed = [entry.due_at for entry in entries if entry.due_at < row.due_at]
    around = Around(
        next_on=later[0].astimezone(clinic.zone).date() if later else None,
        missed_on=missed[-1].astimezone(clinic.zone).date() if missed and row.kind == Kind.CATCH_UP else None,
    )
    written = writer.write(row, clinic, protocol, words, (row.due_at, around))
    if isinstance(written, Withheld):
        raise NotAllowed(
            "this e-mail cannot be written with the clinic's data",
            field="clinic",
            next_step="See what is missing with `aftercare clinic show`.",
        )
    return written
