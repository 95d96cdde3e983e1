"""A returned message: delivery report, complaint, automatic reply, stop request, a person's reply, or nothing known.

The strict formats come first (RFC 3464, RFC 5965, RFC 3834), then words. Reads only: nothing here ever answers, so no
two machines can begin to write to each other. Any bytes have an answer; what is beyond the bounds is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from service.mail import reports_text
from service.mail.reports_machine import Manner, answers_by_itself, manner, sender_address
from service.mail.reports_mime import MESSAGES, Part, Unreadable, fields, header_words, read_message, text_of, walk
from service.mail.reports_status import BounceClass, Recipient, address_of, read_feedback, read_status
from service.mail.signing import Signer

__all__ = ["BounceClass", "Kind", "Recipient", "Report", "read_report"]

#: So many different envelope addresses are tried with the keys; a report of ours holds one.
MOST_TOKENS = 50
MOST_ANSWERED = 50


class Kind(StrEnum):
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    AUTO_REPLY = "auto_reply"
    STOP = "stop"
    HUMAN = "human"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Report:
    """What a returned message says.

    token_subject: the e-mail's id as our signed envelope address names it, None without a token that verifies.
    stop_subject: whom the signed stop address names that it was sent to, None if it was not.
    message_ids: of the returned original, or of what is answered; with <>. sender: the address it says it is from.
    sent_to: addresses it was sent to. All addresses in small letters but those of `recipients`. reason: one sentence
    without personal data.
    """

    kind: Kind
    recipients: tuple[Recipient, ...] = ()
    token_subject: str | None = None
    stop_subject: str | None = None
    message_ids: tuple[str, ...] = ()
    sender: str = ""
    sent_to: tuple[str, ...] = ()
    reason: str = ""


def read_report(raw: bytes, signer: Signer | None) -> Report:
    """What these bytes are. signer: None where there is no key, then no token verifies. Raises nothing."""
    try:
        top = read_message(raw)
        report, around = _machine_report(top) or _letter(top)
    except Unreadable as error:
        return Report(Kind.UNKNOWN, reason=f"not read: {error}")
    sender, sent_to = sender_address(top), tuple(_addresses(top.all(*_ARRIVED)))
    report = replace(report, token_subject=_subject(around, signer), sender=sender, sent_to=sent_to)
    stop = _stop_subject(sent_to, signer)
    if stop is None or report.kind in (Kind.BOUNCE, Kind.COMPLAINT) or answers_by_itself(top):
        return report
    # Whoever has the address is believed, whatever the letter says: some mail programs write their own words.
    return replace(report, kind=Kind.STOP, stop_subject=stop, reason="sent to a signed stop address")


_ARRIVED = ("to", "cc", "delivered-to", "x-original-to", "envelope-to", "x-envelope-to", "x-delivered-to")
_IDS = re.compile(r"<[^<>\s]{3,250}>")
_TOKEN = re.compile(r"(?<![A-Za-z0-9._=-])[A-Za-z0-9._=-]{1,30}\+[A-Za-z2-7]{10,62}(?=@)")
_STATUSES = ("message/delivery-status", "message/global-delivery-status")
_HEADERS_ONLY = ("text/rfc822-headers", "message/rfc822-headers", "message/global-headers")
#: Feedback types (RFC 5965 7.3) by which somebody says: no more of this.
_COMPLAINTS = ("abuse", "fraud", "opt-out", "opt-out-list", "other", "virus")

#: A report, and all the text in which our signed envelope address may stand.
_Read = tuple[Report, list[str]]


def _machine_report(level: Part, outside: tuple[str, ...] = ()) -> _Read | None:
    """A report by RFC 3464 or RFC 5965, in this message or in those it wraps."""
    around = [*outside, *(value for _, value in level.headers)]
    parts = list(walk(level))
    for part in parts:
        if part.type in _STATUSES:
            return _bounce(part, parts, around)
        if part.type == "message/feedback-report":
            return _complaint(part, parts, around)
    inner = (child for part in parts if part.type in MESSAGES for child in part.children)
    return next((found for message in inner if (found := _machine_report(message, tuple(around)))), None)


def _bounce(status: Part, parts: list[Part], around: list[str]) -> _Read:
    recipients, said = read_status(status)
    original = list(_original(parts))
    around = around + [value for _, value in said] + [value for _, value in original]
    reason = "a delivery report (RFC 3464)" if recipients else "a delivery report that names nobody"
    return Report(Kind.BOUNCE, tuple(recipients), message_ids=_ids(original), reason=reason), around


def _complaint(feedback: Part, parts: list[Part], around: list[str]) -> _Read:
    said = read_feedback(feedback)
    original = list(_original(parts))
    kinds = {value.split("(")[0].strip().lower() for name, value in said if name == "feedback-type"}
    about = [value for name, value in said if name in ("original-rcpt-to", "removal-recipient")]
    about = about or [value for name, value in original if name == "to"]
    named = tuple(
        Recipient(address, None, None, BounceClass.NONE) for address in dict.fromkeys(map(address_of, about)) if address
    )
    around = around + [value for _, value in said] + [value for _, value in original]
    known = len(kinds) == 1 and kinds <= set(_COMPLAINTS)
    reason = "a complaint (RFC 5965)" if known else "a feedback report that is no complaint"
    return Report(
        Kind.COMPLAINT if known else Kind.UNKNOWN, named[:1], message_ids=_ids(original), reason=reason
    ), around


def _original(parts: list[Part]) -> Iterator[tuple[str, str]]:
    """The header fields of the e-mail that a report returns."""
    for part in parts:
        if part.type in _HEADERS_ONLY:
            yield from fields(part.content().lstrip(b"\r\n"))
        elif part.type in MESSAGES:
            yield from (field for child in part.children for field in child.headers)


def _ids(original: list[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(found for name, value in original if name == "message-id" for found in _IDS.findall(value)[:1])


def _letter(top: Part) -> _Read:
    """Everything that is no machine-readable report: by headers, then by words."""
    parts = list(walk(top))
    text = text_of(parts)
    subject = header_words(top.get("subject")).strip()
    around = [value for name, value in top.headers if name != "subject"]
    match manner(top, subject, text):
        case Manner.BOUNCE:
            return _worded_bounce(top, parts, text, around)
        case Manner.AUTOMATIC:
            return Report(Kind.AUTO_REPLY, message_ids=_answered(top), reason="sent by a machine"), around
        case Manner.STOP:
            return Report(Kind.STOP, message_ids=_answered(top), reason="asks for no more e-mails"), around
        case Manner.PERSON:
            return Report(Kind.HUMAN, message_ids=_answered(top), reason="a person's reply"), around
        case _:
            return Report(Kind.UNKNOWN, message_ids=_answered(top), reason="nothing that is known"), around


def _worded_bounce(top: Part, parts: list[Part], text: str, around: list[str]) -> _Read:
    head, copy = reports_text.head_and_copy(text)
    failed = _addresses(top.all("x-failed-recipients"))
    original = list(_original(parts))
    recipients = reports_text.recipients_of(head, failed)
    around = [*around, text, *(value for _, value in original)]
    ids = _ids(original) or reports_text.message_ids(copy)
    return Report(Kind.BOUNCE, tuple(recipients), message_ids=ids, reason="a bounce in words"), around


def _answered(top: Part) -> tuple[str, ...]:
    values = " ".join(top.all("in-reply-to", "references"))
    return tuple(dict.fromkeys(_IDS.findall(values)))[:MOST_ANSWERED]


def _addresses(values: Iterable[str]) -> list[str]:
    found = (address_of(piece) for value in values for piece in value.split(",")[:50])
    return list(dict.fromkeys(address.lower() for address in found if address))[:50]


def _subject(around: list[str], signer: Signer | None) -> str | None:
    """What the tokens name that verify: None for none, or for two that differ."""
    if signer is None:
        return None
    tokens = dict.fromkeys(found.lower() for value in around for found in _TOKEN.findall(value))
    subjects = {signer.read_bounce_local_part(token) for token in list(tokens)[:MOST_TOKENS]} - {None}
    return subjects.pop() if len(subjects) == 1 else None


def _stop_subject(sent_to: tuple[str, ...], signer: Signer | None) -> str | None:
    """Whom the stop addresses name that it was sent to: None for none, or for two that differ."""
    locals_ = [address.rpartition("@")[0] for address in sent_to]
    subjects = {signer.read_stop_local_part(one) for one in locals_} - {None} if signer else set()
    return subjects.pop() if len(subjects) == 1 else None
