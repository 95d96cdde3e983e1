"""What was sent where: which e-mails went to which address of a client, when, and every word they disclosed.

For the day on which an address turns out to be somebody else's. To print; links in it open nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from service.actions.sent_words import SentWords, sent_words, without_keys
from service.domain.persons import fold_address
from service.store import story
from service.web.desk.client_email import PROOFS, desk_of
from service.web.desk.dates import day_words
from service.web.desk.people import opened
from service.web.desk.visit import Answer, Page, Route, Visit

#: E-mails on the page: years of visits.
SHOWN = 200
_OWN = "It opens only while the e-mail's address is the client's own."
#: What the page behind each link shows to whoever has the e-mail.
_BEHIND = {
    "stop_url": "The link to stop opens a page with the clinic's name in the e-mails, its phone number and its address "
    "for answers. It names nobody.",
    "today_url": f"The link to the page of the day shows what is normal on the day it is opened. {_OWN}",
    "check_in_url": f"The link to the check-in asks how the skin is. {_OWN}",
}


def _sent(visit: Visit) -> Answer:
    client = opened(visit)
    with visit.store.read() as connection:
        rows = [row for row in story.emails_of(connection, visit.clinic.id, client["id"]) if row["marked_at"]]
        desk = desk_of(visit)
        found = [sent_words(connection, desk, row["id"]) for row in rows[:SHOWN]]
    found.sort(key=lambda one: one.email["marked_at"])
    addresses = _addresses(found)
    which = _chosen(visit.query.get("which", ""), addresses)
    shown = [one for one in found if which is None or fold_address(one.to) == fold_address(addresses[which])]
    said = {
        "client": client,
        "addresses": addresses,
        "which": which,
        "shown": [_told(visit, one) for one in shown],
        "behind": [words for slot, words in _BEHIND.items() if any(slot in one.links for one in shown)],
        "more": len(rows) - SHOWN,
        "made_at": _exactly(visit, visit.now),
    }
    return Page("client_sent.html", said)


def _addresses(found: Iterable[SentWords]) -> list[str]:
    """Every address something went to, as it was written first, in that order."""
    known: dict[str, str] = {}
    for one in found:
        if one.to:
            known.setdefault(fold_address(one.to), one.to)
    return list(known.values())


def _chosen(raw: str, addresses: Sequence[str]) -> int | None:
    """Which of the addresses; None for all. A number: no address belongs into the address of a page."""
    number = int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 9 else 0
    return number - 1 if 0 < number <= len(addresses) else None


def _told(visit: Visit, one: SentWords) -> dict[str, Any]:
    """One e-mail as the page tells it. text: without the keys of its links, which would open the client's pages."""
    begun_at, sent_at = one.email["marked_at"], one.email["sent_at"]
    return {
        "words": one,
        "email": one.email,
        "at": _exactly(visit, sent_at or begun_at),
        "proof": PROOFS[one.proof],
        "text": without_keys(one.text),
    }


def _exactly(visit: Visit, instant: datetime) -> str:
    """For a form that somebody reads years later: with the year and the second."""
    local = instant.astimezone(visit.clinic.zone)
    return f"{day_words(local.date(), local.date())} {local.year}, {local:%H:%M:%S}"


ROUTES = (Route("GET", "/clients/{client_id}/sent", _sent),)
