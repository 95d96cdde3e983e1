"""What the desk does in one go while the client is there: register client, treatment and hello; mend the address; undo.

Each is one transaction. The same page saved twice, or the same treatment of the same person, adds nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from service.actions import register, revise
from service.actions.addresses import check_address
from service.actions.foresee import Given, foresee
from service.actions.hello import say_hello
from service.actions.register import NewClient, NewTreatment
from service.actions.revise import Who
from service.domain.persons import fold_address
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import Reason, State
from service.domain.schedule import local_day
from service.errors import BadInput, NotAllowed
from service.store import audit, clients, hellos, outbox
from service.store.audit import Deed
from service.store.calls import UNDONE, cover_bounced
from service.store.clinics import Clinic
from service.store.tables import Kind, calls, emails, treatments

UNDO_WITHIN = timedelta(minutes=3)
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,32}")
#: An e-mail in one of these states has gone out, is going out, or may have.
OUT = (State.SENDING, State.SENT, State.IN_DOUBT, State.UNCONFIRMED)


@dataclass(frozen=True)
class Saved:
    """What became of a page. created: False if it, or this treatment of this person, was saved before."""

    client_id: int
    treatment_id: int
    created: bool = True


@dataclass(frozen=True)
class Page:
    """What the page was about. seen: digest of the plan somebody looked at. nonce: the page's own, made up by us."""

    given: Given
    seen: str
    nonce: str = ""


def register_visit(
    connection: sa.Connection, clinic: Clinic, page: Page, client: NewClient | None, who: Who
) -> Saved | None:
    """Save a page: the client if new (None: `page.given.client_id`), the treatment, its plan, and the hello.

    None, and nothing is written, if it would do something else than what was looked at. Raises BadInput, NotFound.
    """
    before = saved_from(connection, clinic, page.nonce)
    if before is not None:
        return before
    foreseen = foresee(connection, clinic, page.given, who.now)
    if foreseen.client is not None:
        clients.get(connection, clinic.id, foreseen.client["id"], lock=True)
        foreseen = foresee(connection, clinic, page.given, who.now)
    if foreseen.client is not None and foreseen.known is not None:
        return Saved(foreseen.client["id"], foreseen.known, created=False)
    if foreseen.digest != page.seen:
        return None
    if foreseen.client is not None:
        client_id = foreseen.client["id"]
        _agree(connection, clinic, client_id, page.given.agreed, who)
    elif client is not None:
        client_id = register.add_client(connection, clinic, client, who.actor, who.now)["id"]
    else:
        return None
    new = NewTreatment(client_id, page.given.protocol, page.given.treated_on, remarks=page.given.remarks)
    planned = register.add_treatment(connection, clinic, new, who.actor, who.now)
    if planned.created:
        nonce = page.nonce if _NONCE.fullmatch(page.nonce) else None
        facts = {"nonce": nonce, "with_client": foreseen.client is None}
        clients.change_treatment(connection, planned.treatment_id, facts)
    _greet(connection, clinic, client_id, who)
    return Saved(client_id, planned.treatment_id, planned.created)


def saved_from(connection: sa.Connection, clinic: Clinic, nonce: str) -> Saved | None:
    """What the page with this nonce was saved as, None if it was not, or was undone."""
    if not _NONCE.fullmatch(nonce):
        return None
    query = sa.select(treatments.c.client_id, treatments.c.id).where(
        treatments.c.clinic_id == clinic.id, treatments.c.nonce == nonce, treatments.c.cancelled_at.is_(None)
    )
    found = connection.execute(query.order_by(treatments.c.id).limit(1)).one_or_none()
    return Saved(found.client_id, found.id, created=False) if found is not None else None


def _agree(connection: sa.Connection, clinic: Clinic, client_id: int, words: int | None, who: Who) -> None:
    """Somebody who had said no has agreed now; what was agreed before stays as it was recorded."""
    client = clients.get(connection, clinic.id, client_id)
    if words is not None and client["consent_on"] is None:
        agreed = {"consent_on": local_day(who.now, clinic.zone), "consent_by": who.actor, "consent_words": words}
        clients.change(connection, client_id, agreed)
        deed = Deed(who.actor, "client agreed", f"client {client_id}", {"words_version": words})
        audit.note(connection, clinic.id, deed, who.now)


