"""One e-mail as it would look, through the same writer that the delivery uses. Sends and stores nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa

from service.actions.shelf import Shelf
from service.actions.treated import newest_treatment
from service.actions.writing import Around, Words, Writer, Written, text_name
from service.domain.contact import Withheld
from service.domain.own_steps import for_clinic, other_days
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import State
from service.domain.schedule import instant, local_day, plan
from service.errors import BadInput, NotAllowed, NotFound
from service.mail.catalogue import Catalogue
from service.mail.signing import Signer
from service.mail.texts import CompiledText
from service.store.clinics import Clinic
from service.store.neighbours import Neighbour, neighbours
from service.store.outbox import ClaimedEmail
from service.store.tables import Kind, emails
from service.store.texts import TextVersion

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
    daily_cap=None,
    check_in=True,
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
#: Signs nothing that anybody would ever check.
_SAMPLE_KEY = b"only for previews: 32 fixed bytes"


@dataclass(frozen=True)
class Desk:
    """Whose words and data: a clinic, what is on its shelf, and the writer of its e-mails."""

    clinic: Clinic
    shelf: Shelf
    writer: Writer


@dataclass(frozen=True)
class Wanted:
    """Which e-mail of which client. step: a step's key, `catch-up` or `catch-up-NN`. language None: the client's.

    to: whom it is addressed to instead of the client, who tests it.
    """

    protocol: FollowUpProtocol
    step: str
    client_id: int
    language: str | None = None
    to: str = ""


def of_sample(catalogue: Catalogue, protocol: FollowUpProtocol, step: str, language: str) -> Written:
    """The shipped draft with a made-up client and clinic. Raises NotFound where there is none in that language."""
    row = _made_up(protocol, step, SAMPLE_CLINIC, SAMPLE_TREATED_ON)._replace(language=language)
    name = text_name(row, protocol) or ""
    if (protocol.key, name, language) not in catalogue.sources:
        known = ", ".join(sorted({tag for key, _, tag in catalogue.sources if key == protocol.key}))
        fix = f"Languages: {known}. Add its file for another."
        raise NotFound(f"there is no {protocol.key}/{name} in that language", field="language", next_step=fix)
    compiled = catalogue.compile(protocol.key, name, language)
    around = _around(row, _planned(protocol, row, SAMPLE_CLINIC), SAMPLE_CLINIC, protocol)
    return _written(
        Writer(Signer([_SAMPLE_KEY])),
        row,
        SAMPLE_CLINIC,
        protocol,
        (Words(_unsaved(protocol, compiled), compiled), around),
    )


def of_client(connection: sa.Connection, desk: Desk, wanted: Wanted, now: datetime) -> Written:
    """The version that would go out now, with this client's and clinic's data, dated when it is due.

    Raises NotFound, BadInput or NotAllowed saying what is missing.
    """
    clinic, protocol = desk.clinic, wanted.protocol
    row = _client_row(connection, clinic, wanted)
    name = text_name(row, protocol) or ""
    desk.shelf.refresh(connection, [clinic.id], now.date(), {(protocol.key, name)})
    version = desk.shelf.choose(clinic, protocol.key, name, row.language)
    if version is None:
        raise NotFound(
            f"no version of {protocol.key}/{name} may be sent",
            field="text",
            next_step="Approve one with `aftercare texts approve`.",
        )
    return _of_row(connection, desk, row, (protocol, Words(version, desk.shelf.compiled(version))))


def of_words(connection: sa.Connection, desk: Desk, wanted: Wanted, compiled: CompiledText) -> Written:
    """Words that may not be saved yet, with this clinic's data. wanted.client_id 0: for a made-up client.

    Raises NotFound, BadInput or NotAllowed saying what is missing.
    """
    clinic, protocol = desk.clinic, wanted.protocol
    if wanted.client_id:
        row = _client_row(connection, clinic, wanted)
    else:
        row = _made_up(protocol, wanted.step, clinic, SAMPLE_TREATED_ON)
    row = row._replace(language=compiled.language)
    if wanted.to:  # with nobody's links: the stop button of a test must not stop a client's e-mails
        row = row._replace(address=wanted.to, client_id=0)
    return _of_row(connection, desk, row, (protocol, Words(_unsaved(protocol, compiled), compiled)))


def _of_row(connection: sa.Connection, desk: Desk, row: ClaimedEmail, said: tuple[FollowUpProtocol, Words]) -> Written:
    protocol, words = said
    steps = neighbours(connection, [row.treatment_id or 0]).get(row.treatment_id or 0, [])
    around = _around(row, steps or _planned(protocol, row, desk.clinic), desk.clinic, protocol)
    return _written(desk.writer, row, desk.clinic, protocol, (words, around))


def _unsaved(protocol: FollowUpProtocol, compiled: CompiledText) -> TextVersion:
    """A version that stands in no table."""
    made = SAMPLE_CLINIC.created_at
    named = (protocol.key, compiled.name, compiled.language)
    return TextVersion(0, 0, *named, 0, compiled.sha256, made, "", None, None, None, None)


def _client_row(connection: sa.Connection, clinic: Clinic, wanted: Wanted) -> ClaimedEmail:
    """The row of this client's newest treatment of that protocol; made up where the outbox has none (a catch-up)."""
    client, newest = newest_treatment(connection, clinic, wanted.protocol, wanted.client_id)
    row = _made_up(wanted.protocol, wanted.step, clinic, newest["treated_on"])
    row = row._replace(client_id=client["id"], client_name=client["name"], address=client["email"])
    row = row._replace(treatment_id=newest["id"], language=client["language"])
    standing = _standing(connection, newest["id"], wanted.step)
    if standing is not None:
        same = ("id", "day", "kind", "language", "due_at", "useful_until", "planned_at", "message_id")
        row = row._replace(**{name: standing[name] for name in same})
        row = row._replace(claimed_at=max(standing["due_at"], standing["not_before"]))
    return row._replace(language=wanted.language or row.language)


