"""Imports a table of clients and treatments: every good row in one transaction, every bad one reported.

A row means exactly what registering its client and then its treatment by hand would mean (actions/register.py).
A stored client is never changed: a row that contradicts it is a bad row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import islice
from typing import Any, TypeVar, cast

import sqlalchemy as sa

from service.actions.csv_rows import BadRow, CsvFile, GoodRow, RowError
from service.actions.register import CALL_IF_TREATED_WITHIN_DAYS, NewTreatment, check_treatment, entry_row
from service.actions.revise import Who
from service.domain.persons import fold_address, fold_name
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import Reason
from service.domain.schedule import day_number, local_day, plan, superseded, supersedes
from service.errors import BadInput, Unavailable
from service.store import audit, bulk, outbox
from service.store.audit import Deed
from service.store.bulk import BulkClient, BulkTreatment
from service.store.calls import open_calls
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.tables import clients, emails, treatments

CHUNK = 500
_T = TypeVar("_T")


@dataclass(frozen=True)
class ImportJob:
    """What the rows mean: whose they are, by which protocols, who imports when. dry_run: report, and write nothing."""

    clinic: Clinic
    protocols: Mapping[str, FollowUpProtocol]
    who: Who
    dry_run: bool = False


@dataclass
class Report:
    """What became of a file. accepted + rejected + unchanged = rows. registered_late: steps born missed."""

    encoding: str
    delimiter: str
    ignored_columns: tuple[str, ...]
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    unchanged: int = 0
    registered_late: int = 0
    committed: bool = False
    errors: list[RowError] = field(default_factory=list)

    def reject(self, *errors: RowError) -> None:
        """Count one row as bad, for one or several faults."""
        self.rejected += 1
        self.errors.extend(errors)

    def as_document(self) -> dict[str, Any]:
        """The report as interface JSON."""
        errors = [{"row": error.row, "column": error.column, "problem": error.problem} for error in self.errors]
        return {
            "rows": self.rows,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "unchanged": self.unchanged,
            "committed": self.committed,
            "errors": errors,
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "ignored_columns": list(self.ignored_columns),
            "registered_late": self.registered_late,
        }


def import_file(store: Store, file: CsvFile, job: ImportJob, progress: Callable[[int], None]) -> Report:
    """Read, decide, write, report. progress: told how many more good rows are done.

    Raises Unavailable, with nothing written, if the database refused a row: the same client was registered meanwhile.
    """
    report = Report(file.encoding, file.delimiter, file.ignored)
    try:
        with store.write() as connection:
            bulk.import_alone(connection, job.clinic.id)
            if not store.is_sqlite:
                _lock_in_order(connection, job.clinic.id, file)
            writing = _Import(connection, job, report)
            for chunk in _chunks(_good_rows(file, report)):
                writing.take(chunk)
                progress(len(chunk))
            _note(connection, job, report)
            if job.dry_run:
                connection.rollback()
    except sa.exc.IntegrityError as error:
        raise Unavailable(
            "The database refused a row; perhaps somebody registered the same client meanwhile. Nothing was imported",
            field="file",
            next_step="Import the file again.",
        ) from error
    report.committed = not job.dry_run
    report.errors.sort(key=lambda fault: fault.row)
    return report


def _good_rows(file: CsvFile, report: Report) -> Iterator[GoodRow]:
    for row in file:
        report.rows += 1
        if isinstance(row, BadRow):
            report.reject(*row.errors)
        else:
            yield row


def _chunks(items: Iterable[_T]) -> Iterator[list[_T]]:
    source = iter(items)
    while chunk := list(islice(source, CHUNK)):
        yield chunk


def _person(row: GoodRow) -> tuple[str, str]:
    return fold_address(row.email), fold_name(row.name)


def _wanted(rows: Sequence[GoodRow]) -> bulk.Wanted:
    return bulk.Wanted({_person(row) for row in rows}, {row.client_ref for row in rows if row.client_ref})


def _lock_in_order(connection: sa.Connection, clinic_id: int, file: CsvFile) -> None:
    """Lock every known client of the file in the one order all writers keep, or PostgreSQL deadlocks."""
    known: set[int] = set()
    for chunk in _chunks(row for row in file if isinstance(row, GoodRow)):
        known |= bulk.find_client_ids(connection, clinic_id, _wanted(chunk))
    for ids in _chunks(sorted(known)):
        outbox.lock_clients(connection, ids)


def _note(connection: sa.Connection, job: ImportJob, report: Report) -> None:
    """One audit line for the import; none if it changed nothing."""
    if report.accepted:
        counts = ("rows", "accepted", "rejected", "unchanged", "registered_late")
        deed = Deed(job.who.actor, "import", "clients and treatments", {name: getattr(report, name) for name in counts})
        audit.note(connection, job.clinic.id, deed, job.who.now)


class _People:
    """The clients of a chunk, known and new. The same person: the same client_ref, else address and name."""

    def __init__(self, known: Sequence[BulkClient]) -> None:
        self._by_ref: dict[str, BulkClient] = {}
        self._by_person: dict[tuple[str, str], BulkClient] = {}
        self._without_ref: dict[tuple[str, str], BulkClient] = {}
        for client in known:
            self.add(client)

    def add(self, client: BulkClient) -> None:
        person = (client.email_folded, client.name_folded)
        self._by_person.setdefault(person, client)
        if client.client_ref:
            self._by_ref[client.client_ref] = client
        else:
            self._without_ref[person] = client

    def find(self, ref: str | None, person: tuple[str, str]) -> BulkClient | None:
        """The client of a row, if known. A client stored without a client_ref is nobody else because a row has one."""
        if not ref:
            return self._by_person.get(person)
        return self._by_ref.get(ref) or self._without_ref.get(person)


@dataclass(frozen=True, slots=True)
class _Born:
    """The outbox rows of a new treatment but for whose they are. call: the step that a person must phone about."""

    rows: tuple[dict[str, Any], ...]
    late: int
    call: str | None


_New = tuple[BulkClient, BulkTreatment, GoodRow]


class _Import:
    """One import under way in its transaction, chunk by chunk; what it counts goes into the report."""

    def __init__(self, connection: sa.Connection, job: ImportJob, report: Report) -> None:
        self._connection, self._job, self._report = connection, job, report
        self._clinic, self._who = job.clinic, job.who
        self._today = local_day(job.who.now, job.clinic.zone)
        # Files name the same few days again and again, and nothing else of a row changes its plan.
        self._born = lru_cache(maxsize=1024)(self._plan)
        self._fault_of_day = lru_cache(maxsize=1024)(self._check_day)

    def take(self, rows: Sequence[GoodRow]) -> None:
        """Decide about each row as if those before it were stored, then store what is new."""
        people = _People(bulk.find_clients(self._connection, self._clinic.id, _wanted(rows)))
        new_clients: list[tuple[BulkClient, GoodRow]] = []
        new: list[_New] = []
        for row in rows:
            person = _person(row)
            client = people.find(row.client_ref, person)
            fault = self._fault(row, client, person)
            if fault:
                self._report.reject(fault)
                continue
            if client is None:
                client = BulkClient(0, *person, row.client_ref or "", row.language or self._clinic.language, "active")
                people.add(client)
                new_clients.append((client, row))
            elif any(row.protocol == old.protocol and row.treated_on == old.treated_on for old in client.treatments):
                self._report.unchanged += 1
                continue
            treatment = BulkTreatment(0, row.protocol, self._job.protocols[row.protocol].area, row.treated_on)
            client.treatments.append(treatment)
            new.append((client, treatment, row))
        self._report.accepted += len(new)
        for (client, _), client_id in zip(
            new_clients, bulk.take_ids(self._connection, clients, len(new_clients)), strict=True
        ):
            client.id = client_id
        for (_, treatment, _), treatment_id in zip(
            new, bulk.take_ids(self._connection, treatments, len(new)), strict=True
        ):
            treatment.id = treatment_id
        self._save_clients(new_clients)
        self._save_treatments(new)
        self._save_plans(new)

    def _fault(self, row: GoodRow, client: BulkClient | None, person: tuple[str, str]) -> RowError | None:
        day = self._fault_of_day(row.protocol, row.treated_on)
        if day:
            return RowError(row.row, "treatment_date", day)
        if client is None or person == (client.email_folded, client.name_folded):
            return None
        differs = [
            word
            for word, a, b in zip(("e-mail address", "name"), person, (client.email_folded, client.name_folded))
            if a != b
        ]
        problem = f"client_ref {row.client_ref!r} is already a client with another {' and another '.join(differs)}"
        return RowError(row.row, "client_ref", f"{problem}. Correct the row, or the client first.")

    def _check_day(self, protocol: str, treated_on: date) -> str | None:
        try:
            check_treatment(NewTreatment(0, self._job.protocols[protocol], treated_on), self._clinic, self._who.now)
        except BadInput as error:
            return f"{error.message}. {error.next_step}"
        return None

    def _save_clients(self, new: Sequence[tuple[BulkClient, GoodRow]]) -> None:
        rows = [
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
            }
            for client, row in new
        ]
        refused = bulk.suppressed_among(self._connection, self._clinic.id, {row["email_folded"] for row in rows})
        for client, _ in new:
            client.state = "suppressed" if client.email_folded in refused else "active"
        bulk.insert(self._connection, clients, rows)

    def _save_treatments(self, new: Sequence[_New]) -> None:
        rows = [
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
            for client, treatment, row in new
        ]
        bulk.insert(self._connection, treatments, rows)

    def _save_plans(self, new: Sequence[_New]) -> None:
        """Ids grow with the rows of the file: what has a smaller id was there when a row's turn came."""
        rows: list[dict[str, Any]] = []
        older: dict[int, int] = {}
        calls: dict[int, str] = {}
        for client, treatment, _ in new:
            mine = (treatment.treated_on, treatment.id)
            before = [
                (old.treated_on, old.id)
                for old in client.treatments
                if old.area == treatment.area and old.id < treatment.id
            ]
            older |= {one[1]: client.id for one in before if supersedes(mine, one)}
            outdated = any(supersedes(one, mine) for one in before)
            born = self._born(treatment.protocol, treatment.treated_on, outdated, client.state, client.language)
            rows += [{**row, "client_id": client.id, "treatment_id": treatment.id} for row in born.rows]
            self._report.registered_late += born.late
            if born.call:
                calls[treatment.id] = born.call
        bulk.insert(self._connection, emails, rows)
        for ids in _chunks(list(older)):
            # The client ids are for the index.
            theirs = emails.c.client_id.in_({older[one] for one in ids}) & emails.c.treatment_id.in_(ids)
            outbox.end_open(self._connection, theirs, Reason.SUPERSEDED, self._who.now)
        missed = bulk.missed_emails(self._connection, calls)
        late = str(Reason.REGISTERED_LATE)
        open_calls(self._connection, [{**row, "reason": late} for row in missed], self._who.now)

    def _plan(self, key: str, treated_on: date, outdated: bool, state: str, language: str) -> _Born:
        protocol, now = self._job.protocols[key], self._who.now
        entries = plan(protocol, treated_on, self._clinic.time, now)
        late = [entry.step for entry in entries if entry.reason is Reason.REGISTERED_LATE]
        fresh = day_number(treated_on, self._today) <= CALL_IF_TREATED_WITHIN_DAYS
        client = {"clinic_id": self._clinic.id, "id": 0, "state": state, "language": language}
        rows = [
            entry_row(cast("sa.RowMapping", client), (0, protocol), entry, now)
            for entry in (superseded(entries) if outdated else entries)
        ]
        return _Born(tuple(rows), len(late), late[-1] if late and fresh and state == "active" else None)