def _greet(connection: sa.Connection, clinic: Clinic, client_id: int, who: Who) -> None:
    """The hello, unless one was accepted at this address, one is under way, or nothing may go there."""
    client = clients.get(connection, clinic.id, client_id)
    if hellos.accepted_at(connection, clinic.id, client["email_folded"]) is None:
        _hello_once(connection, clinic, client, who)


def _hello_once(connection: sa.Connection, clinic: Clinic, client: sa.RowMapping, who: Who) -> None:
    if client["state"] == "active" and not hellos.is_under_way(connection, clinic.id, client["id"]):
        say_hello(connection, clinic, client["id"], who.now)


def mend_address(connection: sa.Connection, clinic: Clinic, client_id: int, raw: str, who: Who) -> None:
    """Another address for a client, and a hello to it. Raises BadInput for a wrong one and for the one that failed."""
    address = check_address(raw)
    client = clients.get(connection, clinic.id, client_id, lock=True)
    if fold_address(address) == client["email_folded"]:
        raise BadInput(
            "That is the address we have", field="email", next_step="Ask for it once more, letter by letter."
        )
    changed = revise.change_client(connection, clinic, client_id, {"email": address}, who)
    cover_bounced(connection, client_id, who.now)
    # Whatever was accepted earlier may have been accepted at the address of before.
    _hello_once(connection, clinic, changed, who)


def undo(connection: sa.Connection, clinic: Clinic, treatment_id: int, protocol: FollowUpProtocol, who: Who) -> None:
    """Take back what was registered a moment ago: the treatment, and the client too if the same page registered them.

    One line in the audit. Raises NotAllowed after three minutes, or once a reminder is out. Twice is once.
    """
    treatment = clients.get_treatment(connection, clinic.id, treatment_id)
    if treatment["cancelled_at"] is not None:
        return
    if who.now - treatment["created_at"] > UNDO_WITHIN:
        raise NotAllowed(
            "The three minutes are over", field="undo", next_step="Cancel the treatment on the client's page instead."
        )
    theirs = (emails.c.treatment_id == treatment_id) & emails.c.state.in_(OUT)
    if connection.execute(sa.select(emails.c.id).where(theirs)).first() is not None:
        raise NotAllowed(
            "One of the e-mails has gone out already",
            field="undo",
            next_step="Cancel the treatment on the client's page instead.",
        )
    client = clients.get(connection, clinic.id, treatment["client_id"])
    _settle(connection, treatment, who)
    others = [
        row["id"]
        for row in clients.list_treatments(connection, clinic.id, client["id"])
        if row["cancelled_at"] is None and row["id"] != treatment_id
    ]
    if others or not treatment["with_client"]:
        revise.cancel_treatment(connection, clinic, treatment_id, protocol, who)
        return
    clients.change_treatment(connection, treatment_id, {"cancelled_at": who.now})
    revise.erase(connection, clinic, client["id"], who, "registration undone")


def _settle(connection: sa.Connection, treatment: sa.RowMapping, who: Who) -> None:
    """Nobody is to be phoned, or greeted, about a visit that was not."""
    theirs = calls.c.email_id.in_(sa.select(emails.c.id).where(emails.c.treatment_id == treatment["id"]))
    settled = {"state": "closed", "outcome": UNDONE, "closed_at": who.now, "closed_by": who.actor}
    connection.execute(sa.update(calls).where(theirs, calls.c.state == "open").values(settled))
    came_with_it = (emails.c.kind == Kind.HELLO) & (emails.c.planned_at >= treatment["created_at"])
    hello = (emails.c.client_id == treatment["client_id"]) & came_with_it
    outbox.end_open(connection, hello, Reason.CANCELLED, who.now)
