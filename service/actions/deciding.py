"""The last check of letters whose turn has come, for all that share a commit: may each of them go out now?

Asked in the transaction of the mark, with the clients locked, so that no stop can slip between the check and the mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from service.actions.writing import Written
from service.domain.contact import Allowed, ContactFacts, Decision, Withheld, may_we_write
from service.domain.reminder import GAP_BETWEEN_REMINDERS, Reason, State
from service.store.marking import LastLook, last_look
from service.store.pace import left_today, take
from service.store.tables import Kind

_SPACED = (Kind.REMINDER, Kind.CATCH_UP)


def decide(
    connection: sa.Connection, letters: Sequence[Written], now: datetime, per_minute: int | None
) -> list[Decision | None]:
    """For each letter, in order; None where somebody else has decided about its row meanwhile."""
    looks = last_look(connection, [letter.row.id for letter in letters])
    caps = {letter.row.clinic_id: looks[letter.row.id].daily_cap for letter in letters if letter.row.id in looks}
    left = left_today(connection, {clinic_id: cap for clinic_id, cap in caps.items() if cap is not None}, now)
    written_to: set[int] = set()
    decisions: list[Decision | None] = []
    for letter in letters:
        row, look = letter.row, looks.get(letter.row.id)
        if look is None or look.state != State.CLAIMED or look.token != row.token:
            decisions.append(None)
            continue
        last = now if row.client_id in written_to else look.last_reminder_at
        decision = may_we_write(_facts(letter, look, now, (last, left.get(row.clinic_id, 1) < 1)))
        if isinstance(decision, Allowed):
            if look.kind in _SPACED:
                written_to.add(row.client_id)
            if row.clinic_id in left:
                left[row.clinic_id] -= 1
        decisions.append(decision)
    return decisions if per_minute is None else _paced(connection, letters, decisions, per_minute)


def _paced(
    connection: sa.Connection, letters: Sequence[Written], decisions: list[Decision | None], per_minute: int
) -> list[Decision | None]:
    """No more of the allowed than this minute has room for; the others go back and cost nothing."""
    allowed = [place for place, decision in enumerate(decisions) if isinstance(decision, Allowed)]
    granted = take(connection, len(allowed), per_minute) if allowed else 0
    for place in allowed[granted:]:
        state = State.IN_DOUBT if letters[place].row.in_doubt else State.PLANNED
        decisions[place] = Withheld(state, Reason.PACE)
    return decisions


def _facts(letter: Written, look: LastLook, now: datetime, said: tuple[datetime | None, bool]) -> ContactFacts:
    """said: when another reminder last went to this client, and whether the clinic's day is used up."""
    last, cap_reached = said
    # A retry and a repeat in doubt belong to a reminder whose turn has come already.
    first_try = look.kind in _SPACED and look.doubt_since is None and not letter.row.attempts
    return ContactFacts(
        now=now,
        due_at=look.due_at,
        useful_until=look.useful_until,
        client_erased=look.erased_at is not None,
        client_stopped=look.stopped_at is not None,
        client_paused=look.paused_at is not None,
        consent_withheld=not look.consented,
        treatment_cancelled=look.cancelled_at is not None,
        address_suppressed=look.suppressed,
        address_changed=look.address != letter.row.address,
        text_approved=True,  # chosen when it was claimed; a withdrawn version is never chosen
        gap_until=last + GAP_BETWEEN_REMINDERS if last is not None and first_try else None,
        cap_reached=cap_reached,
        in_doubt=look.doubt_since is not None,
    )
