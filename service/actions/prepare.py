"""What a worker looks up once a claim so that writing each e-mail asks nothing: clinics, words, neighbouring steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from service.actions.shelf import Name, Shelf
from service.actions.writing import Around, Words, Writer, Written, text_name
from service.domain.contact import Withheld
from service.domain.own_steps import other_days
from service.domain.protocol import FollowUpProtocol
from service.domain.reminder import Reason, State, ended
from service.domain.schedule import local_day
from service.store import clinics, outbox
from service.store.clinics import Clinic
from service.store.neighbours import Neighbour, neighbours
from service.store.outbox import ClaimedEmail, Lease
from service.store.tables import Kind


@dataclass
class Preparer:
    """Claims rows and writes them. shelf: the words; writer: facts to bytes.

    return_address: the envelope's sender by e-mail id; None: the clinic's own address.
    """

    shelf: Shelf
    writer: Writer
    return_address: Callable[[int], str] | None = None
    _clinics: dict[int, Clinic] = field(default_factory=dict)
    _steps: dict[int, Sequence[Neighbour]] = field(default_factory=dict)
    _names: set[Name] = field(default_factory=set)

    def claim(self, connection: sa.Connection, ids: Sequence[int], lease: Lease, now: datetime) -> list[ClaimedEmail]:
        """Claim rows and look up what writing them needs, in the transaction of the claim."""
        rows = outbox.claim(connection, ids, lease, now)
        # Rows of the batch before may still be unwritten: keep their clinics, newly read.
        self._clinics = clinics.by_ids(connection, {row.clinic_id for row in rows} | self._clinics.keys())
        self._names |= {self._name(row) for row in rows}
        self.shelf.refresh(connection, self._clinics, now.date(), self._names)
        standing = neighbours(connection, [row.treatment_id for row in rows if row.treatment_id])
        for row in rows:
            if row.in_doubt:
                self.shelf.keep(connection, row.text_id)
            # Worked out when it is written: what is wrong with one clinic must not stop the claim of the others.
            self._steps[row.id] = standing.get(row.treatment_id or 0, ())
        return rows

    def write(self, row: ClaimedEmail, now: datetime) -> Written | Withheld:
        """The bytes of one claimed row, or why there are none. Raises whatever is wrong with its clinic's row."""
        steps = self._steps.pop(row.id)
        clinic = self._clinics[row.clinic_id]
        protocol = self.shelf.catalogue.protocols.get(row.protocol or "")
        words = self._words(row, clinic, protocol)
        if words is None:
            reason = Reason.CHANGED if row.in_doubt else Reason.UNAPPROVED
            return Withheld(ended(in_doubt=row.in_doubt, otherwise=State.HELD), reason)
        around = _around(row, steps, clinic, protocol)
        written = self.writer.write(row, clinic, protocol, words, (now, around))
        if self.return_address is None or isinstance(written, Withheld):
            return written
        return written._replace(mail_from=self.return_address(row.id))

    def _words(self, row: ClaimedEmail, clinic: Clinic, protocol: FollowUpProtocol | None) -> Words | None:
        if row.kind == Kind.HELLO:
            return Words(None, self.shelf.hello(clinic, row.language))
        if protocol is None:
            return None
        if row.in_doubt:
            version = self.shelf.frozen(row.text_id)
        else:
            version = self.shelf.choose(clinic, *self._name(row), row.language)
        return Words(version, self.shelf.compiled(version)) if version else None

    def _name(self, row: ClaimedEmail) -> Name:
        """Which text it needs; an empty name if its protocol no longer has that step."""
        protocol = self.shelf.catalogue.protocols.get(row.protocol or "")
        return (row.protocol or "", (text_name(row, protocol) if protocol else None) or "")

    def covers(self, row: ClaimedEmail) -> tuple[str, ...]:
        """The steps whose missed call this e-mail, sent in time, makes up for."""
        protocol = self.shelf.catalogue.protocols.get(row.protocol or "")
        if protocol is None or row.kind != Kind.REMINDER:
            return ()
        return tuple(step.key for step in protocol.steps if step.covered_by == row.step)


def _around(row: ClaimedEmail, steps: Sequence[Neighbour], clinic: Clinic, protocol: FollowUpProtocol | None) -> Around:
    """steps: the treatment's standing reminders, by day."""
    waiting = ("planned", "claimed", "held")
    open_later = [step.due_at for step in steps if step.due_at > row.due_at and step.state in waiting]
    missed = [step.due_at for step in steps if step.state == State.MISSED and step.due_at <= row.due_at]
    return Around(
        next_on=local_day(min(open_later), clinic.zone) if open_later else None,
        missed_on=local_day(max(missed), clinic.zone) if missed and row.kind == Kind.CATCH_UP else None,
        days=other_days(protocol, [(step.step, step.day) for step in steps]) if protocol else (),
    )
