"""Bounces that are written for people only: which addresses they name, and how clearly they say why.

In doubt soft. Nothing is read below the line where the copy of our own e-mail begins.
"""

from __future__ import annotations

import re

from service.domain.reply_words import ADDRESS_IS_DEAD, codes, contradicted, unknown_user
from service.mail.reports_status import BounceClass, Recipient, settled
from service.mail.reports_words import COPY, DELAY, FAILURE, FINAL

#: More names than this in a report about one e-mail of ours, and none of them is believed.
MOST_NAMED = 20

_MESSAGE_ID = re.compile(
    r"^[ \t>]{0,10}message-id:[ \t]{0,10}\n?[ \t]{0,10}(<[^<>\s]{3,250}>)", re.IGNORECASE | re.MULTILINE
)
_ADDRESS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,10}[A-Za-z]{2,63}"
#: An address at the beginning of a line is what a report is about; anywhere else it may be anybody's.
_HEADED = re.compile(
    rf"^[ \t>*-]{{0,20}}(?:recipient(?: address)?:|to:)?[ \t]{{0,4}}<?(?:mailto:)?({_ADDRESS})>?",
    re.IGNORECASE | re.MULTILINE,
)
_ANYWHERE = re.compile(rf"(?<![A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.-]){_ADDRESS}")
_OURS = re.compile(r"\+[a-z2-7]{20,62}@", re.IGNORECASE)
_DESKS = ("postmaster@", "mailer-daemon@", "abuse@", "support@", "help@")
_REFUSED = re.compile(r"(?<![\d.])55\d[\s-](?:5\.\d{1,3}\.\d{1,3})(?!\.?\d)")


def tells_failure(words: str) -> bool:
    """Whether a subject or the beginning of a text says that an e-mail was not delivered."""
    return bool(FAILURE.search(words))


def head_and_copy(text: str) -> tuple[str, str]:
    """The report itself, and the copy of the returned e-mail below it."""
    found = COPY.search(text)
    return (text, "") if found is None else (text[: found.start()], text[found.start() :])


def message_ids(copy: str) -> tuple[str, ...]:
    return tuple(_MESSAGE_ID.findall(copy)[:5])


def recipients_of(text: str, failed: list[str]) -> list[Recipient]:
    """Each address the report is about, with its class. text: without the copy. failed: what its header names."""
    headed = (found[1] for found in _HEADED.finditer(text))
    named = list(dict.fromkeys(failed)) or list(
        dict.fromkeys(address for address in headed if not _is_machine(address))
    )
    if len(named) > MOST_NAMED:
        named = []
    if len(named) > 1:
        return settled([_recipient(address, _passage(text, address, named)) for address in named])
    others = {address.lower() for address in _ANYWHERE.findall(text) if not _is_machine(address)}
    if not named and len(others) == 1:
        named = list(others)
    return [_recipient(named[0] if named else "", text)]


def _is_machine(address: str) -> bool:
    """Their own help desk, or our own envelope address."""
    return bool(_OURS.search(address)) or address.lower().startswith(_DESKS)


def _passage(text: str, address: str, named: list[str]) -> str:
    """From an address to the next one: what is said of it alone."""
    start = text.find(address)
    if start < 0:
        return ""
    ends = [at for other in named if other != address and (at := text.find(other, start + len(address))) >= 0]
    return text[start : min(ends, default=len(text))]


def _recipient(address: str, words: str) -> Recipient:
    """A delay that says so is one; a failure is hard if the words are clear and every code agrees."""
    found = list(dict.fromkeys(codes(words)))
    status = found[0] if len(found) == 1 else None
    waiting = DELAY.search(words) or (found and all(code[0] == "4" for code in found))
    if waiting and not FINAL.search(words):
        return Recipient(address, "delayed", status, BounceClass.DELAYED)
    dead = bool(address) and not contradicted(words) and _clear(words, found)
    return Recipient(address, "failed", status, BounceClass.HARD if dead else BounceClass.SOFT)


def _clear(words: str, found: list[str]) -> bool:
    if not found:
        return unknown_user(words)
    return ADDRESS_IS_DEAD.issuperset(found) and (unknown_user(words) or bool(_REFUSED.search(words)))
