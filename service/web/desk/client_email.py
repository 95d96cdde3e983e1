"""One e-mail of a client: the exact words that went out; leaving one out; sending once more what is right today."""

from __future__ import annotations

from typing import Any

from service.actions import resend
from service.actions.answer import link_of
from service.actions.previewing import Desk
from service.actions.resend import Offer
from service.actions.sent_words import Proof, sent_words
from service.actions.shelf import Shelf
from service.actions.today import Today, read_today
from service.actions.writing import Writer
from service.errors import BadInput, NotFound
from service.store import story
from service.web.desk.client_acts import Act
from service.web.desk.people import living, opened, sentence, theirs, with_reason
from service.web.desk.timeline import is_lost
from service.web.desk.visit import Answer, Frame, Go, Page, Route, Visit
from service.web.desk.words import moment, step_words

_SKIP = Act(
    "Leave out this e-mail?",
    (
        "It will not go out. The others stay as they are.",
        "Nobody is put on the call list: tell the client yourself what it would have said.",
    ),
    ("told at the desk", "told on the phone", "does not fit this client"),
    "Leave it out",
    "skipped",
    lambda *_: None,
)
PROOFS = {
    Proof.EXACT: ("These are the exact words that went out.", "good"),
    Proof.NEAR: ("The text is the one that went out; the frame around it has been changed since.", "wait"),
    Proof.GONE: ("The words cannot be shown: what they said about this client was erased.", "past"),
    Proof.NONE: ("It has not gone out.", "past"),
}


def desk_of(visit: Visit) -> Desk:
    """What the words of an e-mail are written again with."""
    shelf = Shelf(visit.service.catalogue, drafts_count=not visit.service.settings.live)
    return Desk(visit.clinic, shelf, Writer(visit.service.signer, visit.service.settings.public_url))


def _found(visit: Visit) -> tuple[Any, Any]:
    """Client and e-mail. Raises NotFound, also for an e-mail of another client."""
    client = opened(visit)
    with visit.store.read() as connection:
        row = story.email(connection, visit.clinic.id, visit.id("email_id"))
    theirs(client, row)
    return client, row


def _email(visit: Visit) -> Answer:
    client, row = _found(visit)
    with visit.store.read() as connection:
        words = sent_words(connection, desk_of(visit), row["id"])
        tries = story.attempts_of(connection, visit.clinic.id, row["id"])
    said = {"client": client, "email": row, "words": words, "proof": PROOFS[words.proof], "tries": tries}
    return Page("client_email.html", {**said, "lost": is_lost(row)})


def _words(visit: Visit) -> Answer:
    """Only the words, for the frame."""
    _, row = _found(visit)
    with visit.store.read() as connection:
        words = sent_words(connection, desk_of(visit), row["id"])
    if not words.html:
        raise NotFound("there are no words to show")
    return Frame(words.html)


def _ask_skip(visit: Visit) -> Answer:
    client, row = _found(visit)
    living(client)
    return _skip_page(visit, client, row, "")


def _skip_page(visit: Visit, client: Any, row: Any, error: str) -> Page:
    here = f"/clients/{client['id']}"
    said = {
        "client": client,
        "act": _SKIP,
        "about": f"{step_words(row['kind'], row['day']).capitalize()}, {moment(visit, row['due_at'])}",
        "typed": visit.form["reason"],
        "error": error,
        "action": f"{here}/emails/{row['id']}/skip",
        "back": here,
    }
    return Page("client_act.html", said, 400 if error else 200)


def _skip(visit: Visit) -> Answer:
    client, row = _found(visit)
    living(client)
    try:
        who = with_reason(visit, client)
    except BadInput as error:
        return _skip_page(visit, client, row, sentence(error))
    with visit.store.write() as connection:
        resend.skip(connection, visit.clinic, row["id"], who)
    return Go(f"/clients/{client['id']}?done=skipped")


def _ask_again(visit: Visit) -> Answer:
    """Whether it may go once more; if not, today's words to say on the phone, and a call."""
    client, row = _found(visit)
    living(client)
    with visit.store.read() as connection:
        found = resend.offered(connection, visit.clinic, row["id"], visit.who)
        today = _today(visit, connection, client) if found.offer is not Offer.AGAIN else None
    said = {"client": client, "email": row, "offer": str(found.offer), "called": found.called, "today": today}
    return Page("client_again.html", said)


def _today(visit: Visit, connection: Any, client: Any) -> Today:
    link = link_of(client["id"], client["email"])
    return read_today(connection, desk_of(visit).shelf, link, visit.now)


def _again(visit: Visit) -> Answer:
    client, row = _found(visit)
    living(client)
    wanted = visit.form["do"]
    with visit.store.write() as connection:
        if wanted == "call":
            resend.ask_for_call(connection, visit.clinic, row["id"], visit.who)
        else:
            resend.resend(connection, visit.clinic, row["id"], visit.who)
    return Go(f"/clients/{client['id']}?done={'call' if wanted == 'call' else 'again'}")


_PATH = "/clients/{client_id}/emails/{email_id}"
ROUTES = (
    Route("GET", _PATH, _email),
    Route("GET", f"{_PATH}/words", _words),
    Route("GET", f"{_PATH}/skip", _ask_skip),
    Route("POST", f"{_PATH}/skip", _skip),
    Route("GET", f"{_PATH}/again", _ask_again),
    Route("POST", f"{_PATH}/again", _again),
)
