"""The book of a delivery after each message: outcome, attempt, and what follows from a refusal.

Each function runs inside one short transaction that many conversations share. Nothing here talks to a relay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.store.calls import open_calls
from service.store.outbox import NO_LEASE, end_open, lock_clients
from service.store.tables import LEASED, Kind, attempts, clients, emails, suppressions

_leased = sa.text(LEASED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one claimed row. spoke: a conversation about it was begun, so it leaves an attempt."""

    id: int
    clinic_id: int
    client_id: int
    kind: str
    token: str
    worker: str
    claimed_at: datetime
    marked_at: datetime | None
    ended_at: datetime
    state: State
    reason: Reason | None
    not_before: datetime | None
    attempts: int
    thaw: bool
    suppress: bool = False
    spoke: bool = True
    outcome: str = ""
    stage: str | None = None
    code: int | None = None
    enhanced: str | None = None
    reply: str | None = None


_LAST: dict[str, sa.BindParameter[Any]] = {
    "last_code": sa.bindparam("b_code"),
    "last_enhanced": sa.bindparam("b_enhanced"),
    "last_stage": sa.bindparam("b_stage"),
    "last_reply": sa.bindparam("b_reply"),
    "attempts": sa.bindparam("b_attempts"),
}
# A late 250 is a fact, whoever holds the row by now: it also stops a repeat that is not yet marked.
_SENT = (
    sa.update(emails)
    .where(emails.c.id == sa.bindparam("b_id"), emails.c.state != State.SENT)
    .values(
        state=State.SENT,
        reason=None,
        sent_at=sa.bindparam("b_ended_at"),
        ended_at=sa.bindparam("b_ended_at"),
        **NO_LEASE,
        **_LAST,
    )
)
_MINE = (
    emails.c.id == sa.bindparam("b_id"),
    emails.c.lease_token == sa.bindparam("b_token"),
    _leased,
)
_AGAIN = (
    sa.update(emails)
    .where(*_MINE)
    .values(
        state=sa.bindparam("b_state"),
        reason=sa.bindparam("b_reason"),
        not_before=sa.func.coalesce(sa.bindparam("b_not_before", type_=emails.c.not_before.type), emails.c.not_before),
        doubt_since=sa.func.coalesce(
            emails.c.doubt_since, sa.bindparam("b_doubt_since", type_=emails.c.doubt_since.type)
        ),
        ended_at=sa.bindparam("b_ended"),
        **NO_LEASE,
        **_LAST,
    )
)
_THAWED = dict.fromkeys(("text_id", "text_version", "frame_version", "facts", "dated", "digest", "marked_at"))
_THAW = _AGAIN.values(**_THAWED)
_ATTEMPT = sa.insert(attempts)


def record(connection: sa.Connection, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes and their attempts; suppress dead addresses; open the calls that a failure makes necessary."""
    if not outcomes:
        return
    lock_clients(connection, _concerned(connection, outcomes))
    for statement, group in (
        (_ATTEMPT, [_attempt(o) for o in outcomes if o.spoke]),
        (_SENT, [_parameters(o) for o in outcomes if o.state is State.SENT]),
        (_THAW, [_parameters(o) for o in outcomes if o.state is not State.SENT and o.thaw]),
        (_AGAIN, [_parameters(o) for o in outcomes if o.state is not State.SENT and not o.thaw]),
    ):
        if group:
            connection.execute(statement, group)
    for outcome in outcomes:
        if outcome.suppress:
            suppress(connection, outcome)
    lost = [o for o in outcomes if o.state in _LOST and o.kind == Kind.REMINDER]
    if lost:
        _call_for(connection, lost)


_LOST = (State.FAILED, State.UNCONFIRMED, State.MISSED)


def _concerned(connection: sa.Connection, outcomes: Sequence[Outcome]) -> set[int]:
    """The clients whose rows change: their own, and everybody's who has an address that is now suppressed."""
    ids = {outcome.client_id for outcome in outcomes}
    dead = [outcome.client_id for outcome in outcomes if outcome.suppress]
    if dead:
        whose = clients.alias("whose")
        same = (whose.c.clinic_id == clients.c.clinic_id) & (whose.c.email_folded == clients.c.email_folded)
        ids.update(connection.execute(sa.select(clients.c.id).join(whose, same).where(whose.c.id.in_(dead))).scalars())
    return ids


def _call_for(connection: sa.Connection, lost: Sequence[Outcome]) -> None:
    """Open calls for those that did end so: a worker whose token is stale knows nothing any more."""
    ended = connection.execute(
        sa.select(emails.c.id, emails.c.clinic_id, emails.c.client_id, emails.c.state).where(
            emails.c.id.in_([outcome.id for outcome in lost]), emails.c.state.in_(_LOST)
        )
    )
    rows = [
        {"clinic_id": row.clinic_id, "client_id": row.client_id, "email_id": row.id, "reason": row.state}
        for row in ended
    ]
    open_calls(connection, rows, lost[0].ended_at)


def _parameters(outcome: Outcome) -> dict[str, Any]:
    final = outcome.state not in (State.PLANNED, State.IN_DOUBT, State.HELD)
    return {
        "b_id": outcome.id,
        "b_token": outcome.token,
        "b_state": outcome.state,
        "b_reason": outcome.reason,
        "b_not_before": outcome.not_before,
        "b_doubt_since": outcome.ended_at if outcome.state in (State.IN_DOUBT, State.UNCONFIRMED) else None,
        "b_ended": outcome.ended_at if final else None,
        "b_ended_at": outcome.ended_at,
        "b_attempts": outcome.attempts,
        "b_code": outcome.code,
        "b_enhanced": outcome.enhanced,
        "b_stage": outcome.stage,
        "b_reply": outcome.reply,
    }


def _attempt(outcome: Outcome) -> dict[str, Any]:
    return {
        "clinic_id": outcome.clinic_id,
        "email_id": outcome.id,
        "worker": outcome.worker,
        "token": outcome.token,
        "claimed_at": outcome.claimed_at,
        "marked_at": outcome.marked_at,
        "stage": outcome.stage,
        "code": outcome.code,
        "enhanced": outcome.enhanced,
        "reply": outcome.reply,
        "ended_at": outcome.ended_at,
        "outcome": outcome.outcome,
    }


def suppress(connection: sa.Connection, outcome: Outcome) -> None:
    """The relay says this address does not exist: write to it no more, until a person says otherwise."""
    address = connection.execute(
        sa.select(clients.c.email_folded).where(clients.c.id == outcome.client_id)
    ).scalar_one()
    same = (suppressions.c.clinic_id == outcome.clinic_id) & (suppressions.c.email_folded == address)
    active = same & suppressions.c.lifted_at.is_(None)
    if connection.execute(sa.select(suppressions.c.id).where(active)).first() is None:
        connection.execute(
            sa.insert(suppressions),
            {
                "clinic_id": outcome.clinic_id,
                "email_folded": address,
                "reason": "their mail server says this address does not exist",
                "email_id": outcome.id,
                "created_at": outcome.ended_at,
            },
        )
    theirs = emails.c.client_id.in_(
        sa.select(clients.c.id).where(clients.c.clinic_id == outcome.clinic_id, clients.c.email_folded == address)
    )
    end_open(connection, theirs & (emails.c.id != outcome.id), Reason.SUPPRESSED, outcome.ended_at)
