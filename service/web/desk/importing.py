"""A table of clients from a file: uploaded, looked at, and only then imported; each row that is wrong in its place."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from service.actions import uploading
from service.actions.csv_file import MOST_BYTES
from service.actions.csv_rows import NEEDED, OPTIONAL
from service.actions.importing import ImportJob
from service.actions.uploading import Desk, Options
from service.errors import AftercareError, BadInput, NotFound, Unavailable
from service.store import uploads
from service.store.uploads import Owner
from service.web.desk.register import protocol_choices
from service.web.desk.registering import told
from service.web.desk.visit import Answer, File, Go, Page, Route, Visit

MOST_BODY = MOST_BYTES + 100_000
_DONE = {"dropped": "The file was thrown away. Nothing was imported."}
COLUMNS = {
    "name": "name",
    "email": "e-mail",
    "treatment": "treatment",
    "treatment_date": "day of the treatment",
    "treatment_time": "time of the treatment",
    "phone": "phone",
    "language": "language",
    "consent_on": "day they agreed",
    "client_ref": "your own number for them",
}
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
_ORDERS = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}
_ENCODINGS = [("", "Decide from the file"), ("utf-8", "UTF-8"), ("windows-1252", "Windows-1252"), ("utf-16", "UTF-16")]


def _start(visit: Visit) -> Answer:
    return _upload_form(visit)


def _upload_form(visit: Visit, problem: str = "") -> Answer:
    protocols = [("", "It says so itself, row by row"), *(row for row in protocol_choices(visit) if row[0])]
    said = {
        "problem": problem,
        "done": _DONE.get(visit.query.get("done", ""), ""),
        "needed": NEEDED,
        "optional": OPTIONAL,
        "protocols": protocols,
        "encodings": _ENCODINGS,
        "protocol": visit.form["protocol"],
        "encoding": visit.form["encoding"],
    }
    return Page("import.html", said, 400 if problem else 200)


def _desk(visit: Visit) -> Desk:
    job = ImportJob(visit.clinic, visit.service.catalogue.protocols, visit.who)
    return Desk(visit.store, job, Owner(visit.clinic.id, visit.staff.id))


def _upload(visit: Visit) -> Answer:
    name, content = visit.form.upload or ("", b"")
    if not content:
        return _upload_form(visit, "Choose a file first.")
    try:
        options = Options(protocol=visit.form["protocol"], encoding=visit.form["encoding"])
        upload_id = uploading.check(_desk(visit), name, content, options)
    except (BadInput, Unavailable) as error:
        return _upload_form(visit, _sentence(error))
    return Go(f"/import/{upload_id}")


def _sentence(error: AftercareError) -> str:
    return told(BadInput(error.message, next_step=error.next_step))


def _look(visit: Visit) -> Answer:
    return _shown(visit)


def _shown(visit: Visit, problem: str = "") -> Answer:
    with visit.store.read() as connection:
        upload = uploads.get(connection, _desk(visit).owner, visit.id("upload_id"), visit.now)
    report = json.loads(upload["report"])
    said = {
        "upload": upload,
        "report": report,
        "options": json.loads(upload["options"]),
        "problem": problem,
        "meanings": COLUMNS,
        "delimiter": _DELIMITERS.get(report["delimiter"], report["delimiter"]),
        "orders": [_order(one) for one in report["orders"]],
        "interrupted": upload["begun_at"] is not None and visit.now - upload["begun_at"] > uploading.GIVEN_UP,
    }
    # A part of the page is shown only where all went well.
    return Page("import_check.html", said, 400 if problem and not visit.fragment else 200)


def _order(one: dict[str, Any]) -> dict[str, Any]:
    day = date.fromisoformat(one["day"]) if one["day"] else None
    return one | {"words": _ORDERS[one["order"]], "day": f"{day:%a} {day.day} {day:%b} {day.year}" if day else ""}


def _decide(visit: Visit) -> Answer:
    desk, upload_id, step = _desk(visit), visit.id("upload_id"), visit.form["step"]
    try:
        if step == "drop":
            uploading.drop(desk, upload_id)
            return Go("/import?done=dropped")
        if step == "save":
            uploading.accept(desk, upload_id)
        else:
            uploading.check_again(desk, upload_id, _read_otherwise(visit, desk, upload_id))
    except NotFound:
        raise
    except AftercareError as error:
        return _shown(visit, _sentence(error))
    return Go(f"/import/{upload_id}")


def _read_otherwise(visit: Visit, desk: Desk, upload_id: int) -> Options:
    """As before, with the order of dates that was chosen."""
    with visit.store.read() as connection:
        before = json.loads(uploads.get(connection, desk.owner, upload_id, visit.now)["options"])
    order = visit.form["date_order"]
    if order not in _ORDERS:
        raise BadInput("Say which order the dates are in", field="date_order", next_step="Choose one of the answers.")
    return Options(**(before | {"date_order": order}))


def _rejected(visit: Visit) -> Answer:
    with visit.store.read() as connection:
        upload = uploads.get(connection, _desk(visit).owner, visit.id("upload_id"), visit.now)
    if upload["rejected"] is None:
        raise NotFound("No row of this file was rejected", field="file", next_step="Nothing is left to do.")
    return File("rows-to-mend.csv", "text/csv; charset=utf-8", upload["rejected"])


ROUTES = (
    Route("GET", "/import", _start),
    Route("POST", "/import", _upload, MOST_BODY),
    Route("GET", "/import/{upload_id}", _look),
    Route("POST", "/import/{upload_id}", _decide),
    Route("GET", "/import/{upload_id}/rejected", _rejected),
)
