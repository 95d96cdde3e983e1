"""What a reader says through a link: "stop", and "this is not me". The links that carry it are made here too.

Whoever holds a link is believed: no log-in, no end of validity. Saying it twice changes nothing more. Refuses to tell
an erased client from one who never was.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

import sqlalchemy as sa

from service.actions import revise
from service.actions.revise import Who
from service.domain.persons import fold_address
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import FINAL, Reason
from service.errors import NotFound
from service.mail.signing import Signer
from service.store import audit, clients, clinics, outbox
from service.store.audit import Deed
from service.store.calls import open_calls
from service.store.clients import Dead
from service.store.clinics import Clinic
from service.store.locking import lock_clients
from service.store.tables import calls, emails, suppressions
from service.store.tables import clients as people

#: Purposes of links: a token made for one is nothing for the other.
STOP, NOT_ME = "stop", "not-me"
CHECK_IN, TODAY = "check-in", "today"
#: Slots of an e-mail that hold a link -> its purpose, and the path of its page under the public address.
PAGES = {"stop_url": (STOP, "/s/"), "check_in_url": (CHECK_IN, "/c/"), "today_url": (TODAY, "/t/")}
#: The slot of the mailto: URL by which a mail program stops; a client's own where returned mail is read.
STOP_MAILTO = "stop_mailto"
#: Who stands in the audit: all that is known is that somebody held the link.
ACTOR = "client"
WRONG_PERSON = "wrong_person"
NOT_THEM = "the reader says this is not them"
_SUBJECT = re.compile(r"([0-9a-f]{11})([0-9a-f]{6})")


class Link(NamedTuple):
    """Whom a link names. mark: six letters from a digest of the address it went to, which may be corrected since."""

    client_id: int
    mark: str


def link_of(client_id: int, address: str) -> Link:
    return Link(client_id, blake2b(fold_address(address).encode(), digest_size=3).hexdigest())


def write_link(signer: Signer, purpose: str, link: Link) -> str:
    """The token of a link: always the same for a client and address, always 40 characters."""
    return signer.token(purpose, _subject_of(link))


def read_link(signer: Signer, purpose: str, token: str) -> Link | None:
    """Whom a token names, or None for whatever was not made here for this purpose."""
    return named(signer.read_token(purpose, token))


def named(subject: str | None) -> Link | None:
    """Whom the subject of a token names."""
    found = _SUBJECT.fullmatch(subject or "")
    return Link(int(found[1], 16), found[2]) if found else None


def _subject_of(link: Link) -> str:
    return f"{link.client_id:011x}{link.mark}"


def links_in(clinic: Clinic, protocol: FollowUpProtocol | None) -> frozenset[str]:
    """The slots of PAGES that an e-mail fills: a link only where a page stands behind it. protocol: None for a hello.

    The check-in's needs the clinic's phone, which stands before it: the link never comes alone.
    """
    slots = {"stop_url"}
    if protocol and protocol.check_in and clinic.check_in and clinic.phone:
        slots.add("check_in_url")
    if protocol and protocol.today:
        slots.add("today_url")
    return frozenset(slots)


def write_links(signer: Signer, places: tuple[str, str | None], link: Link, slots: Collection[str]) -> dict[str, str]:
    """Slot -> the address of its page, or the mailto: URL of the client's own stop address.

    places: the public address without a slash at its end, and the domain of stop addresses.
    """
    public_url, stop_domain = places
    links = {
        slot: f"{public_url}{path}{write_link(signer, purpose, link)}"
        for slot, (purpose, path) in PAGES.items()
        if slot in slots
    }
    if STOP_MAILTO in slots:
        links[STOP_MAILTO] = f"mailto:{signer.stop_local_part(_subject_of(link))}@{stop_domain}?subject=Stop"
    return links


def is_theirs(connection: sa.Connection, client: sa.RowMapping, link: Link) -> bool:
    """Whether the link went to the address the client has now, and nobody there has said "this is not me"."""
    same = (suppressions.c.clinic_id == client["clinic_id"]) & (suppressions.c.email_folded == client["email_folded"])
    denied = sa.select(suppressions.c.id).where(
        same, suppressions.c.reason == NOT_THEM, suppressions.c.lifted_at.is_(None)
    )
    same_address: bool = link_of(link.client_id, client["email"]) == link
    return same_address and connection.execute(denied).first() is None


def clinic_of(connection: sa.Connection, client_id: int) -> Clinic:
    """The clinic a link's client belongs to. Raises NotFound, the same for an unknown and an erased one."""
    mine = (people.c.id == client_id) & people.c.erased_at.is_(None)
    clinic_id = connection.execute(sa.select(people.c.clinic_id).where(mine)).scalar_one_or_none()
    if clinic_id is None:
        raise _nobody()
    return clinics.get(connection, clinic_id)


