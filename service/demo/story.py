"""What changed between two looks at the rows, in plain words. It asks the rows, never the scenario."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from service.demo.look import Call, Look, Note
from service.demo.words import hours, listed, spoken
from service.domain.reminder import Reason, State

#: Why a note did not go out: the word the line begins with, and a sentence that fits one note and several.
_ENDED = {
    (State.MISSED, Reason.TOO_LATE): ("Missed", "Out of date by now."),
    (State.MISSED, Reason.REGISTERED_LATE): ("Missed", "Registered too late for it."),
    (State.CANCELLED, Reason.SUPERSEDED): ("Replaced", "The new treatment has notes of its own."),
    (State.CANCELLED, Reason.CORRECTED): ("Replaced", "Planned anew for the right day."),
    (State.CANCELLED, Reason.STOPPED): ("Cancelled", "No more are wanted."),
}


def changes(before: Look, after: Look, zone: ZoneInfo) -> Iterator[str]:
    """A sentence for each: what will not go out, who must be called, what went out, which call is needed no more."""
    moved = [note for note in after.notes.values() if note.state is not _state_before(before, note)]
    for alike in _grouped([note for note in moved if note.state not in (State.SENT, State.PLANNED)]):
        yield _not_going(alike)
    for call in after.calls.values():
        if call.id not in before.calls:
            yield _to_call(call, after, zone)
    for note in moved:
        if note.state is State.SENT:
            yield _sent(note, zone)
    for call in after.calls.values():
        if call.state == "covered" and before.calls[call.id].state == "open":
            yield f"Call not needed any more: {call.client}. The next note has gone out in time."


def due_in_vain(seen: Look, now: datetime) -> Iterator[str]:
    """What would go out at this very instant if the computer were on."""
    for note in seen.notes.values():
        if note.state is State.PLANNED and note.not_before == now:
            yield f"Waiting: {note.what} note to {note.client}. Still no power."


def _state_before(before: Look, note: Note) -> State:
    known = before.notes.get(note.id)
    return known.state if known else State.PLANNED


def _grouped(notes: Sequence[Note]) -> list[list[Note]]:
    """Notes of one treatment that ended alike, together."""
    groups: dict[tuple[int, State, Reason | None], list[Note]] = {}
    for note in notes:
        groups.setdefault((note.treatment_id, note.state, note.reason), []).append(note)
    return list(groups.values())


def _not_going(alike: Sequence[Note]) -> str:
    first = alike[0]
    otherwise = (first.state.replace("_", " ").capitalize(), f"Reason: {first.reason}.".replace("_", " "))
    word, why = _ENDED.get((first.state, first.reason), otherwise) if first.reason else otherwise
    notes = f"{listed([note.what for note in alike])} note{'s' if len(alike) > 1 else ''}"
    return f"{word}: {notes} to {first.client}. {why}"


def _to_call(call: Call, after: Look, zone: ZoneInfo) -> str:
    about = after.notes.get(call.note_id or 0)
    if call.reason == Reason.STOPPED:
        why = "No note will name the warning signs now, so a person must."
    elif about is not None:
        why = f"The {about.what} note was missed."
    else:
        why = f"Reason: {call.reason}.".replace("_", " ")
    return f"To call by {call.due_at.astimezone(zone):%H:%M}: {call.client}, {call.phone}. {why}"


def _sent(note: Note, zone: ZoneInfo) -> str:
    if note.is_catch_up:
        return f"Sent: catch-up note to {note.client}, with what is right today"
    if note.late:
        until = spoken(note.useful_until, zone)
        return f"Sent late: {note.what} note to {note.client}. {hours(note.late)} late, still right until {until}."
    return f"Sent: {note.what} note to {note.client}"
