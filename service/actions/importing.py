"""Imports a table of clients and treatments: every good row in one transaction, every bad one reported.

A row means exactly what registering its client and then its treatment by hand would mean (actions/register.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from service.actions.csv_rows import BadRow, CsvFile, GoodRow, RowError
from service.actions.import_chunk import ChunkWriter, ImportJob
from service.actions.import_people import chunks, wanted
from service.errors import Unavailable
from service.store import audit, bulk
from service.store.audit import Deed
from service.store.connecting import take_time
from service.store.engine import Store
from service.store.locking import lock_clients

__all__ = ["ImportJob", "Report", "import_file"]


@dataclass
class Report:
    """What became of a file. accepted + rejected + unchanged = rows. registered_late: steps born missed.

    at_once: e-mails that go out with the next round: late, and still right.
    """

    encoding: str
    delimiter: str
    ignored_columns: tuple[str, ...]
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    unchanged: int = 0
    registered_late: int = 0
    at_once: int = 0
    committed: bool = False
    errors: list[RowError] = field(default_factory=list)

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
            "at_once": self.at_once,
        }


def import_file(
    store: Store, file: CsvFile, job: ImportJob, *, dry_run: bool = False, progress: Callable[[int], None] | None = None
) -> Report:
    """Read, decide, write, report. dry_run: the same, and then nothing of it is kept. progress: told the rows read.

    Raises Unavailable, with nothing written, if the database refused a row that was right when it was looked at.
    """
    report = Report(file.encoding, file.delimiter, file.ignored)
    try:
        with store.write() as connection:
            bulk.import_alone(connection, job.clinic.id)
            if not store.is_sqlite:
                _lock_in_order(connection, job.clinic.id, file)
            writer = ChunkWriter(connection, job)
            for rows in chunks(_good_rows(file, report)):
                _count(report, writer, rows)
                if progress is not None:
                    progress(report.rows)
            _note(connection, job, report)
            if dry_run:
                connection.rollback()
    except sa.exc.IntegrityError as error:
        raise Unavailable(
            "The database refused a row, perhaps because somebody registered the same client meanwhile; "
            "nothing was imported",
            field="file",
            next_step="Import the file again.",
        ) from error
    report.committed = not dry_run
    report.errors.sort(key=lambda fault: fault.row)
    return report


def _good_rows(file: CsvFile, report: Report) -> Iterator[GoodRow]:
    for row in file:
        report.rows += 1
        if isinstance(row, BadRow):
            report.rejected += 1
            report.errors.extend(row.errors)
        else:
            yield row


def _count(report: Report, writer: ChunkWriter, rows: list[GoodRow]) -> None:
    written = writer.take(rows)
    report.accepted += written.accepted
    report.unchanged += written.unchanged
    report.registered_late += written.registered_late
    report.at_once += written.at_once
    report.rejected += len(written.faults)
    report.errors.extend(written.faults)


def _lock_in_order(connection: sa.Connection, clinic_id: int, file: CsvFile) -> None:
    """Lock every known client of the file in the one order all writers keep, or PostgreSQL deadlocks."""
    take_time(connection)
    known: set[int] = set()
    for rows in chunks(row for row in file if isinstance(row, GoodRow)):
        known |= bulk.find_client_ids(connection, clinic_id, wanted(rows))
    for ids in chunks(sorted(known)):
        lock_clients(connection, ids)


def _note(connection: sa.Connection, job: ImportJob, report: Report) -> None:
    """One audit line for the whole import; none if it changed nothing."""
    if report.accepted:
        counts = ("rows", "accepted", "rejected", "unchanged", "registered_late")
        detail = {name: getattr(report, name) for name in counts}
        deed = Deed(job.who.actor, "file imported", "clients and treatments", detail)
        audit.note(connection, job.clinic.id, deed, job.who.now)
