"""The call list: by deadline, with what to say; closed only with an outcome. History, and reopening."""

from __future__ import annotations

from service.actions import calls as act
from service.actions.calls import OUTCOMES, Closing
from service.errors import BadInput, NotAllowed
from service.store import calls, clinics
from service.web.desk.call_words import call_words
from service.web.desk.forms import sentence
from service.web.desk.people import name_of, noted
from service.web.desk.visit import Answer, Go, Page, Route, Visit

SHOWN = 100
_LISTS = {"open": "To do", "closed": "Done", "covered": "Settled by a later e-mail"}
_DONE = {"closed": "The call is done.", "again": "Nobody answered: the call stays, with a new deadline.",
         "reopened": "The call is open again."}  # fmt: skip


def _list(visit: Visit) -> Answer:
    show = visit.query.get("show", "open")
    show = show if show in _LISTS else "open"
    before = visit.query.get("before", "")
    skip = int(before) if before.isascii() and before.isdigit() and len(before) < 9 else 0
    with visit.store.read() as connection:
        rows = calls.listed(connection, visit.clinic.id, show, SHOWN + 1, skip)
    more = f"/calls?show={show}&before={skip + SHOWN}" if len(rows) > SHOWN else ""
    said = {"rows": rows[:SHOWN], "show": show, "lists": _LISTS, "more": more}
    return Page("calls.html", {**said, "done": _DONE.get(visit.query.get("done", ""), "")})


def _one(visit: Visit) -> Answer:
    return _shown(visit)


def _shown(visit: Visit, error: str = "", *, late: bool = False) -> Answer:
    """late: somebody else has closed the call meanwhile, so what was typed is not saved."""
    with visit.store.read() as connection:
        call = calls.get(connection, visit.clinic.id, visit.id("call_id"))
        others = calls.of_client(connection, visit.clinic.id, call["client_id"])
        staff = clinics.staff_names(connection, visit.clinic.id)
        words = call_words(visit, connection, call)
    noted(visit, call["client_id"])
    said = words | {
        "call": call,
        "closed_by": name_of(call["closed_by"] or "", staff),
        "others": [row for row in others if row["id"] != call["id"]],
        "error": error,
        "late": late,
        "typed": visit.form.typed(),
    }
    return Page("call.html", said, 409 if late else 400 if error else 200)


def _close(visit: Visit) -> Answer:
    outcome, note = visit.form["outcome"], " ".join(visit.form["note"].split())
    if outcome not in OUTCOMES:
        return _shown(visit, "Choose how the call ended.")
    try:
        with visit.store.write() as connection:
            act.close(connection, visit.clinic, visit.id("call_id"), Closing(outcome, note), visit.who)
    except BadInput as error:
        return _shown(visit, sentence(error))
    except NotAllowed:
        return _shown(visit, late=True)
    return Go("/calls?done=again" if outcome == act.NO_ANSWER else "/calls?done=closed")


def _reopen(visit: Visit) -> Answer:
    with visit.store.write() as connection:
        act.reopen(connection, visit.clinic, visit.id("call_id"), visit.who)
    return Go("/calls?done=reopened")


ROUTES = (
    Route("GET", "/calls", _list),
    Route("GET", "/calls/{call_id}", _one),
    Route("POST", "/calls/{call_id}/close", _close),
    Route("POST", "/calls/{call_id}/reopen", _reopen),
)
