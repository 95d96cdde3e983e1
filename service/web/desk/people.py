"""What the pages about one client share: who it is, that somebody looked, states and treatments in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.actions.reading import note_read
from service.actions.reasons import clean_reason
from service.actions.revise import Who
from service.errors import AftercareError, NotAllowed, NotFound
from service.store import clients
from service.web.desk.visit import Visit

#: State of a client -> words, kind of badge.
STATES: Mapping[str, tuple[str, str]] = {
    "active": ("gets e-mails", "good"),
    "stopped": ("wants no e-mails", "past"),
    "suppressed": ("address not written to", "act"),
    "no_consent": ("said no to e-mails", "past"),
    "paused": ("paused", "held"),
    "erased": ("erased", "past"),
}

#: Who does something and is no staff.
_NOBODY = {"client": "the client", "aftercare": "Aftercare"}
_LANGUAGES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pl": "Polish", "ar": "Arabic",
    "pt": "Portuguese", "nl": "Dutch", "tr": "Turkish", "uk": "Ukrainian", "ro": "Romanian", "zh": "Chinese",
}  # fmt: skip


def language_words(tag: str) -> str:
    return _LANGUAGES.get(tag, tag)


def person_state(code: str) -> tuple[str, str]:
    return STATES.get(code, (code, "past"))


def titles(visit: Visit) -> dict[str, str]:
    """What each kind of treatment is called."""
    return {key: protocol.title for key, protocol in visit.service.catalogue.protocols.items()}


def name_of(actor: str, staff: Mapping[str, str]) -> str:
    """Whom the audit or a row means. staff: address -> name."""
    return staff.get(actor) or _NOBODY.get(actor, actor)


def opened(visit: Visit) -> Any:
    """The client of the path, shown to somebody: that is written down. Raises NotFound."""
    client = client_of(visit)
    noted(visit, client["id"])
    return client


def noted(visit: Visit, client_id: int) -> None:
    """Write down that somebody is shown this client's data. Raises Unavailable like `note_read`."""
    note_read(visit.store, visit.clinic.id, visit.staff.email, client_id, visit.now)


def client_of(visit: Visit) -> Any:
    """The client of the path. Raises NotFound."""
    with visit.store.read() as connection:
        return clients.get(connection, visit.clinic.id, visit.id("client_id"))


def living(client: Any) -> None:
    """Raises NotAllowed for an erased client, for whom nothing can be done any more."""
    if client["state"] == "erased":
        raise NotAllowed("This client is erased", next_step="Register the person anew.")


def theirs(client: Any, row: Any) -> None:
    """Raises NotFound for a row of another client."""
    if row["client_id"] != client["id"]:
        raise NotFound("this client has no such entry")


def treatment_of(visit: Visit, client: Any) -> Any:
    """The treatment of the path. Raises NotFound, also for another client's."""
    with visit.store.read() as connection:
        done = clients.list_treatments(connection, visit.clinic.id, client["id"])
    found = next((row for row in done if row["id"] == visit.id("treatment_id")), None)
    if found is None:
        raise NotFound("this client has no such treatment")
    return found


def with_reason(visit: Visit, client: Any) -> Who:
    """Who does it, with the reason that was typed. Raises BadInput (field "reason")."""
    return replace(visit.who, why=clean_reason(visit.form["reason"], client))


def sentence(error: AftercareError) -> str:
    """What is wrong and what to do, without hints for the command line."""
    step = error.next_step or ""
    said = f"{error.message[:1].upper()}{error.message[1:]}."
    return said if "`" in step else f"{said} {step}".strip()
