"""Correcting a client: name, address, phone, language. What somebody else changed meanwhile is never lost unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.actions.correcting import FIELDS, Stale, correct_client, fingerprint
from service.errors import BadInput
from service.web.desk.people import client_of, language_words, living, opened, sentence
from service.web.desk.visit import Answer, Go, Page, Route, Visit

LABELS = {"name": "Name", "email": "E-mail", "phone": "Phone", "language": "Language"}


def _form(visit: Visit) -> Answer:
    client = opened(visit)
    living(client)
    return _page(visit, client, {name: client[name] for name in FIELDS}, {})


def _page(
    visit: Visit, client: Any, typed: Mapping[str, str], errors: Mapping[str, str], *, stale: bool = False
) -> Page:
    """stale: somebody else was quicker; what is stored now stands beside what was typed."""
    tags = sorted({*visit.service.catalogue.frames.languages, visit.clinic.language, client["language"]})
    said = {
        "client": client,
        "typed": {name: typed.get(name, "") for name in FIELDS},
        "errors": {name: errors.get(name, "") for name in FIELDS},
        "mistakes": list(errors.items()),
        "stale": [(LABELS[name], client[name]) for name in FIELDS if client[name] != typed.get(name, "")] * stale,
        "seen": fingerprint(client),
        "labels": LABELS,
        "languages": [(tag, language_words(tag)) for tag in tags],
    }
    return Page("client_correct.html", said, 409 if stale else 400 if errors else 200)


def _correct(visit: Visit) -> Answer:
    client = opened(visit)
    living(client)
    typed = {name: visit.form[name].strip() for name in FIELDS}
    try:
        with visit.store.write() as connection:
            correct_client(connection, visit.clinic, client["id"], (visit.form["seen"], typed), visit.who)
    except Stale:
        return _page(visit, client_of(visit), typed, {}, stale=True)
    except BadInput as error:
        field = error.field if error.field in FIELDS else "name"
        return _page(visit, client, typed, {field: sentence(error)})
    return Go(f"/clients/{client['id']}?done=corrected")


ROUTES = (
    Route("GET", "/clients/{client_id}/correct", _form),
    Route("POST", "/clients/{client_id}/correct", _correct),
)
