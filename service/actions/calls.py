"""The call list: close with an outcome and a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from service.actions.revise import Who
from service.domain.persons import clean_line
from service.errors import BadInput, NotAllowed, NotFound
from service.store import audit
from service.store.audit import Deed
from service.store.calls import UNDONE, call_within
from service.store.clinics import Clinic
from service.store.tables import calls

NO_ANSWER = "no_answer"
OUTCOMES = ("reached", "no_answer", "referred", "wrong_number")


@dataclass(frozen=True)
class Closing:
    """How a call ended: one of OUTCOMES, and a note."""

    outcome: str
    note: str = ""


def close(connection: sa.Connection, clinic: Clinic, call_id: int, closing: Closing, who: Who) -> None:
    """Close one open call of this clinic; after "no_answer" it stays open, with a new deadline.

    Raises BadInput, NotFound, or NotAllowed if it is closed already.
    """
    if closing.outcome not in OUTCOMES:
        raise BadInput(
            f"{closing.outcome!r} is not an outcome of a call",
            field="outcome",
            next_step=f"Use one of {', '.join(OUTCOMES)}.",
        )
    mine = (calls.c.clinic_id == clinic.id) & (calls.c.id == call_id)
    found = _locked(connection, mine, call_id)
    if found.state != "open":
        raise NotAllowed(f"call {call_id} is {found.state} already", field="call", next_step="Nothing is left to do.")
    note = clean_line("note", closing.note, 1000) if closing.note else None
    if closing.outcome == NO_ANSWER:
        # Nobody was told anything yet: it stays on the list, with a new deadline.
        again = {"tries": calls.c.tries + 1, "tried_at": who.now, "due_at": who.now + call_within(found.level)}
        connection.execute(sa.update(calls).where(mine).values(**again, **({"note": note} if note else {})))
    else:
        ended = {"state": "closed", "outcome": closing.outcome, "closed_by": who.actor, "closed_at": who.now}
        connection.execute(sa.update(calls).where(mine).values(**ended, note=note or calls.c.note))
    deed = Deed(
        who.actor,
        "call tried" if closing.outcome == NO_ANSWER else "call closed",
        f"client {found.client_id}",
        {"call": call_id, "outcome": closing.outcome},
    )
    audit.note(connection, clinic.id, deed, who.now)


def _locked(connection: sa.Connection, mine: sa.ColumnElement[bool], call_id: int) -> Any:
    asked = sa.select(calls.c.state, calls.c.outcome, calls.c.client_id, calls.c.level).where(mine)
    found = connection.execute(asked.with_for_update()).one_or_none()
    if found is None:
        raise NotFound(f"this clinic has no call {call_id}", field="call", next_step="See `aftercare calls list`.")
    return found


def reopen(connection: sa.Connection, clinic: Clinic, call_id: int, who: Who) -> None:
    """Open a closed call again: it turned out not to be done. Raises NotFound, or NotAllowed if nobody closed it."""
    mine = (calls.c.clinic_id == clinic.id) & (calls.c.id == call_id)
    found = _locked(connection, mine, call_id)
    if found.outcome == UNDONE:
        raise NotAllowed("The registration was undone", field="call", next_step="There is nothing to phone about.")
    if found.state != "closed":
        raise NotAllowed(f"call {call_id} is {found.state}", field="call", next_step="Only a call that is done can.")
    again = {"state": "open", "outcome": None, "closed_by": None, "closed_at": None}
    connection.execute(sa.update(calls).where(mine).values(**again, due_at=who.now + call_within(found.level)))
    audit.note(
        connection, clinic.id, Deed(who.actor, "call reopened", f"client {found.client_id}", {"call": call_id}), who.now
    )
