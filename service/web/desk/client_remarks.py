"""What the technician knows about one treatment, for the clinic alone: the pigment's lot and a note, to correct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.actions.correcting import Stale
from service.actions.remarking import change_remarks, fingerprint
from service.domain.remarks import LIMITS
from service.errors import BadInput
from service.web.desk.people import living, opened, sentence, titles, treatment_of
from service.web.desk.visit import Answer, Go, Page, Route, Visit

_LABELS = {"lot": "Pigment lot", "note": "Technician's note"}


def _found(visit: Visit) -> tuple[Any, Any]:
    """Client and treatment, also a cancelled one: what was noted about it may be wrong too."""
    client = opened(visit)
    treatment = treatment_of(visit, client)
    living(client)
    return client, treatment


def _form(visit: Visit) -> Answer:
    found = _found(visit)
    return _page(visit, found, {name: found[1][name] for name in LIMITS}, {})


def _page(
    visit: Visit,
    found: tuple[Any, Any],
    typed: Mapping[str, str],
    errors: Mapping[str, str],
    *,
    stale: bool = False,
) -> Page:
    """stale: somebody else was quicker; what is stored now stands beside what was typed."""
    client, treatment = found
    said = {
        "client": client,
        "treatment": treatment,
        "title": titles(visit).get(treatment["protocol"], treatment["protocol"]),
        "typed": typed,
        "errors": {name: errors.get(name, "") for name in LIMITS},
        "mistakes": list(errors.items()),
        "stale": [(_LABELS[name], treatment[name]) for name in LIMITS if treatment[name] != typed[name]] * stale,
        "seen": fingerprint(treatment),
        "labels": _LABELS,
    }
    return Page("treatment_remarks.html", said, 409 if stale else 400 if errors else 200)


def _save(visit: Visit) -> Answer:
    client, treatment = _found(visit)
    typed = {name: visit.form[name].strip() for name in LIMITS}
    try:
        with visit.store.write() as connection:
            change_remarks(connection, visit.clinic, treatment["id"], (visit.form["seen"], typed), visit.who)
    except Stale:
        return _page(visit, (client, treatment_of(visit, client)), typed, {}, stale=True)
    except BadInput as error:
        return _page(visit, (client, treatment), typed, {error.field or "note": sentence(error)})
    return Go(f"/clients/{client['id']}?done=noted")


_PATH = "/clients/{client_id}/treatments/{treatment_id}/remarks"
ROUTES = (Route("GET", _PATH, _form), Route("POST", _PATH, _save))
