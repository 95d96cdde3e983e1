"""What an SMTP reply, or its absence, means: accepted, temporary, permanent, configuration or in doubt, and for whom.

Table: the class of every stage and code (RFC 5321 4.2, RFC 3463, RFC 4954). The first digit of the three-digit reply
decides; the enhanced code refines. Trouble of scope RELAY or CONNECTION is never the client's: it uses up no attempt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from service.domain.reply_words import ADDRESS_IS_DEAD, contradicted, refuses_us, unknown_user


class Stage(StrEnum):
    """How far a conversation came when the reply, or the silence, happened."""

    CONNECT = "connect"
    GREETING = "greeting"
    TLS = "tls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    MARK = "mark"  # the relay said 354; the mark was refused or could not be committed: nothing was sent
    MESSAGE = "message"  # from the first byte of the message to the reply to its final dot


class Kind(StrEnum):
    ACCEPTED = "accepted"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    CONFIGURATION = "configuration"
    IN_DOUBT = "in_doubt"
    WITHHELD = "withheld"  # our own last check said no, or the mark was not committed


class Scope(StrEnum):
    """Whose trouble it is."""

    RELAY = "relay"
    CONNECTION = "connection"
    RECIPIENT = "recipient"
    MESSAGE = "message"


@dataclass(frozen=True)
class Heard:
    """What one conversation heard about one message.

    code: three-digit reply, None if none came (dropped, timed out, garbage). text: the reply's words, one line,
    without the code, at most 500 characters. failure: our word for a missing reply ("timed out", "connection lost").
    """

    stage: Stage
    code: int | None = None
    text: str = ""
    failure: str = ""

    @property
    def enhanced(self) -> str | None:
        """The enhanced status code (RFC 3463) if the words begin with one."""
        found = _ENHANCED.match(self.text)
        return found.group(0) if found else None


@dataclass(frozen=True)
class Verdict:
    """The meaning. counts: this try uses up an attempt. suppress: the address does not exist; write no more."""

    kind: Kind
    scope: Scope
    counts: bool = False
    suppress: bool = False


#: Our words for a reply that did not come (Heard.failure).
CONNECTION_LOST = "connection lost"
TIMED_OUT = "timed out"
NOT_SMTP = "not SMTP"

_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}(?=[\s:]|\Z)")
_NOT_FOR_US = re.compile(
    r"relay(?:ing)? (?:access )?(?:is )?(?:denied|not (?:permitted|allowed))|unable to relay|authentication required",
    re.IGNORECASE,
)
#: Many relays report a refused sender only at RCPT: it is still the sender that is wrong.
_OUR_SENDER = re.compile(r"sender address rejected|sender verify failed", re.IGNORECASE)
_OUR_SENDER_CODES = frozenset({"4.1.7", "4.1.8", "5.1.7", "5.1.8"})
_OUT_OF_STEP = frozenset({500, 502, 503})

_RELAY_TEMPORARY = Verdict(Kind.TEMPORARY, Scope.RELAY)
_CONNECTION_TEMPORARY = Verdict(Kind.TEMPORARY, Scope.CONNECTION)
_CONFIGURATION = Verdict(Kind.CONFIGURATION, Scope.RELAY)


#: How the built-in catcher's reply to a message begins: it left this machine no further.
CAUGHT = "Caught as "


def was_caught(reply: str | None) -> bool:
    """Whether an e-mail that counts as sent went to the built-in catcher. reply: what is recorded of the answer."""
    return CAUGHT in (reply or "")


def classify(heard: Heard) -> Verdict:
    """The meaning of what was heard. Pure; every pair of stage and code has an answer."""
    if heard.stage is Stage.MARK:
        return Verdict(Kind.WITHHELD, Scope.MESSAGE)
    if heard.code is None:
        return _silence(heard)
    if heard.code == 421:
        return _closing(heard.stage)
    match heard.stage:
        case Stage.RCPT:
            return _recipient(heard, heard.code)
        case Stage.DATA | Stage.MESSAGE:
            return _message(heard, heard.code)
        case _:
            return _before_recipient(heard.stage, heard.code)


def _silence(heard: Heard) -> Verdict:
    """No reply came. Before the message nothing can have been accepted; afterwards nobody knows (RFC 1047)."""
    match heard.stage:
        case Stage.MESSAGE:
            return Verdict(Kind.IN_DOUBT, Scope.CONNECTION, counts=True)
        case Stage.TLS if heard.failure not in {CONNECTION_LOST, TIMED_OUT}:
            return _CONFIGURATION
        case Stage.MAIL | Stage.RCPT | Stage.DATA:
            return _CONNECTION_TEMPORARY
        case _:
            return _RELAY_TEMPORARY


def _closing(stage: Stage) -> Verdict:
    """421: the relay closes. To DATA or the dot it is a definite "not now" that waits as long as any other."""
    match stage:
        case Stage.DATA | Stage.MESSAGE:
            return Verdict(Kind.TEMPORARY, Scope.CONNECTION, counts=True)
        case Stage.MAIL | Stage.RCPT:
            return _CONNECTION_TEMPORARY
        case _:
            return _RELAY_TEMPORARY


def _before_recipient(stage: Stage, code: int) -> Verdict:
    if stage is Stage.AUTH and code < 400:
        return _CONFIGURATION
    return _RELAY_TEMPORARY if code < 500 else _CONFIGURATION


def _recipient(heard: Heard, code: int) -> Verdict:
    if code < 400:
        return _CONNECTION_TEMPORARY
    if (
        code == 530
        or code in _OUT_OF_STEP
        or _NOT_FOR_US.search(heard.text)
        or (code >= 500 and refuses_us(heard.text))
    ):
        return _CONFIGURATION
    enhanced = heard.enhanced
    if enhanced in _OUR_SENDER_CODES or _OUR_SENDER.search(heard.text):
        return _RELAY_TEMPORARY if code < 500 else _CONFIGURATION
    if code < 500:
        if enhanced == "4.5.3":
            return _CONNECTION_TEMPORARY
        return Verdict(Kind.TEMPORARY, Scope.RECIPIENT, counts=True)
    if enhanced is None and code != 556:
        dead = unknown_user(heard.text)
    else:
        dead = (code == 556 or enhanced in ADDRESS_IS_DEAD) and not contradicted(heard.text)
    return Verdict(Kind.PERMANENT, Scope.RECIPIENT, counts=True, suppress=dead)


def _message(heard: Heard, code: int) -> Verdict:
    if heard.stage is Stage.MESSAGE and 200 <= code < 300:
        return Verdict(Kind.ACCEPTED, Scope.MESSAGE, counts=True)
    if code == 530 or (heard.stage is Stage.DATA and code in _OUT_OF_STEP):
        return _CONFIGURATION
    if code >= 500:
        return Verdict(Kind.PERMANENT, Scope.MESSAGE, counts=True)
    if code >= 400:
        return Verdict(Kind.TEMPORARY, Scope.MESSAGE, counts=True)
    # A 1yz, 2yz or 3yz that does not fit its place: before the message nothing was sent; after it nobody knows.
    return _silence(heard)
