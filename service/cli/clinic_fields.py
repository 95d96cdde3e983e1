"""The fields of a clinic as options of commands: `init` and `clinic add` take all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

CLINIC_OPTIONS = {
    "timezone": "IANA name, like Europe/London.",
    "phone": "Where clients call.",
    "hours": "Like 'mon-fri 09:00-18:00; sat 10:00-14:00'.",
    "closed-days": "Dates like 2026-12-25 or 2026-12-24..2027-01-01, with spaces between them.",
    "emergency-number": "Like 999 or 911; never guessed.",
    "urgent-line-name": "Like 'NHS 111', or 'your doctor or urgent care'.",
    "urgent-line-number": "May be left out.",
    "reply-to": "A mailbox somebody reads.",
    "sender-name": "Discreet: must not name the treatment.",
    "from-address": "Default: the reply address.",
    "send-at": "Local hour to write at; default 10:00.",
    "language": "Default: en.",
}


def clinic_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for name, sentence in reversed(CLINIC_OPTIONS.items()):
        command = click.option(f"--{name}", help=sentence)(command)
    return command


def given_fields(options: dict[str, Any]) -> dict[str, str]:
    """The clinic's fields that were given as options."""
    return {name: options[name] for name in (key.replace("-", "_") for key in CLINIC_OPTIONS) if options[name]}
