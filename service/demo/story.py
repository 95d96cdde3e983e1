"""What changed between two looks at the outbox and the call list, in plain words. Asks the rows, never the scenario."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from service.demo.words import day_of, hours, listed, spoken
from service.domain.reminder import Reason, State
from service.store import calls, lists
from service.store.lists import OutboxFilter
from service.store.tables import Kind

#: Sent later than this after its hour, a note is told as late.
LATE = timedelta(hours=1)
WAITING = (State.PLANNED, State.IN_DOUBT, State.HELD)

#: Why a note did not go out, for whoever reads the story.
_ENDED = {
    (State.MISSED, Reason.TOO_LATE): "missed: by now it would say what is no longer true",
    (State.MISSED, Reason.REGISTERED_LATE): "missed: its time had passed when the treatment was registered",
    (State.CANCELLED, Reason.SUPERSEDED): "will not go out: the notes of the new treatment take its place",
    (State.CANCELLED, Reason.CORRECTED): "will not go out: planned anew for the right date",
    (State.CANCELLED, Reason.STOPPED): "will not go out",
}
_CALL = {
    str(Reason.STOPPED): "tell the warning signs by phone, no note will",
    str(Reason.REGISTERED_LATE): "the {note} was missed",
    str(State.MISSED): "the {note} was missed",
}


@dataclass(frozen=True)
class Look:
    """The outbox by row id, in order of due times, and the call list by call id."""

    emails: dict[int, sa.RowMapping]
    calls: dict[int, sa.RowMapping]
    names: dict[int, str]

    def next_moment(self, now: datetime) -> datetime | None:
        """The next instant at which a waiting note falls due or goes out of date."""
        waiting = [row for row in self.emails.values() if row["state"] in WAITING]
        moments = [at for row in waiting for at in (row["not_before"], row["useful_until"]) if at > now]
        return min(moments, default=None)


def look(connection: sa.Connection, clinic_id: int, names: dict[int, str]) -> Look:
    """names: client id -> name."""
    rows = lists.outbox_rows(connection, clinic_id, OutboxFilter())
    return Look(
        emails={row["id"]: row for row in rows},
        calls={row["id"]: row for row in calls.listed(connection, clinic_id)},
        names=names,
    )


def note_name(row: sa.RowMapping) -> str:
    """What a note is called in the story: "day 3 note"."""
    return "catch-up note" if row["kind"] == Kind.CATCH_UP else f"day {day_of(row['step'])} note"


def changes(before: Look, after: Look, zone: ZoneInfo) -> Iterator[str]:
    """One sentence for each thing that happened: what will not go out, whom to call, what went out, which call is off."""
    moved = [row for key, row in after.emails.items() if row["state"] != _state(before.emails.get(key))]
    yield from _not_going(moved, after)
    for key, call in after.calls.items():
        if key not in before.calls:
            yield _to_call(call, after, zone)
    for row in moved:
        if row["state"] == State.SENT:
            yield _sent(row, after, zone)
    for key, call in after.calls.items():
        if call["state"] == "covered" and before.calls[key]["state"] == "open":
            yield f"No need to call {call['name']} any more: the later note went out in time."


def due_in_vain(seen: Look, now: datetime) -> Iterator[str]:
    """What would go out at this very instant if the computer were on."""
    for row in seen.emails.values():
        if row["state"] == State.PLANNED and row["not_before"] == now:
            yield f"Still no power: the {note_name(row)} to {seen.names[row['client_id']]} has to wait."


def _state(row: sa.RowMapping | None) -> str:
    return State.PLANNED if row is None else row["state"]


def _not_going(moved: list[sa.RowMapping], after: Look) -> Iterator[str]:
    ended = [row for row in moved if row["state"] not in (State.SENT, State.PLANNED)]

    def alike(row: sa.RowMapping) -> tuple[Any, ...]:
        return row["client_id"], row["treatment_id"], row["state"], row["reason"] or ""

    for (client_id, _, state, reason), group in groupby(sorted(ended, key=alike), key=alike):
        notes = [note_name(row) for row in sorted(group, key=lambda row: str(row["due_at"]))]
        which = listed([note.removesuffix(" note") for note in notes]).capitalize()
        why = _ENDED.get((state, reason), f"now {state}: {reason}".replace("_", " "))
        if len(notes) > 1:
            why = why.replace("takes its place", "take their place").replace("its ", "their ")
        yield f"{which} note{'s' if len(notes) > 1 else ''} to {after.names[client_id]} {why}."


def _to_call(call: sa.RowMapping, after: Look, zone: ZoneInfo) -> str:
    row = after.emails.get(call["email_id"])
    why = _CALL.get(call["reason"], call["reason"].replace("_", " ")).format(note=note_name(row) if row else "note")
    by = call["due_at"].astimezone(zone)
    return f"To call by {by:%H:%M}: {call['name']}, {call['phone']}. Why: {why}."


def _sent(row: sa.RowMapping, after: Look, zone: ZoneInfo) -> str:
    said = f"{note_name(row).capitalize()} to {after.names[row['client_id']]}"
    late = row["sent_at"] - row["due_at"]
    if row["kind"] == Kind.CATCH_UP:
        return f"{said}, with what is right today."
    if late > LATE:
        return f"{said}, {hours(late)} late and still right (until {spoken(row['useful_until'], zone)})."
    return f"{said}"
