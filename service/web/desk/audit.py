"""The audit: who did what, when; newest first, to search; and whether the chain of its lines is whole."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from service.store import audit
from service.store.audit import Sought
from service.web.desk.dates import midnight, typed_day
from service.web.desk.forms import beside
from service.web.desk.visit import Answer, Page, Route, Visit

SHOWN = 100
_FIELDS = ("actor", "action", "subject", "since", "until")


def _list(visit: Visit) -> Answer:
    asked = {name: " ".join(visit.query.get(name, "").split())[:200] for name in _FIELDS}
    days = {name: typed_day(asked[name]) for name in ("since", "until")}
    errors = [(name, "This is not a date. Write it as YYYY-MM-DD.") for name in days if asked[name] and not days[name]]
    before = visit.query.get("before", "")
    sought = Sought(
        asked["actor"],
        asked["action"],
        asked["subject"].lower(),
        *_span(visit, days["since"], days["until"]),
        int(before) if before.isascii() and before.isdigit() and len(before) < 19 else None,
    )
    with visit.store.read() as connection:
        rows = [] if errors else audit.search(connection, visit.clinic.id, sought, SHOWN + 1)
        verified = _verified(connection, visit) if visit.query.get("verify") == "1" else None
    more = ""
    if len(rows) > SHOWN:
        more = f"/audit?{urlencode({**asked, 'before': rows[SHOWN - 1]['id']})}"
    said = {"rows": [_told(row) for row in rows[:SHOWN]], "more": more, "asked": asked, "errors": errors}
    searched = any(asked.values())
    return Page(
        "audit.html",
        {**said, "error": beside(errors), "verified": verified, "searched": searched},
        400 if errors else 200,
    )


def _span(visit: Visit, first: date | None, last: date | None) -> tuple[datetime | None, datetime | None]:
    """From the first day's beginning to the last one's end."""
    zone = visit.clinic.zone
    return (midnight(first, zone) if first else None, midnight(last, zone, later=1) if last else None)


def _verified(connection: Any, visit: Visit) -> dict[str, Any]:
    """Whether every line is as it was written. broken: ids of those that are not."""
    return {
        "number": audit.count(connection, visit.clinic.id),
        "broken": audit.broken_links(connection, visit.clinic.id),
    }


def _told(row: Any) -> dict[str, Any]:
    """A line as the page shows it. path: of the client it is about, or nothing."""
    kind, _, number = row["subject"].partition(" ")
    detail = json.loads(row["detail"])
    facts = [(name.replace("_", " "), _said(value)) for name, value in detail.items()]
    path = f"/clients/{number}" if kind == "client" and number.isdigit() else ""
    return {**{name: row[name] for name in ("id", "at", "actor", "action", "subject")}, "facts": facts, "path": path}


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_said(one) for one in value)
    return "none" if value is None else str(value).replace("_", " ")


ROUTES = (Route("GET", "/audit", _list),)