def stop_by_link(connection: sa.Connection, client_id: int, clinic_id: int, now: datetime) -> None:
    """No more reminders of this clinic, and one call that hands over what they would have said.

    Also for a link that went to an address of before: a wish may come late, and the call finds out whose it was.
    Raises NotFound like `clinic_of`.
    """
    clinic = clinics.get(connection, clinic_id)
    _live(connection, clinic_id, client_id)
    revise.stop(connection, clinic, client_id, Who(ACTOR, now))
    stopped = clients.get(connection, clinic_id, client_id)
    # The page promises a call: also where nothing was planned any more, or the desk had stopped it without one.
    if _call_once(connection, stopped, Reason.STOPPED, stopped["stopped_at"], now):
        audit.note(connection, clinic_id, Deed(ACTOR, "call asked for", f"client {client_id}", {}), now)


def not_me(connection: sa.Connection, link: Link, clinic_id: int, now: datetime) -> None:
    """Write no more to the address of this link; call each client who has it for the right one.

    Changes nothing if the client has another address by now. Raises NotFound like `clinic_of`.
    """
    client = clients.get(connection, clinic_id, link.client_id)
    folded = client["email_folded"]
    same = (people.c.clinic_id == clinic_id) & (people.c.email_folded == folded) & people.c.erased_at.is_(None)
    sharing = set(connection.execute(sa.select(people.c.id).where(same)).scalars())
    lock_clients(connection, sharing | {link.client_id})
    client = _live(connection, clinic_id, link.client_id)
    if client["email_folded"] != folded or link_of(link.client_id, client["email"]) != link:
        return
    since = clients.suppress(connection, Dead(clinic_id, folded, NOT_THEM), now)
    theirs = emails.c.client_id.in_(sharing)
    waiting = set(
        connection.execute(sa.select(emails.c.client_id).where(theirs, emails.c.state.not_in(FINAL))).scalars()
    )
    ended = outbox.end_open(connection, theirs, Reason.SUPPRESSED, now)
    called = [
        client_id
        for client_id in sorted(waiting | {link.client_id})
        if _call_once(connection, {"id": client_id, "clinic_id": clinic_id}, WRONG_PERSON, since, now)
    ]
    if ended or called:
        detail = {"ended": ended, "calls": called}
        audit.note(connection, clinic_id, Deed(ACTOR, "not this person", f"client {link.client_id}", detail), now)


def _live(connection: sa.Connection, clinic_id: int, client_id: int) -> sa.RowMapping:
    client = clients.get(connection, clinic_id, client_id, lock=True)
    if client["erased_at"] is not None:
        raise _nobody()
    return client


def _nobody() -> NotFound:
    return NotFound("this link names nobody", field="token", next_step="Use the whole link from the e-mail.")


def _call_once(
    connection: sa.Connection, client: sa.RowMapping | dict[str, int], reason: str, since: datetime, now: datetime
) -> bool:
    """Open a call unless there has been one for this reason since then. True if it was opened."""
    known = sa.select(calls.c.id).where(
        calls.c.client_id == client["id"], calls.c.reason == str(reason), calls.c.opened_at >= min(since, now)
    )
    if connection.execute(known).first() is not None:
        return False
    call = {"clinic_id": client["clinic_id"], "client_id": client["id"], "email_id": None, "reason": str(reason)}
    open_calls(connection, [call], now)
    return True
