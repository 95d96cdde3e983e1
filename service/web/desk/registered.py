"""After registering: the plan read back, whether the mail server took the hello, the card to take home, and undo."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from service.actions import desk
from service.actions.register import plan_rows
from service.domain.plain import reason
from service.domain.reminder import OPEN, Reason, State
from service.domain.schedule import local_day
from service.errors import BadInput, NotAllowed, NotFound
from service.store import clients, hellos
from service.web.desk.people import noted
from service.web.desk.plan import stored_lines
from service.web.desk.registering import told
from service.web.desk.visit import Answer, Go, Page, Route, Visit
from service.web.desk.words import email_state, moment

#: So long the page asks by itself after a hello was planned: while the client is there it may be taken, and come back.
WAIT = timedelta(minutes=3)
#: Within this time it asks often: that is how quick a mail server answers.
QUICK = timedelta(seconds=60)
#: Seconds: an e-mail that goes out, or a colleague, can end the undo before its time.
_LOOK_AT_UNDO = 15
_DONE = {
    "known": "This was saved already; nothing was added.",
    "address": "The address is changed, and a new hello is on its way.",
}


def _registered(visit: Visit) -> Answer:
    return _shown(visit)


def _shown(visit: Visit, error: str = "") -> Answer:
    with visit.store.read() as connection:
        client, treatment = whose_treatment(connection, visit)
        rows = plan_rows(connection, treatment["id"])
        said = {**_hello(connection, visit, client), **_undo(visit, treatment, rows), "client": client}
    noted(visit, client["id"])
    protocol = visit.service.catalogue.protocols.get(treatment["protocol"])
    said |= {
        "treatment": treatment,
        "title": protocol.title if protocol else treatment["protocol"],
        "lines": stored_lines(visit, rows),
        "done": _DONE.get(visit.query.get("done", ""), ""),
        "error": error,
        "typed": visit.form["email"],
    }
    return Page("registered.html", said, 400 if error else 200)


def whose_treatment(connection: Any, visit: Visit) -> tuple[Any, Any]:
    """The client and the treatment the page is about: the one that is named, else the last one registered."""
    client = clients.get(connection, visit.clinic.id, visit.id("client_id"))
    mine = clients.list_treatments(connection, visit.clinic.id, client["id"])
    asked = visit.query.get("treatment", "") or visit.form["treatment"]
    found = [row for row in mine if not asked or str(row["id"]) == asked]
    if client["erased_at"] is not None or not found:
        raise NotFound("There is no such treatment", field="treatment", next_step="See the client's page.")
    return client, max(found, key=lambda row: int(row["id"]))


def _undo(visit: Visit, treatment: Any, rows: list[Any]) -> dict[str, Any]:
    """Until when it can be taken back, by the clinic's clock ("": it cannot); seconds until the page asks again."""
    until = treatment["created_at"] + desk.UNDO_WITHIN
    seconds = int((until - visit.now).total_seconds())
    if treatment["cancelled_at"] is not None or any(row["state"] in desk.OUT for row in rows) or seconds <= 0:
        return {"undo_until": "", "undo_again": 0}
    return {"undo_until": _clock(visit, until), "undo_again": min(seconds + 1, _LOOK_AT_UNDO)}


def _hello_part(visit: Visit) -> Answer:
    with visit.store.read() as connection:
        client, treatment = whose_treatment(connection, visit)
        rows = plan_rows(connection, treatment["id"])
        said = {**_hello(connection, visit, client), **_undo(visit, treatment, rows)}
    noted(visit, client["id"])
    return Page("hello.html", {**said, "client": client, "treatment": treatment, "error": "", "typed": ""})


def _hello(connection: Any, visit: Visit, client: Any) -> dict[str, Any]:
    """What became of the hello: in words, the kind of badge, how soon to ask again, whether to mend the address."""
    row = hellos.newest(connection, visit.clinic.id, client["id"])
    words, kind, at = _result(client, row)
    again, back = _seconds(visit, row, kind), _come_back(visit, row, kind)
    if not words:
        before = hellos.accepted_at(connection, visit.clinic.id, client["email_folded"])
        words, kind, at = ("an earlier one was taken", "good", before) if before else ("none was sent", "past", None)
    if kind == "wait" and not again:
        words = f"{words}. It is tried and checked again later"
    said = {"hello_words": words, "hello_kind": kind, "hello_at": _clock(visit, at) if at else "", "hello_back": back}
    return {**said, "ask_again": again, "mend": kind == "act", "was": visit.query.get("was", kind)}


