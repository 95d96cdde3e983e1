"""Holds what was caught against the rows: nothing twice, nothing out of its time, nothing astray or forgotten.

The caught mails are the evidence; the rows only say what each of them had to keep to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from service.demo.look import Look
from service.domain.reminder import Reason, State
from service.mail.caught import caught, read_caught

REPLACED = (Reason.SUPERSEDED, Reason.CORRECTED)


@dataclass(frozen=True)
class Caught:
    """One caught mail: its Message-ID, its Date (aware, None if unreadable), to whom it was delivered."""

    message_id: str
    dated: datetime | None
    to: str


def read_all(maildir: Path) -> list[Caught]:
    """All caught mails."""
    return [
        Caught(dict(read_caught(maildir, entry.id).headers)["Message-ID"], entry.dated, entry.to)
        for entry in caught(maildir)
    ]


def faults(mails: Sequence[Caught], seen: Look) -> Iterator[str]:
    """What breaks a promise, a sentence each, without personal data."""
    sent = {note.message_id: note for note in seen.notes.values() if note.state is State.SENT}
    copies = Counter(mail.message_id for mail in mails)
    yield from (f"one note was caught {number} times" for number in copies.values() if number > 1)
    yield from ("a note counts as sent and was not caught" for known in sent if known not in copies)
    steps = Counter((note.treatment_id, note.step) for note in sent.values())
    yield from (f"{step} of one treatment went out {n} times" for (_, step), n in steps.items() if n > 1)
    for mail in mails:
        note = sent.get(mail.message_id)
        if note is None:
            yield "a caught mail does not count as sent"
        elif mail.dated is None or not note.due_at <= mail.dated < note.useful_until:
            yield f"{note.step} went out before or after its time"
        elif mail.to != note.address:
            yield f"{note.step} went to another address"
    called = {call.note_id for call in seen.calls.values()}
    missed = [note for note in seen.notes.values() if note.state is State.MISSED]
    yield from (f"{note.step} was missed and nobody is asked to call" for note in missed if note.id not in called)


def summary(seen: Look) -> Iterator[tuple[str, str]]:
    """Label and number in words."""
    notes = list(seen.notes.values())
    sent = [note for note in notes if note.state is State.SENT]
    catch_ups = sum(note.is_catch_up for note in sent)
    late = sum(note.late is not None for note in sent)
    ended = Counter((note.state, note.reason) for note in notes)
    calls = Counter(call.state for call in seen.calls.values())
    yield "Sent", f"{len(sent)} (of these {late} late but still right, {catch_ups} catch-up)"
    yield "Missed", f"{sum(note.state is State.MISSED for note in notes)} (each one on the call list)"
    yield "Replaced", f"{sum(ended[State.CANCELLED, reason] for reason in REPLACED)} (new treatment, corrected date)"
    yield "Cancelled", f"{ended[State.CANCELLED, Reason.STOPPED]} (no more wanted)"
    yield "To come", f"{sum(note.waits for note in notes)}"
    made = f"{calls['closed']} made, {calls['covered']} not needed any more, {calls['open']} to make"
    yield "Calls", f"{len(seen.calls)} ({made})"
