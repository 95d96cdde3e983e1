"""What a machine-readable report says of each recipient (RFC 3464, RFC 6533), and how bad that is for the address.

The worst error is a false hard bounce: whoever is taken for gone gets no advice any more. What contradicts itself is
soft.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from service.domain.reply_words import ADDRESS_IS_DEAD, codes, contradicted, unknown_user
from service.mail.reports_mime import MOST_TEXT, Part, Unreadable, fields

#: A report of ours has one recipient; more than this is read by nobody.
MOST_RECIPIENTS = 50


class BounceClass(StrEnum):
    """hard: the address does not exist. soft: any other failure. delayed: still tried. none: nothing failed."""

    HARD = "hard"
    SOFT = "soft"
    DELAYED = "delayed"
    NONE = "none"


@dataclass(frozen=True)
class Recipient:
    """What a report says of one address. address: "" if it names none. action, status: as the report has them."""

    address: str
    action: str | None
    status: str | None
    bounce_class: BounceClass


_ACTIONS = ("failed", "delayed", "delivered", "relayed", "expanded")
_STATUS = re.compile(r"[245]\.(?:0|[1-9]\d{0,2})\.(?:0|[1-9]\d{0,2})(?=[\s(;]|\Z)")
_ESCAPED = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")
_COMMENT = re.compile(r"\([^()]*\)")
_PLAIN = re.compile(
    r"(?<![^\s<>()\",;:])[^\s<>()\",;:\\\x00-\x1f\x7f-\x9f@]{1,64}@[^\s<>()\",;:\\\x00-\x1f\x7f-\x9f@]{1,190}"
)


def read_status(part: Part) -> tuple[list[Recipient], list[tuple[str, str]]]:
    """Recipients of a message/delivery-status part, and all its fields."""
    everything: list[tuple[str, str]] = []
    recipients: list[Recipient] = []
    for block in _blocks(part):
        known = list(fields(block))
        everything += known
        about_somebody = any(name in ("final-recipient", "original-recipient") for name, _ in known)
        if about_somebody and len(recipients) < MOST_RECIPIENTS:
            recipients.append(_recipient(known))
    return settled(recipients), everything


def _blocks(part: Part) -> list[bytes]:
    text = part.content()[:MOST_TEXT].replace(b"\r\n", b"\n")
    blocks = re.split(rb"\n[ \t]*\n", text)
    if len(blocks) > 10 * MOST_RECIPIENTS:
        raise Unreadable("a delivery report with too many recipients")
    return [block.strip(b"\n") for block in blocks]


def _recipient(known: list[tuple[str, str]]) -> Recipient:
    """One block of fields. A field that stands twice and differs proves nothing."""

    def said(name: str) -> set[str]:
        return {value for known_name, value in known if known_name == name}

    addresses = {address_of(value) for value in said("final-recipient") or said("original-recipient")}
    actions = {value.split("(")[0].strip().lower() for value in said("action")}
    statuses = {found[0] if (found := _STATUS.match(value)) else "" for value in said("status")}
    words = " ".join(said("diagnostic-code"))
    action = next(iter(sorted(actions)), None)
    status = next(iter(sorted(statuses)), None) or None
    bounce_class = _class_of(action, status, words)
    if bounce_class is BounceClass.HARD and (max(map(len, (addresses, actions, statuses))) > 1 or "" in statuses):
        bounce_class = BounceClass.SOFT
    shown = action if action in _ACTIONS else None
    return Recipient(min(addresses) if len(addresses) == 1 else "", shown, status, bounce_class)


def _class_of(action: str | None, status: str | None, words: str) -> BounceClass:
    match action:
        case "failed":
            return BounceClass.HARD if _is_dead(status, words) else BounceClass.SOFT
        case "delayed":
            return BounceClass.DELAYED
        case "delivered" | "relayed" | "expanded":
            return BounceClass.NONE
        case _:
            return BounceClass.SOFT if (status or "").startswith("5") else BounceClass.NONE


def _is_dead(status: str | None, words: str) -> bool:
    """Without a status the words must be clear; with one they must not contradict it."""
    if status is not None:
        return status in ADDRESS_IS_DEAD and not contradicted(words)
    return not contradicted(words) and (bool(ADDRESS_IS_DEAD.intersection(codes(words))) or unknown_user(words))


def settled(recipients: Iterable[Recipient]) -> list[Recipient]:
    """The same address told in several ways is not hard."""
    listed = list(recipients)
    doubtful = {one.address.lower() for one in listed if one.bounce_class is not BounceClass.HARD}
    return [
        replace(one, bounce_class=BounceClass.SOFT)
        if one.bounce_class is BounceClass.HARD and one.address.lower() in doubtful
        else one
        for one in listed
    ]


def address_of(value: str) -> str:
    """The address of a field like "rfc822; sam@example.com", "" if it holds none."""
    kind, semicolon, rest = value.partition(";")
    if semicolon and kind.strip().lower() not in ("rfc822", "utf-8", "smtp", "internet"):
        return ""
    plain = _ESCAPED.sub(_character, rest if semicolon else value)
    found = _PLAIN.search(_COMMENT.sub("", plain[:1000]))
    return found[0] if found else ""


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if 0x20 < number < 0x110000 and not 0xD800 <= number < 0xE000 else ""


def read_feedback(part: Part) -> list[tuple[str, str]]:
    """The fields of a message/feedback-report (RFC 5965)."""
    return list(fields(part.content()[:MOST_TEXT].strip()))