def _seconds(visit: Visit, row: Any, kind: str) -> int:
    """After how many seconds the page asks again; 0: not by itself."""
    if row is None or kind not in ("wait", "good") or visit.now - row["planned_at"] >= WAIT:
        return 0
    return 2 if visit.now - row["planned_at"] < QUICK else 10


def _come_back(visit: Visit, row: Any, kind: str) -> str:
    """What is known of a hello that was taken: that is not yet an e-mail that arrived."""
    if row is None or kind != "good":
        return ""
    if visit.service.settings.bounce_domain is None:
        return "Whether it comes back later cannot be seen here."
    return f"Nothing has come back so far, at {visit.now.astimezone(visit.clinic.zone):%H:%M:%S}."


def _clock(visit: Visit, at: datetime) -> str:
    """To the second for what happened today: that is how quick it was."""
    local = at.astimezone(visit.clinic.zone)
    return f"{local:%H:%M:%S}" if local.date() == local_day(visit.now, visit.clinic.zone) else moment(visit, at)


#: What became of a hello that did not arrive. Somebody must ask again while the client is here.
_NO_SUCH = "their mail server says this address does not exist: please ask again"
_RED = {
    "bounced": "it came back: please ask for the address again",
    "failed": "their mail server refused it: please ask for the address again",
    "suppressed": "this address is not written to: please ask for another one",
}


def _result(client: Any, row: Any) -> tuple[str, str, Any]:
    """Words, the kind of badge, and the instant that belongs to it. No words: there was none."""
    if row is None:
        return "", "past", None
    wrong = _wrong(client, row)
    if wrong:
        return wrong, "act", row["bounced_at"]
    if row["state"] == State.SENT:
        return *email_state(row), row["sent_at"]
    if row["state"] == State.HELD:
        return f"held back: {reason(row['reason'])}", "held", None
    return ("no answer yet", "wait", None) if row["state"] in OPEN else ("it did not go out", "past", None)


def _wrong(client: Any, row: Any) -> str:
    """Why the address must be asked for again, "" if it need not be."""
    if row["bounced_at"] is not None:
        return _RED["bounced"]
    if row["state"] == State.FAILED:
        return _NO_SUCH if client["state"] == "suppressed" else _RED["failed"]
    is_dead = row["state"] == State.CANCELLED and row["reason"] == Reason.SUPPRESSED
    return _RED["suppressed"] if is_dead else ""


def _mend(visit: Visit) -> Answer:
    try:
        with visit.store.write() as connection:
            _, treatment = whose_treatment(connection, visit)
            desk.mend_address(connection, visit.clinic, visit.id("client_id"), visit.form["email"], visit.who)
    except BadInput as error:
        return _shown(visit, told(error))
    return Go(f"/clients/{visit.id('client_id')}/registered?treatment={treatment['id']}&done=address")


def _take_back(visit: Visit) -> Answer:
    with visit.store.read() as connection:
        treatment = _mine(connection, visit)
    protocol = visit.service.catalogue.protocols.get(treatment["protocol"])
    if protocol is None:
        raise NotAllowed("This kind of treatment is no longer known", next_step="Stop the client's e-mails instead.")
    with visit.store.write() as connection:
        desk.undo(connection, visit.clinic, treatment["id"], protocol, visit.who)
    return Go("/clients/new?done=undone")


def _mine(connection: Any, visit: Visit) -> Any:
    """The treatment to take back; found also after that was done, so that twice is once."""
    mine = clients.list_treatments(connection, visit.clinic.id, visit.id("client_id"))
    for row in mine:
        if str(row["id"]) == visit.form["treatment"]:
            return row
    raise NotFound("There is no such treatment", field="treatment", next_step="See the client's page.")


ROUTES = (
    Route("GET", "/clients/{client_id}/registered", _registered),
    Route("GET", "/clients/{client_id}/hello", _hello_part),
    Route("POST", "/clients/{client_id}/address", _mend),
    Route("POST", "/clients/{client_id}/undo", _take_back),
)
