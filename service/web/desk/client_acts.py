"""What the desk does to one client with a reason: stop, undo a stop, pause, write to an address again; and erase.

Each has a page that says what it means before the button.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from service.actions import lifting, revise
from service.actions.revise import Who
from service.errors import BadInput
from service.web.desk.people import living, opened, sentence, with_reason
from service.web.desk.visit import Answer, Go, Page, Route, Visit

Does = Callable[[Any, Any, int, Who], None]


class Act(NamedTuple):
    """asks: the question above the page. means: what will happen. reasons: suggested. done: as client.DONE has it."""

    asks: str
    means: tuple[str, ...]
    reasons: tuple[str, ...]
    button: str
    done: str
    does: Does


ACTS: Mapping[str, Act] = {
    "stop": Act(
        "Send no more e-mails?",
        (
            "All e-mails that are still to come are called off, those of later treatments too.",
            "If any were still to come, a call goes on the list: somebody tells the client by phone what to watch for.",
            "You can undo the stop, but what was called off stays so.",
        ),
        ("asked on the phone", "asked at the desk", "asked by e-mail", "goes to another clinic"),
        "Stop the e-mails",
        "stopped",
        revise.stop,
    ),
    "unstop": Act(
        "Undo the stop?",
        (
            "Treatments from now on get their e-mails again. What was called off stays so.",
            "Only do this if the client has asked for it.",
        ),
        ("asked on the phone", "asked at the desk", "stopped by mistake"),
        "Undo the stop",
        "unstopped",
        revise.unstop,
    ),
    "pause": Act(
        "Pause the e-mails?",
        (
            "Nothing goes out until you resume.",
            "What passes its time meanwhile is not sent late: it becomes a call.",
        ),
        ("away for some days", "in hospital", "asked on the phone", "asked at the desk"),
        "Pause",
        "paused",
        revise.pause,
    ),
    "lift": Act(
        "Write to this address again?",
        (
            "We stopped writing to it because an e-mail came back, or its reader said that it is somebody else's.",
            "E-mails of treatments from now on go out. What was called off can be sent once more while it is right.",
        ),
        ("confirmed on the phone", "read back at the desk", "mailbox was full"),
        "Write to it again",
        "lifted",
        lifting.lift_for,
    ),
}
_ERASE = "erase"


def _asked(name: str) -> Callable[[Visit], Answer]:
    def page(visit: Visit) -> Answer:
        client = opened(visit)
        living(client)
        return _page(name, client, "", "")

    return page


def _page(name: str, client: Any, typed: str, error: str) -> Page:
    said = {"client": client, "act": ACTS[name], "typed": typed, "error": error}
    here = f"/clients/{client['id']}"
    return Page("client_act.html", {**said, "action": f"{here}/{name}", "back": here}, 400 if error else 200)


def _acted(name: str) -> Callable[[Visit], Answer]:
    def post(visit: Visit) -> Answer:
        client = opened(visit)
        living(client)
        try:
            who = with_reason(visit, client)
        except BadInput as error:
            return _page(name, client, visit.form["reason"], sentence(error))
        with visit.store.write() as connection:
            ACTS[name].does(connection, visit.clinic, client["id"], who)
        return Go(f"/clients/{client['id']}?done={ACTS[name].done}")

    return post


def _ask_erase(visit: Visit) -> Answer:
    client = opened(visit)
    living(client)
    return Page("client_erase.html", {"client": client, "error": ""})


def _erase(visit: Visit) -> Answer:
    """Cannot be undone, so it asks for a typed word."""
    client = opened(visit)
    if client["state"] == "erased":
        return Go(f"/clients/{client['id']}?done=erased")
    if visit.form["word"].strip().lower() != _ERASE:
        return Page("client_erase.html", {"client": client, "error": f"Type the word {_ERASE}."}, 400)
    with visit.store.write() as connection:
        revise.erase(connection, visit.clinic, client["id"], visit.who)
    return Go(f"/clients/{client['id']}?done=erased")


ROUTES = (
    *(Route("GET", f"/clients/{{client_id}}/{name}", _asked(name)) for name in ACTS),
    *(Route("POST", f"/clients/{{client_id}}/{name}", _acted(name)) for name in ACTS),
    Route("GET", "/clients/{client_id}/erase", _ask_erase),
    Route("POST", "/clients/{client_id}/erase", _erase),
)
