"""A client at the desk: the form, the plan before it is saved, and one more treatment for somebody who is known.

What is saved is what was looked at: the plan's digest comes back with the form, and another plan is shown first.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from dataclasses import replace
from typing import Any

from service.actions import desk
from service.actions.desk import Page as Shown
from service.actions.desk import Saved
from service.actions.foresee import Foreseen, Given, foresee
from service.actions.register import NewClient
from service.domain import consent
from service.domain.mail_domains import suggest
from service.domain.schedule import local_day
from service.errors import BadInput, NotFound
from service.mail.language_names import own_name
from service.store import clients
from service.web.desk.forms import Form
from service.web.desk.people import client_of, noted
from service.web.desk.plan import foreseen_lines
from service.web.desk.registering import Typed, read_client, read_treatment
from service.web.desk.visit import Answer, Go, Page, Route, Visit

_DONE = {"undone": "Taken back. Nothing more will be sent because of it."}


def _new(visit: Visit) -> Answer:
    typed = {"on": local_day(visit.now, visit.clinic.zone).isoformat(), "nonce": secrets.token_urlsafe(16)}
    protocols = visit.service.catalogue.protocols
    if len(protocols) == 1:
        typed["protocol"] = next(iter(protocols))
    elsewhere = {"done": _DONE.get(visit.query.get("done", ""), "")}
    return _form(visit, typed, {}, elsewhere)


def _register(visit: Visit) -> Answer:
    visit = _taken(visit)
    typed = read_client(visit)
    foreseen = _foresee(visit, typed)
    if visit.fragment:
        return Page("register_plan.html", _said(visit, typed, foreseen) | {"oob": True})
    if not _is_saving(visit) or typed.errors or typed.given is None or foreseen is None:
        errors = typed.errors if not visit.form["take"] else {}
        return _form(visit, visit.form.typed(), errors, _said(visit, typed, foreseen))
    saved = _save(visit, typed.given, typed.client)
    if saved is None:
        said = _said(visit, typed, foreseen) | {"changed": True}
        return _form(visit, visit.form.typed(), {}, said)
    return _to(saved)


def _taken(visit: Visit) -> Visit:
    """The visit as if the suggested address had been typed, if its button was pressed."""
    taken = visit.form["take"]
    if not taken:
        return visit
    pairs = [(name, taken if name == "email" else value) for name, value in visit.form.pairs if name != "step"]
    return replace(visit, form=Form(tuple(pairs)))


def _is_saving(visit: Visit) -> bool:
    """Enter saves what can be seen; before that it shows it."""
    step = visit.form["step"]
    return not visit.form["take"] and (step == "save" or (step != "plan" and bool(visit.form["seen"])))


def _foresee(visit: Visit, typed: Typed) -> Foreseen | None:
    if typed.given is None:
        return None
    with visit.store.read() as connection:
        try:
            foreseen = foresee(connection, visit.clinic, typed.given, visit.now)
        except BadInput as error:
            typed.refuse("on", error)
            return None
    if foreseen.client is not None:
        # The page tells what is stored about somebody who is known.
        noted(visit, foreseen.client["id"])
    return foreseen


def _save(visit: Visit, given: Given, client: NewClient | None) -> Saved | None:
    page = Shown(given, visit.form["seen"], visit.form["nonce"])
    try:
        with visit.store.write() as connection:
            return desk.register_visit(connection, visit.clinic, page, client, visit.who)
    except BadInput:
        # Somebody has registered the same person at this very moment, perhaps by a second click: now they are known.
        with visit.store.write() as connection:
            return desk.register_visit(connection, visit.clinic, page, client, visit.who)


def _to(saved: Saved) -> Answer:
    done = "" if saved.created else "&done=known"
    return Go(f"/clients/{saved.client_id}/registered?treatment={saved.treatment_id}{done}")


def _form(visit: Visit, typed: dict[str, str], errors: dict[str, str], said: dict[str, Any]) -> Answer:
    about = {**_about(typed, errors), "words": consent.WORDS}
    choices = {"protocols": protocol_choices(visit), "languages": _languages(visit), "version": consent.NEWEST}
    focus = "" if errors else "phone" if visit.form["take"] else "save" if said.get("plan") else "name"
    return Page("register.html", {**_NOTHING, **said, **about, **choices, "focus": focus}, 400 if errors else 200)


#: What the plan's box says before anything is filled in.
_NOTHING: dict[str, Any] = {
    **dict.fromkeys(("hint", "address", "done"), ""),
    **dict.fromkeys(("plan", "client")),
    **dict.fromkeys(("changed", "oob"), False),
    "still": (),
}


def _about(typed: dict[str, str], errors: dict[str, str]) -> dict[str, Any]:
    """What the fields hold, and what is wrong with them; nothing for the others."""
    return {
        "typed": defaultdict(str, typed),
        "errors": defaultdict(str, errors),
        "mistakes": list(errors.items()),
    }


def _said(visit: Visit, typed: Typed, foreseen: Foreseen | None) -> dict[str, Any]:
    """What the plan's box and the line under the address say."""
    lines = foreseen_lines(visit, foreseen.steps, call=foreseen.call) if foreseen else []
    return _NOTHING | {
        "plan": foreseen,
        "lines": lines,
        "hint": suggest(visit.form["email"]),
        "address": typed.address,
        "still": typed.missing,
    }


