"""What the audit's lines about a client say in plain words; none for what the rows themselves tell better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from service.web.desk.dates import day_words

Detail = Mapping[str, Any]
_FIELDS = {"email": "address", "client_ref": "own number", "guardian": "guardian"}
#: Told by the rows of the client, its treatments, e-mails, calls and check-ins.
_TOLD_ELSEWHERE = frozenset({
    "client added", "client opened", "treatment added", "call closed", "call tried", "call reopened", "call asked for",
    "check-in answered", "e-mail left out",
})  # fmt: skip
_RETURNED = {
    "complaint": ("Complained about an e-mail", "act"),
    "stop": ("Asked by e-mail to stop", "act"),
    "human": ("Answered an e-mail", "wait"),
}


def _changed(detail: Detail) -> str:
    return "Corrected: " + ", ".join(_FIELDS.get(name, name) for name in detail.get("fields", ()))


def _moved(detail: Detail) -> str:
    return f"Treatment corrected: {_day(detail.get('from'))} → {_day(detail.get('to'))}"


def _day(raw: object) -> str:
    try:
        on = date.fromisoformat(str(raw))
    except ValueError:
        return "?"
    return f"{day_words(on, on)} {on.year}"


def _again(detail: Detail) -> str:
    return f"Asked to send once more: {str(detail.get('step', '')).replace('-0', ' ').replace('-', ' ')}"


_WORDS: Mapping[str, tuple[str | Callable[[Detail], str], str]] = {
    "client changed": (_changed, "past"),
    "client agreed": ("Agreed to these e-mails", "good"),
    "client stopped": ("Stopped: no more e-mails", "held"),
    "client stop undone": ("The stop was undone", "good"),
    "client paused": ("Paused", "held"),
    "client resumed": ("Resumed", "good"),
    "client erased": ("Erased", "past"),
    "registration undone": ("Registration undone", "past"),
    "client exported": ("A copy of everything was taken", "past"),
    "audit pack taken": ("A pack for an inspector was taken", "past"),
    "treatment corrected": (_moved, "past"),
    "treatment noted": ("Pigment lot or note changed", "past"),
    "treatment cancelled": ("Treatment cancelled", "past"),
    "address written to again": ("We write to this address again", "good"),
    "e-mail planned again": (_again, "wait"),
    "not this person": ("The reader said: this is not me", "act"),
}


def deed_words(action: str, detail: Detail) -> tuple[str, str] | None:
    """What was done, and the kind of its badge; None for what is told elsewhere."""
    if action in _TOLD_ELSEWHERE:
        return None
    if action == "returned mail":
        return _RETURNED.get(str(detail.get("kind")))
    words, kind = _WORDS.get(action, (action.capitalize(), "past"))
    return (words if isinstance(words, str) else words(detail)), kind
