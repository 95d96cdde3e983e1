"""Corrects a client as the desk saw it: whoever changed it meanwhile is not overwritten unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from service.actions import revise
from service.actions.revise import Who
from service.domain.persons import clean_language, clean_line
from service.errors import AftercareError
from service.store import clients
from service.store.clinics import Clinic

#: What the desk corrects, in the order of its form.
FIELDS = ("name", "email", "phone", "language")


class Stale(AftercareError):
    """Somebody else has changed the client since the page was loaded."""

    code = "stale"


def fingerprint(client: Any) -> str:
    """What a form was filled from; another one, once any of its fields has changed."""
    return hashlib.sha256(json.dumps([client[name] for name in FIELDS]).encode()).hexdigest()[:32]


def correct_client(
    connection: sa.Connection, clinic: Clinic, client_id: int, form: tuple[str, Mapping[str, str]], who: Who
) -> None:
    """Change what differs; nothing at all if nothing does. form: the fingerprint it was filled from, what was typed.

    Raises Stale, BadInput, NotFound, NotAllowed for an erased one.
    """
    seen, typed = form
    client = clients.get(connection, clinic.id, client_id, lock=True)
    given = {name: typed[name] for name in FIELDS if _plain(name, typed[name]) != client[name]}
    if not given:
        return
    if seen != fingerprint(client):
        raise Stale("somebody else has changed this client meanwhile", next_step="Look at both, then save again.")
    revise.change_client(connection, clinic, client_id, given, who)


def _plain(name: str, raw: str) -> str:
    """As it would be stored, if it is right; what is not is refused by whoever changes it."""
    try:
        if name == "language":
            return clean_language(raw)
        return clean_line(name, raw, 254) if raw.strip() else ""
    except AftercareError:
        return raw
