"""One look at the outbox and the call list: values for the story and the proof, nothing decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.demo.words import day_of
from service.domain.reminder import Reason, State
from service.store import calls, clients, lists
from service.store.engine import Store
from service.store.lists import OutboxFilter
from service.store.tables import Kind

#: Sent later than this after its hour, a note is told as late.
LATE = timedelta(hours=1)


@dataclass(frozen=True)
class Note:
    """One e-mail of the outbox and the client it is for. Instants are UTC."""

    id: int
    client: str
    address: str
    treatment_id: int
    kind: Kind
    step: str
    state: State
    reason: Reason | None
    due_at: datetime
    not_before: datetime
    useful_until: datetime
    sent_at: datetime | None
    message_id: str | None

    @property
    def waits(self) -> bool:
        return self.state in (State.PLANNED, State.IN_DOUBT, State.HELD)

    @property
    def is_catch_up(self) -> bool:
        return self.kind is Kind.CATCH_UP

    @property
    def what(self) -> str:
        """How the story calls it: "day 3" or "catch-up"."""
        return "catch-up" if self.is_catch_up else f"day {day_of(self.step)}"

    @property
    def late(self) -> timedelta | None:
        """By how much it went out after its hour, if that is worth telling."""
        lateness = self.sent_at - self.due_at if self.sent_at else timedelta()
        return lateness if lateness > LATE else None


@dataclass(frozen=True)
class Call:
    """One row of the call list."""

    id: int
    note_id: int | None
    client: str
    phone: str
    reason: str
    due_at: datetime
    state: str


@dataclass(frozen=True)
class Look:
    """notes by id, in order of their due times; calls by id, in order of their deadlines."""

    notes: dict[int, Note]
    calls: dict[int, Call]

    def next_moment(self, now: datetime) -> datetime | None:
        """The next instant at which a waiting note falls due or goes out of date."""
        waiting = [note for note in self.notes.values() if note.waits]
        moments = [at for note in waiting for at in (note.not_before, note.useful_until) if at > now]
        return min(moments, default=None)


def look(store: Store, clinic_id: int) -> Look:
    """What stands in the rows now."""
    with store.read() as connection:
        people = {row["id"]: row for row in clients.listed(connection, clinic_id)}
        notes = [
            Note(
                id=row["id"],
                client=people[row["client_id"]]["name"],
                address=people[row["client_id"]]["email"],
                treatment_id=row["treatment_id"],
                kind=Kind(row["kind"]),
                step=row["step"],
                state=State(row["state"]),
                reason=Reason(row["reason"]) if row["reason"] else None,
                due_at=row["due_at"],
                not_before=row["not_before"],
                useful_until=row["useful_until"],
                sent_at=row["sent_at"],
                message_id=row["message_id"],
            )
            for row in lists.outbox_rows(connection, clinic_id, OutboxFilter())
        ]
        to_call = [
            Call(row["id"], row["email_id"], row["name"], row["phone"], row["reason"], row["due_at"], row["state"])
            for row in calls.listed(connection, clinic_id)
        ]
    return Look({note.id: note for note in notes}, {call.id: call for call in to_call})
