"""What registering a treatment would do, without doing it: the plan, what it replaces, who has the address already.

Asks the same functions as actions/register.py, which writes what is said here. Writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

import sqlalchemy as sa

from service.actions.born_lost import late_step
from service.actions.register import WITHHELD, NewTreatment, check_treatment
from service.domain.persons import fold_address, fold_name
from service.domain.protocol import FollowUpProtocol
from service.domain.remarks import NO_REMARKS, Remarks
from service.domain.reminder import OPEN, Reason, State
from service.domain.schedule import Entry, among, day_number, local_day, plan
from service.errors import NotAllowed
from service.store import clients
from service.store.clinics import Clinic
from service.store.tables import clients as people
from service.store.tables import emails, treatments

#: A treatment that is not registered yet is the newest of its day.
_NEWEST = 2**63 - 1


@dataclass(frozen=True)
class Given:
    """What is known so far. Whom: a client by id, or a checked name and address, either of them perhaps still empty.

    agreed: the version of the words (domain/consent.py) that they have agreed to just now, None if nobody asked.
    remarks: not part of what is foreseen.
    """

    protocol: FollowUpProtocol
    treated_on: date
    client_id: int = 0
    name: str = ""
    email: str = ""
    agreed: int | None = None
    remarks: Remarks = NO_REMARKS


@dataclass(frozen=True)
class Replaced:
    """An open e-mail of an older treatment that will not go out any more."""

    day: int
    treated_on: date
    due_at: datetime


@dataclass(frozen=True)
class Foreseen:
    """What saving would do.

    steps: with state and reason as they would be stored. client: who is registered already, None for a new one. others:
    names of those who share the address. known: the treatment's id if it is registered already. call: a step comes too
    late and somebody is to phone. withheld: why nothing goes to this client, None if it may.
    """

    steps: tuple[Entry, ...]
    replaces: tuple[Replaced, ...]
    client: sa.RowMapping | None
    others: tuple[str, ...]
    known: int | None
    call: bool
    withheld: Reason | None
    digest: str


def foresee(connection: sa.Connection, clinic: Clinic, given: Given, now: datetime) -> Foreseen:
    """What would be written for `given` at `now`.

    Raises BadInput for a date that cannot be, NotFound, or NotAllowed for a client who is erased.
    """
    check_treatment(NewTreatment(given.client_id, given.protocol, given.treated_on), clinic, now)
    client = _client(connection, clinic, given)
    entries: Sequence[Entry] = plan(given.protocol, given.treated_on, clinic.time, now)
    older: list[int] = []
    known = None
    if client is not None:
        same = clients.find_treatment(connection, client["id"], given.protocol.key, given.treated_on)
        known = same["id"] if same is not None else None
        live = clients.live_treatments(connection, client["id"], given.protocol.area)
        others_on = [(row["treated_on"], row["id"]) for row in live]
        entries, older = among(entries, (given.treated_on, known or _NEWEST), others_on)
    state = _state(connection, clinic, client, given)
    steps = tuple(_withheld(entry, state) for entry in entries)
    days = day_number(given.treated_on, local_day(now, clinic.zone))
    replaces = _replaced(connection, older)
    names = _others(connection, clinic, given, client)
    call = late_step(entries, days, state) is not None
    reason = WITHHELD[state][1] if state in WITHHELD else None
    return Foreseen(steps, replaces, client, names, known, call, reason, _digest(given, client, steps, replaces))


def _client(connection: sa.Connection, clinic: Clinic, given: Given) -> sa.RowMapping | None:
    if given.client_id:
        client = clients.get(connection, clinic.id, given.client_id)
        if client["erased_at"] is not None:
            raise NotAllowed("This client is erased", field="client", next_step="Register the person anew.")
        return client
    if not (given.name and given.email):
        return None
    person = {"email_folded": fold_address(given.email), "name_folded": fold_name(given.name)}
    return clients.find(connection, clinic.id, person)


def _state(connection: sa.Connection, clinic: Clinic, client: sa.RowMapping | None, given: Given) -> str:
    """The client's state once it is saved."""
    if client is None:
        dead = given.email and clients.suppressed(connection, clinic.id, fold_address(given.email))
        return "suppressed" if dead else "active"
    state = str(client["state"])
    if state == "no_consent" and given.agreed is not None:
        return "paused" if client["paused_at"] else "active"
    return state


def _withheld(entry: Entry, client_state: str) -> Entry:
    """As actions/register.entry_row stores it."""
    if entry.state is not State.PLANNED or client_state not in WITHHELD:
        return entry
    state, reason = WITHHELD[client_state]
    return Entry(entry.step, entry.day, entry.due_at, entry.useful_until, entry.not_before, state, reason)


def _replaced(connection: sa.Connection, older: Sequence[int]) -> tuple[Replaced, ...]:
    if not older:
        return ()
    rows = connection.execute(
        sa.select(emails.c.day, treatments.c.treated_on, emails.c.due_at)
        .join(treatments, treatments.c.id == emails.c.treatment_id)
        .where(emails.c.treatment_id.in_(older), emails.c.state.in_(OPEN), emails.c.state != State.SENDING)
        .order_by(emails.c.due_at, emails.c.id)
    )
    return tuple(Replaced(*row) for row in rows)


def _others(connection: sa.Connection, clinic: Clinic, given: Given, client: sa.RowMapping | None) -> tuple[str, ...]:
    if not given.email:
        return ()
    mine = (people.c.clinic_id == clinic.id) & (people.c.email_folded == fold_address(given.email))
    query = sa.select(people.c.name).where(mine, people.c.erased_at.is_(None)).order_by(people.c.id).limit(10)
    if client is not None:
        query = query.where(people.c.id != client["id"])
    return tuple(connection.execute(query).scalars())


def _digest(given: Given, client: sa.RowMapping | None, steps: Sequence[Entry], replaces: Sequence[Replaced]) -> str:
    """What somebody has seen before they save: another digest means that they have seen something else."""
    whom = client["id"] if client is not None else (fold_name(given.name), fold_address(given.email))
    said = [(one.step, one.due_at, one.state, one.reason) for one in steps]
    seen = repr((whom, given.protocol.key, given.treated_on, said, replaces))
    return hashlib.sha256(seen.encode("utf-8", "replace")).hexdigest()[:32]
