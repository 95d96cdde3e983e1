"""Corrects what the technician knows about a treatment. The audit says that it was changed, never what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from service.actions import revise
from service.actions.correcting import Stale
from service.actions.revise import Who
from service.domain.remarks import LIMITS, clean_remark
from service.errors import BadInput, NotAllowed
from service.store import clients
from service.store.clinics import Clinic


def fingerprint(treatment: Any) -> str:
    """What a form was filled from; another one, once any of its fields has changed."""
    return hashlib.sha256(json.dumps([treatment[name] for name in LIMITS]).encode()).hexdigest()[:32]


def change_remarks(
    connection: sa.Connection, clinic: Clinic, treatment_id: int, form: tuple[str | None, Mapping[str, str]], who: Who
) -> None:
    """Change what differs; nothing at all if nothing does.

    form: the fingerprint it was filled from (None: whatever stands there), what was typed by field. Raises Stale,
    BadInput, NotFound, NotAllowed for an erased client.
    """
    seen, typed = form
    treatment = clients.get_treatment(connection, clinic.id, treatment_id)
    client_id = treatment["client_id"]
    if clients.get(connection, clinic.id, client_id)["erased_at"] is not None:
        raise NotAllowed(f"client {client_id} is erased", field="client", next_step="Register the person anew.")
    values = {name: clean_remark(_known(name), raw) for name, raw in typed.items()}
    changed = {name: value for name, value in values.items() if value != treatment[name]}
    if not changed:
        return
    if seen is not None and seen != fingerprint(treatment):
        raise Stale("somebody else has changed this treatment meanwhile", next_step="Look at both, then save again.")
    clients.change_treatment(connection, treatment_id, changed)
    detail = {"treatment": treatment_id, "fields": sorted(changed)}
    revise.note(connection, clinic, client_id, ("treatment noted", detail), who)


def _known(name: str) -> str:
    if name not in LIMITS:
        raise BadInput(f"{name} cannot be set on a treatment", field=name, next_step=f"Fields: {', '.join(LIMITS)}.")
    return name
