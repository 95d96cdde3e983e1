"""A file imported at the desk in two steps: tried and kept for an hour, then imported, once, when somebody says so.

The trial is the import itself with nothing of it kept (actions/importing.py), so that the numbers are those to come.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, cast

from service.actions.csv_check import describe, rejected
from service.actions.csv_rows import CsvFile, CsvOptions, read_rows
from service.actions.csv_values import DateOrder
from service.actions.importing import ImportJob, Report, import_file
from service.domain.schedule import local_day
from service.errors import BadInput
from service.store import uploads
from service.store.engine import Store
from service.store.uploads import Owner

KEPT = timedelta(hours=1)
#: An import that has not ended after this has been interrupted. Doing it again adds nothing twice.
GIVEN_UP = timedelta(minutes=5)
_MOST_ERRORS = 200
_ORDERS = ("", "dmy", "mdy", "ymd")


@dataclass(frozen=True)
class Options:
    """How to read a file; "": not said. protocol: key for all rows. encoding: as in csv_file.ENCODINGS."""

    date_order: str = ""
    protocol: str = ""
    encoding: str = ""


@dataclass(frozen=True)
class Desk:
    """Where files are kept, what imported rows mean, and whose files these are."""

    store: Store
    job: ImportJob
    owner: Owner


def check(desk: Desk, name: str, content: bytes, options: Options) -> int:
    """Try a file and keep it with what was found. Returns its id. Nothing of it is imported.

    Raises Unavailable for a file that cannot be read as a whole, BadInput for a wrong option.
    """
    found = _tried(desk, content, options)
    now = desk.job.who.now
    values = {"made_at": now, "until": now + KEPT, "name": name[:100], "file": content}
    with desk.store.write() as connection:
        uploads.forget_old(connection, now)
        return uploads.add(connection, desk.owner, {**values, **found})


def check_again(desk: Desk, upload_id: int, options: Options) -> None:
    """The same file, read another way. Raises NotFound, and else as `check`."""
    with desk.store.read() as connection:
        upload = uploads.get(connection, desk.owner, upload_id, desk.job.who.now)
    if upload["file"] is None or upload["begun_at"] is not None:
        return  # it is imported, or being imported, as it was read before
    found = _tried(desk, upload["file"], options)
    with desk.store.write() as connection:
        if uploads.get(connection, desk.owner, upload_id, desk.job.who.now)["begun_at"] is None:
            uploads.change(connection, upload_id, found)


def accept(desk: Desk, upload_id: int) -> None:
    """Import a file that was looked at; then only what became of it is kept. Twice is once. Raises NotFound."""
    now = desk.job.who.now
    with desk.store.write() as connection:
        upload = uploads.get(connection, desk.owner, upload_id, now)
        if not uploads.begin(connection, upload_id, now - GIVEN_UP, now):
            return
    done = False
    try:
        options = Options(**json.loads(upload["options"]))
        file = _read(desk, upload["file"], options)
        report = import_file(desk.store, file, desk.job)
        done = True
    finally:
        if not done:
            with desk.store.write() as connection:
                uploads.change(connection, upload_id, {"begun_at": None})
    found = _found(desk, file, report) | {"file": None, "done_at": now}
    with desk.store.write() as connection:
        uploads.change(connection, upload_id, found)


def drop(desk: Desk, upload_id: int) -> None:
    """Throw a file away that is not to be imported."""
    with desk.store.write() as connection:
        uploads.drop(connection, desk.owner, upload_id)


def _tried(desk: Desk, content: bytes, options: Options) -> dict[str, Any]:
    file = _read(desk, content, options)
    report = import_file(desk.store, file, desk.job, dry_run=True)
    return {**_found(desk, file, report), "options": json.dumps(asdict(options))}


def _read(desk: Desk, content: bytes, options: Options) -> CsvFile:
    if options.date_order not in _ORDERS:
        raise BadInput("That is no order of dates", field="date_order", next_step="Choose one of those in the list.")
    today = local_day(desk.job.who.now, desk.job.clinic.zone)
    titles = {key: protocol.title for key, protocol in desk.job.protocols.items()}
    order = cast("DateOrder | None", options.date_order or None)
    return read_rows(content, CsvOptions(today, titles, order, options.protocol or None, options.encoding or None))


def _found(desk: Desk, file: CsvFile, report: Report) -> dict[str, Any]:
    """What is kept of a trial or an import."""
    document = report.as_document()
    document["errors"] = document["errors"][:_MOST_ERRORS]
    today = local_day(desk.job.who.now, desk.job.clinic.zone)
    told = json.dumps(document | describe(file, today))
    return {"report": told, "rejected": rejected(file, report.errors) if report.errors else None}
