"""Sends once more only what is right today: a step that did not arrive and is still useful is planned anew.

For any other there are today's words, and a call: never the advice of another day.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa

from service.actions.again import did_not_arrive, plan_again
from service.actions.register import plan_rows
from service.actions.revise import Who, note
from service.domain.reminder import OPEN, Reason, State
from service.errors import NotAllowed
from service.store import clients, outbox, story
from service.store.calls import open_calls
from service.store.clinics import Clinic
from service.store.tables import Kind, calls, emails

#: Why a person is to phone who did not get an e-mail.
ASK_TODAY = "ask_today"


class Offer(StrEnum):
    """What may be done about an e-mail now."""

    AGAIN = "again"
    WAITING = "waiting"  # it, or the one that stands for its step now, is still to go out
    WITHHELD = "withheld"  # nothing goes to this client: the cause must be mended first
    ARRIVED = "arrived"  # nothing says that it did not
    OVER = "over"  # its day is past, or a newer treatment took over


@dataclass(frozen=True)
class Offered:
    """email: its row. why it may not go again is the offer itself. called: an open call to this client, 0 if none."""

    email: sa.RowMapping
    offer: Offer
    called: int


def offered(connection: sa.Connection, clinic: Clinic, email_id: int, who: Who) -> Offered:
    """What may be done about one e-mail. Raises NotFound."""
    row = story.email(connection, clinic.id, email_id)
    client = clients.get(connection, clinic.id, row["client_id"])
    asked = sa.select(calls.c.id).where(calls.c.client_id == row["client_id"], calls.c.state == sa.text("'open'"))
    called = connection.execute(asked.order_by(calls.c.due_at).limit(1)).scalar_one_or_none()
    return Offered(row, _offer(connection, row, client["state"], who), called or 0)


def _offer(connection: sa.Connection, row: sa.RowMapping, client_state: str, who: Who) -> Offer:
    treatment_id = row["treatment_id"]
    if treatment_id is None or row["kind"] != Kind.REMINDER:
        return Offer.WAITING if row["state"] in OPEN else Offer.OVER
    standing = {one["step"]: one for one in plan_rows(connection, treatment_id)}.get(row["step"])
    if standing is None or row["useful_until"] <= who.now:
        return Offer.OVER
    if standing["state"] in OPEN:
        return Offer.WAITING
    if standing["id"] != row["id"] or not _is_newest(connection, row):
        return Offer.OVER
    if client_state != "active":
        return Offer.WITHHELD
    return Offer.AGAIN if did_not_arrive(row) else Offer.ARRIVED if row["state"] == State.SENT else Offer.OVER


def _is_newest(connection: sa.Connection, row: sa.RowMapping) -> bool:
    """Whether the treatment counts and no newer one of its area took over (P7)."""
    done = clients.list_treatments(connection, row["clinic_id"], row["client_id"])
    live = [one for one in done if one["cancelled_at"] is None]
    area = next((one["area"] for one in live if one["id"] == row["treatment_id"]), None)
    same = [one["id"] for one in live if one["area"] == area]
    return area is not None and same[-1] == row["treatment_id"]


def resend(connection: sa.Connection, clinic: Clinic, email_id: int, who: Who) -> None:
    """Plan the step anew. The same wish again finds it waiting and does nothing. Raises NotAllowed, NotFound."""
    row = story.email(connection, clinic.id, email_id)
    clients.get(connection, clinic.id, row["client_id"], lock=True)
    found = offered(connection, clinic, email_id, who)
    if found.offer is Offer.WAITING:
        return
    if found.offer is not Offer.AGAIN:
        fix = "Tell the client what is right today, by phone."
        raise NotAllowed("this e-mail is not sent again", field="email", next_step=fix)
    plan_again(connection, clinic.id, [found.email], who.now)
    done = "e-mail planned again", {"email": email_id, "step": row["step"]}
    note(connection, clinic, row["client_id"], done, who)


def ask_for_call(connection: sa.Connection, clinic: Clinic, email_id: int, who: Who) -> None:
    """Put the client on the call list, unless they are on it. Raises NotFound."""
    row = story.email(connection, clinic.id, email_id)
    clients.get(connection, clinic.id, row["client_id"], lock=True)
    if offered(connection, clinic, email_id, who).called:
        return
    call = {"clinic_id": clinic.id, "client_id": row["client_id"], "email_id": None, "reason": ASK_TODAY}
    open_calls(connection, [call], who.now)
    note(connection, clinic, row["client_id"], ("call asked for", {"email": email_id}), who)


def skip(connection: sa.Connection, clinic: Clinic, email_id: int, who: Who) -> None:
    """Leave out one e-mail that has not gone out. The same wish again does nothing. Raises NotAllowed, NotFound."""
    row = story.email(connection, clinic.id, email_id)
    clients.get(connection, clinic.id, row["client_id"], lock=True)
    row = story.email(connection, clinic.id, email_id)
    if row["state"] == State.CANCELLED:
        return
    if not outbox.end_open(connection, emails.c.id == email_id, Reason.SKIPPED, who.now):
        raise NotAllowed(
            "this e-mail has gone out, or is going out",
            field="email",
            next_step="See what it said.",
        )
    note(connection, clinic, row["client_id"], ("e-mail left out", {"email": email_id, "step": row["step"]}), who)
