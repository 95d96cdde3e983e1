"""Codes as people say them: states, reasons, instants in the clinic's zone. For tables; JSON keeps the codes."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from service.domain.reminder import Reason

#: Why an e-mail is where it is.
REASONS: dict[str, str] = {
    Reason.REGISTERED_LATE: "registered too late for it",
    Reason.TOO_LATE: "its time was over before it could go out",
    Reason.TOO_EARLY: "waits for its hour",
    Reason.SUPERSEDED: "a newer treatment took over",
    Reason.CORRECTED: "the day of the treatment was corrected",
    Reason.CANCELLED: "the treatment was cancelled",
    Reason.SKIPPED: "the desk left it out",
    Reason.STOPPED: "the client wants no more",
    Reason.ERASED: "the client was erased",
    Reason.SUPPRESSED: "this address is not written to",
    Reason.NO_CONSENT: "the client said no",
    Reason.PAUSED: "the client is paused",
    Reason.UNAPPROVED: "its text is not approved",
    Reason.RENDER_ERROR: "it could not be written",
    Reason.RESTORED: "the database came from a backup",
    Reason.REFUSED: "the mail server refused it",
    Reason.TRY_AGAIN: "the mail server asked to try again later",
    Reason.RELAY_TROUBLE: "the mail server could not be used",
    Reason.REPLY_LOST: "the mail server's answer was lost",
    Reason.WORKER_LOST: "the program was stopped while sending",
    Reason.CHANGED: "the address or the text was changed",
    Reason.GAP: "another e-mail went out shortly before",
    Reason.PACE: "waits for the mail relay's limit a minute",
    Reason.DAILY_CAP: "waits: the clinic's limit a day is used up",
}
#: Why somebody must be phoned.
CALLS: dict[str, str] = {
    "missed": "an e-mail was missed",
    "failed": "an e-mail was refused",
    "unconfirmed": "an e-mail may not have arrived",
    "wrong_day": "advice for another day went out",
    "stopped": "wants no more e-mails",
    "registered_late": "registered too late for an e-mail",
    "bounced": "an e-mail came back",
    "check_address": "several e-mails came back: is the address right?",
    "reply": "answered an e-mail",
    "asked_to_stop": "asks by e-mail to stop; not proven",
    "wrong_person": "the e-mails reach somebody else",
    "ask_today": "did not get an e-mail: tell them what is right today",
    "red_answer": "a red answer in a check-in",
}

#: How urgent the answers of a check-in are.
LEVELS: dict[str, str] = {
    "E": "emergency, now",
    "D": "doctor today",
    "T": "call the clinic today",
    "S": "call the clinic within 2 working days",
    "V": "mention at the next visit",
    "N": "normal",
}


def words(code: str | None) -> str:
    """Any code without its underscores."""
    return (code or "").replace("_", " ")


def reason(code: str | None) -> str:
    """Why an e-mail is where it is; empty if there is nothing to say."""
    return REASONS.get(code or "", words(code))


def call_reason(code: str) -> str:
    return CALLS.get(code, words(code))


def local(at: datetime | None, zone: ZoneInfo, now: datetime) -> str:
    """An instant on the clinic's wall clock, like 'Sat 21 Nov 10:00'; with its year if that is not this year."""
    if at is None:
        return ""
    there = at.astimezone(zone)
    year = "" if there.year == now.astimezone(zone).year else f" {there.year}"
    return f"{there:%a} {there.day} {there:%b}{year} {there:%H:%M}"