def protocol_choices(visit: Visit) -> list[tuple[str, str]]:
    protocols = visit.service.catalogue.protocols
    choices = sorted(((key, protocol.title) for key, protocol in protocols.items()), key=lambda choice: choice[1])
    return choices if len(choices) == 1 else [("", "Choose one"), *choices]


def _languages(visit: Visit) -> list[tuple[str, str]]:
    """Those the e-mails can be in, the clinic's first; nothing to choose if there is but one."""
    tags = sorted(visit.service.catalogue.frames.languages, key=lambda tag: (tag != visit.clinic.language, tag))
    return [(tag, own_name(tag)) for tag in tags] if len(tags) > 1 else []


def _treatment(visit: Visit) -> Answer:
    client = _known(visit)
    typed = {"on": local_day(visit.now, visit.clinic.zone).isoformat(), "nonce": secrets.token_urlsafe(16)}
    with visit.store.read() as connection:
        before = clients.list_treatments(connection, visit.clinic.id, client["id"])
    usual = [row["protocol"] for row in before if row["protocol"] in visit.service.catalogue.protocols]
    protocols = [key for key, _ in protocol_choices(visit)]
    typed["protocol"] = usual[-1] if usual else protocols[0]
    # The usual case, foreseen at once: the same treatment again, today.
    shown = replace(visit, form=Form(tuple(typed.items())))
    filled = read_treatment(shown, client["id"], client["consent_on"] is None)
    return _treatment_form(shown, client, {}, _said(shown, filled, _foresee(shown, filled)))


def _add_treatment(visit: Visit) -> Answer:
    client = _known(visit)
    typed = read_treatment(visit, client["id"], client["consent_on"] is None)
    foreseen = _foresee(visit, typed)
    if visit.fragment:
        return Page("register_plan.html", _said(visit, typed, foreseen) | {"client": client})
    if not _is_saving(visit) or typed.errors or typed.given is None or foreseen is None:
        return _treatment_form(visit, client, typed.errors, _said(visit, typed, foreseen))
    saved = _save(visit, typed.given, None)
    if saved is None:
        return _treatment_form(visit, client, {}, _said(visit, typed, foreseen) | {"changed": True})
    return _to(saved)


def _treatment_form(visit: Visit, client: Any, errors: dict[str, str], said: dict[str, Any]) -> Answer:
    about = {**_about(visit.form.typed(), errors), "client": client}
    choices = {"protocols": protocol_choices(visit), "words": consent.WORDS, "version": consent.NEWEST}
    focus = "" if errors else "save" if visit.form["step"] else "on"
    return Page("treatment_new.html", {**said, **about, **choices, "focus": focus}, 400 if errors else 200)


def _known(visit: Visit) -> Any:
    """The client of this page; the look is noted. Raises NotFound for another clinic's, and for one who is erased."""
    client = client_of(visit)
    if client["erased_at"] is not None:
        raise NotFound("This client is erased", field="client", next_step="Register the person anew.")
    noted(visit, client["id"])
    return client


ROUTES = (
    Route("GET", "/clients/new", _new),
    Route("POST", "/clients/new", _register),
    Route("GET", "/clients/{client_id}/treatments/new", _treatment),
    Route("POST", "/clients/{client_id}/treatments/new", _add_treatment),
)
