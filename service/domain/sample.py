"""One believable letter of each kind, for previews, checks and golden files. Nobody real is in it."""

from __future__ import annotations

from datetime import date, timedelta

from service.domain.letter import Letter, LetterKind, Sender
from service.domain.protocol import FollowUpProtocol

TREATED_ON = date(2026, 11, 20)  # a Friday

SENDER = Sender(
    sender_name="Northgate",
    phone="01632 960 001",
    hours="mon-fri 09:00-18:00; sat 10:00-14:00",
    closed_on=None,
    emergency_number="999",
    urgent_line_name="NHS 111",
    urgent_line_number="111",
    wash_line="",
    reply_to="hello@northgate.example",
)


def sample_letter(kind: LetterKind, protocol: FollowUpProtocol | None, day: int, language: str) -> Letter:
    """A letter to Sam, treated on a Friday, for a day after that."""
    steps = protocol.steps if protocol else ()
    coming = next((step.day for step in steps if step.day > day), None)
    missed = [step.day for step in steps if step.day < day]
    return Letter(
        kind=kind,
        protocol=protocol.key if protocol else "",
        day=day,
        language=language,
        greeting_name="Sam",
        treated_on=TREATED_ON,
        for_on=TREATED_ON + timedelta(days=day),
        missed_on=TREATED_ON + timedelta(days=missed[-1]) if missed else TREATED_ON,
        next_on=TREATED_ON + timedelta(days=coming) if coming is not None else None,
        sender=SENDER,
        stop_url="https://notes.northgate.example/s/7Hk2pQ",
        today_url="https://notes.northgate.example/t/7Hk2pQ" if protocol else "",
        check_in_url="https://notes.northgate.example/c/7Hk2pQ" if protocol else "",
    )