def _standing(connection: sa.Connection, treatment_id: int, step: str) -> sa.RowMapping | None:
    """The row that stands for a step: one that is not cancelled if there is one, else the last."""
    query = (
        sa.select(emails)
        .where(emails.c.treatment_id == treatment_id, emails.c.step == step, emails.c.replaced_at.is_(None))
        .order_by(sa.case((emails.c.state == State.CANCELLED, 1), else_=0), emails.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).mappings().one_or_none()


def _made_up(protocol: FollowUpProtocol, step_key: str, clinic: Clinic, treated_on: date) -> ClaimedEmail:
    """A row of one step as if claimed at its due time; catch-ups take the day from `catch-up-NN`."""
    day, send_at, kind = _day_of(for_clinic(protocol, clinic.own_steps), step_key)
    due_at = instant(treated_on + timedelta(days=day), send_at or clinic.time.send_at, clinic.zone)
    none: dict[str, Any] = dict.fromkeys(
        ("doubt_since", "message_id", "text_id", "facts", "shared_id", "shared_facts", "dated", "digest")
    )
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
        planned_at=instant(treated_on, clinic.time.send_at, clinic.zone),
        attempts=0,
        doubt_retries=0,
        claimed_at=due_at,
        client_name="Sam Reed",
        address="sam@example.com",
        treated_on=treated_on,
        token="",
        **none,
    )


def _day_of(protocol: FollowUpProtocol, step_key: str) -> tuple[int, time | None, str]:
    step = protocol.step(step_key)
    if step is not None:
        return step.day, step.send_at, Kind.REMINDER
    word, _, day = step_key.rpartition("-")
    rule = protocol.catch_up
    if rule and step_key == "catch-up":
        return rule.from_day, None, Kind.CATCH_UP
    if rule and word == "catch-up" and day.isdecimal() and rule.from_day <= int(day[:4]) <= rule.through_day:
        return int(day), None, Kind.CATCH_UP
    keys = [step.key for step in protocol.steps] + (["catch-up"] if protocol.catch_up else [])
    known = ", ".join([*keys, *(one.text for one in protocol.today)])
    raise BadInput(f"{protocol.key} has no step {step_key[:40]!r}", field="step", next_step=f"Steps: {known}.")


def _planned(protocol: FollowUpProtocol, row: ClaimedEmail, clinic: Clinic) -> list[Neighbour]:
    """The steps around a row that is made up, as they would have been planned."""
    entries = plan(protocol, row.treated_on, clinic.time, row.planned_at) if row.treated_on else []
    return [Neighbour(one.step, one.day, one.state, one.due_at) for one in entries]


def _around(row: ClaimedEmail, steps: Sequence[Neighbour], clinic: Clinic, protocol: FollowUpProtocol) -> Around:
    """What will stand around it when it goes out; a note that makes up follows a miss."""
    known = sorted((step.due_at, step.state) for step in steps)
    later = [due for due, state in known if due > row.due_at and state != State.MISSED]
    earlier = [due for due, _ in known if due <= row.due_at]
    missed = [due for due, state in known if due <= row.due_at and state == State.MISSED] or earlier
    return Around(
        next_on=local_day(later[0], clinic.zone) if later else None,
        missed_on=local_day(missed[-1], clinic.zone) if missed and row.kind == Kind.CATCH_UP else None,
        days=other_days(protocol, [(step.step, step.day) for step in steps]),
    )


def _written(
    writer: Writer, row: ClaimedEmail, clinic: Clinic, protocol: FollowUpProtocol, said: tuple[Words, Around]
) -> Written:
    """The finished message. Raises NotAllowed when this clinic's data is not enough to write it."""
    words, around = said
    if clinic.from_address or clinic.reply_to:
        written = writer.write(row, clinic, protocol, words, (row.claimed_at, around))
        if not isinstance(written, Withheld):
            return written
    lacking = f": it lacks {', '.join(clinic.missing)}" if clinic.missing else ""
    raise NotAllowed(
        f"this e-mail cannot be written with the clinic's data{lacking}",
        field="clinic",
        next_step="Set what is missing with `aftercare clinic set KEY=VALUE`.",
    )
