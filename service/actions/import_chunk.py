"""Writes a few hundred imported rows at a time: who is known, what is new, what it plans and what it supersedes.

A stored client is never changed: a row that contradicts the owner of its client_ref is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any, cast

import sqlalchemy as sa

from service.actions.born_lost import CALL_IF_TREATED_WITHIN_DAYS, is_silenced
from service.actions.csv_rows import GoodRow, RowError
from service.actions.import_people import People, Person, chunks, person_of, wanted
from service.actions.register import NewTreatment, check_treatment, entry_row
from service.actions.revise import Who
from service.domain.finding import found_by
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import Reason, State
from service.domain.schedule import day_number, local_day, plan, superseded, supersedes
from service.errors import BadInput
from service.store import bulk, client_words, outbox
from service.store.bulk import BulkClient, BulkTreatment
from service.store.calls import Call, open_call, open_calls
from service.store.clinics import Clinic
from service.store.tables import clients, emails, treatments


@dataclass(frozen=True)
class ImportJob:
    """What imported rows mean: which clinic's they are, by which protocols (key -> protocol), who imports when."""

    clinic: Clinic
    protocols: Mapping[str, FollowUpProtocol]
    who: Who


@dataclass(frozen=True)
class Written:
    """What became of the good rows of a chunk. registered_late: steps born missed; at_once: steps that go out now.

    faults: one for each row that was refused.
    """

    accepted: int
    unchanged: int
    registered_late: int
    at_once: int
    faults: tuple[RowError, ...]


@dataclass(frozen=True, slots=True)
class _Born:
    """The outbox rows of a new treatment but for whose they are. call: the step a person must phone about.

    silenced: nothing can be written to this client's address.
    """

    rows: tuple[dict[str, Any], ...]
    late: int
    at_once: int
    call: str | None
    silenced: bool


@dataclass
class _Fresh:
    """What a chunk adds, in the order of its rows."""

    clients: list[tuple[BulkClient, GoodRow]]
    treatments: list[tuple[BulkClient, BulkTreatment, GoodRow]]


