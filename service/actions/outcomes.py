"""From what was heard, or decided, about a claimed row to the Outcome the book records."""

from __future__ import annotations

from datetime import datetime

from service.domain.contact import Withheld
from service.domain.reminder import Claimed, Reason, State, after, ended
from service.domain.replies import Heard, Kind, Stage, Verdict, classify
from service.store.ledger import Outcome
from service.store.outbox import ClaimedEmail


def heard_outcome(
    row: ClaimedEmail, heard: Heard, verdict: Verdict, at: tuple[str, datetime, datetime | None], doubt_cap: int
) -> Outcome:
    """What one conversation means for its row. at: worker, now, and when it was marked (None: it was not)."""
    worker, now, marked_at = at
    repeats = row.doubt_retries + (1 if marked_at is not None and row.in_doubt else 0)
    claimed = Claimed(row.id, row.attempts, repeats, row.in_doubt, row.useful_until)
    what = after(claimed, verdict, now, doubt_cap)
    return Outcome(
        id=row.id,
        clinic_id=row.clinic_id,
        client_id=row.client_id,
        kind=row.kind,
        token=row.token,
        worker=worker,
        claimed_at=row.claimed_at,
        marked_at=marked_at,
        ended_at=now,
        state=what.state,
        reason=what.reason,
        not_before=what.not_before,
        attempts=what.attempts,
        # A definite refusal thaws: the next attempt may use newer words. A row in doubt stays frozen.
        thaw=verdict.kind is not Kind.IN_DOUBT and not row.in_doubt,
        suppress=verdict.suppress,
        outcome=what.state if what.state is not State.PLANNED else str(what.reason),
        stage=heard.stage,
        code=heard.code,
        enhanced=heard.enhanced,
        reply=heard.text or heard.failure or None,
    )


def withheld_outcome(
    row: ClaimedEmail, decision: Withheld, worker: str, now: datetime, *, spoke: bool = True
) -> Outcome:
    """What our own check means for its row: nothing was sent now. spoke: it leaves an attempt as evidence."""
    return Outcome(
        id=row.id,
        clinic_id=row.clinic_id,
        client_id=row.client_id,
        kind=row.kind,
        token=row.token,
        worker=worker,
        claimed_at=row.claimed_at,
        marked_at=None,
        ended_at=now,
        state=decision.state,
        reason=decision.reason,
        not_before=decision.not_before,
        attempts=row.attempts,
        thaw=False,
        spoke=spoke,
        outcome=decision.state if decision.state is not State.PLANNED else str(decision.reason),
        stage=Stage.MARK,
        reply=str(decision.reason),
    )


def broken_outcome(row: ClaimedEmail, at: tuple[str, datetime, datetime | None], doubt_cap: int) -> Outcome:
    """A bug of ours met by one e-mail: held for a person; after its mark it is in doubt as after a lost reply."""
    worker, now, marked_at = at
    if marked_at is None:
        state = ended(in_doubt=row.in_doubt, otherwise=State.HELD)
        return withheld_outcome(row, Withheld(state, Reason.RENDER_ERROR), worker, now)
    heard = Heard(Stage.MESSAGE, failure="a bug of ours")
    return heard_outcome(row, heard, classify(heard), at, doubt_cap)


def given_back(row: ClaimedEmail, worker: str, now: datetime, reason: Reason) -> Outcome:
    """The relay could not be reached at all: the row goes back as it was, and no attempt is counted."""
    state = State.IN_DOUBT if row.in_doubt else State.PLANNED
    return withheld_outcome(row, Withheld(state, reason), worker, now, spoke=False)