class ChunkWriter:
    """Takes the good rows of one import, chunk by chunk, inside the import's transaction."""

    def __init__(self, connection: sa.Connection, job: ImportJob) -> None:
        self._connection = connection
        self._clinic, self._protocols, self._who = job.clinic, job.protocols, job.who
        self._today = local_day(job.who.now, job.clinic.zone)
        # A file names the same few days again and again, and nothing else of a row changes its plan.
        self._born = lru_cache(maxsize=1024)(self._plan)
        self._fault_of_day = lru_cache(maxsize=1024)(self._check_day)

    def take(self, rows: Sequence[GoodRow]) -> Written:
        """Decide about each row as if those before it were stored, then store what is new."""
        persons = [person_of(row) for row in rows]
        people = People(bulk.find_clients(self._connection, self._clinic.id, wanted(rows, persons)))
        faults: list[RowError] = []
        fresh = _Fresh([], [])
        for row, person in zip(rows, persons, strict=True):
            client = people.find(row.client_ref, person)
            fault = self._fault(row, client, person)
            if fault:
                faults.append(fault)
                continue
            if client is None:
                client = BulkClient(0, *person, row.client_ref or "", row.language or self._clinic.language, "active")
                people.add(client)
                fresh.clients.append((client, row))
            elif any(row.protocol == one.protocol and row.treated_on == one.treated_on for one in client.treatments):
                continue
            treatment = BulkTreatment(0, row.protocol, self._protocols[row.protocol].area, row.treated_on)
            client.treatments.append(treatment)
            fresh.treatments.append((client, treatment, row))
        self._save_clients(fresh)
        self._save_treatments(fresh)
        accepted, counted = len(fresh.treatments), self._save_plans(fresh)
        return Written(accepted, len(rows) - accepted - len(faults), *counted, tuple(faults))

    def _fault(self, row: GoodRow, client: BulkClient | None, person: Person) -> RowError | None:
        day = self._fault_of_day(row.protocol, row.treated_on)
        if day:
            return RowError(row.row, "treatment_date", day)
        if client is None or (client.email_folded, client.name_folded) == person:
            return None
        other = "e-mail address" if client.email_folded != person[0] else "name"
        problem = f"client_ref {row.client_ref!r} is already a client with another {other}"
        return RowError(row.row, "client_ref", f"{problem}. Correct the row, or the client.")

    def _check_day(self, protocol: str, treated_on: date) -> str | None:
        try:
            check_treatment(NewTreatment(0, self._protocols[protocol], treated_on), self._clinic, self._who.now)
        except BadInput as error:
            return f"{error.message}. {error.next_step}"
        return None

    def _save_clients(self, fresh: _Fresh) -> None:
        if not fresh.clients:
            return
        ids = bulk.take_ids(self._connection, clients, len(fresh.clients))
        addresses = {client.email_folded for client, _ in fresh.clients}
        suppressed = bulk.suppressed_among(self._connection, self._clinic.id, addresses)
        rows, words = [], []
        for (client, row), new_id in zip(fresh.clients, ids, strict=True):
            client.id = new_id
            mine = found_by(row.name, row.phone or "")
            words += [(self._clinic.id, word, new_id) for word in mine]
            client.state = "suppressed" if client.email_folded in suppressed else "active"
            rows.append(
                {
                    "id": client.id,
                    "clinic_id": self._clinic.id,
                    "name": row.name,
                    "name_folded": client.name_folded,
                    "email": row.email,
                    "email_folded": client.email_folded,
                    "phone": row.phone or "",
                    "language": client.language,
                    "client_ref": client.client_ref,
                    "consent_on": row.consent_on or self._today,
                    "consent_by": self._who.actor,
                    "created_at": self._who.now,
                    "found_by": client_words.line(mine),
                }
            )
        bulk.insert(self._connection, clients, rows)
        client_words.add(self._connection, words)

    def _save_treatments(self, fresh: _Fresh) -> None:
        if not fresh.treatments:
            return
        ids = bulk.take_ids(self._connection, treatments, len(fresh.treatments))
        rows = []
        for (client, treatment, row), new_id in zip(fresh.treatments, ids, strict=True):
            treatment.id = new_id
            rows.append(
                {
                    "id": treatment.id,
                    "clinic_id": self._clinic.id,
                    "client_id": client.id,
                    "protocol": treatment.protocol,
                    "area": treatment.area,
                    "treated_on": treatment.treated_on,
                    "treated_at": f"{row.treated_at:%H:%M}" if row.treated_at else "",
                    "created_at": self._who.now,
                    "created_by": self._who.actor,
                }
            )
        bulk.insert(self._connection, treatments, rows)

    def _save_plans(self, fresh: _Fresh) -> tuple[int, int]:
        """Insert the plans, end those they supersede, open the calls. Returns how many are missed, and go now."""
        rows: list[dict[str, Any]] = []
        older: dict[int, int] = {}
        calls: dict[int, str] = {}
        silenced: list[int] = []
        late = at_once = 0
        for client, treatment, _ in fresh.treatments:
            mine = (treatment.treated_on, treatment.id)
            # Ids grow with the rows: a treatment with a greater id was not there yet when this row had its turn.
            before = [
                (one.treated_on, one.id)
                for one in client.treatments
                if one.area == treatment.area and one.id < treatment.id
            ]
            outdated = any(supersedes(one, mine) for one in before)
            older |= {one[1]: client.id for one in before if supersedes(mine, one)}
            born = self._born(treatment.protocol, treatment.treated_on, outdated, client.state, client.language)
            rows += [{**row, "client_id": client.id, "treatment_id": treatment.id} for row in born.rows]
            late += born.late
            at_once += born.at_once
            if born.call:
                calls[treatment.id] = born.call
            if born.silenced:
                silenced.append(client.id)
        bulk.insert(self._connection, emails, rows)
        self._supersede(older)
        missed = bulk.missed_emails(self._connection, calls)
        reason = str(Reason.REGISTERED_LATE)
        open_calls(self._connection, [{**row, "reason": reason} for row in missed], self._who.now)
        for client_id in silenced:
            open_call(self._connection, Call(self._clinic.id, client_id, None, "bounced"), self._who.now)
        return late, at_once

    def _supersede(self, older: Mapping[int, int]) -> None:
        """End what is open of these treatments (id -> client id)."""
        for ids in chunks(older):
            # The client ids add nothing but their index.
            theirs = emails.c.client_id.in_({older[one] for one in ids}) & emails.c.treatment_id.in_(ids)
            outbox.end_open(self._connection, theirs, Reason.SUPERSEDED, self._who.now)

    def _plan(self, key: str, treated_on: date, outdated: bool, state: str, language: str) -> _Born:
        """The same decisions as save_entries of actions/register.py, for any client in this state."""
        protocol, now = self._protocols[key], self._who.now
        entries = plan(protocol, treated_on, self._clinic.time, now)
        if outdated:
            entries = superseded(entries)
        late = [entry.step for entry in entries if entry.reason is Reason.REGISTERED_LATE]
        fresh = day_number(treated_on, self._today) <= CALL_IF_TREATED_WITHIN_DAYS
        client = cast("sa.RowMapping", {"clinic_id": self._clinic.id, "id": 0, "state": state, "language": language})
        rows = [entry_row(client, (0, protocol), entry, now) for entry in entries]
        call = late[-1] if late and fresh and state == "active" else None
        at_once = sum(row["state"] == State.PLANNED and row["not_before"] <= now for row in rows)
        return _Born(tuple(rows), len(late), at_once, call, is_silenced(entries, state))
