"""The book of a delivery after each message: outcome, attempt, and what follows from a refusal.

Each function runs inside one short transaction that many conversations share. Nothing here talks to a relay.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from service.domain.reminder import Reason, State
from service.store import clients as people
from service.store.calls import Call, open_call, open_calls
from service.store.clients import Dead
from service.store.locking import lock_clients
from service.store.many import Many, Values
from service.store.outbox import NO_LEASE, end_open
from service.store.tables import Kind, attempts, clients, emails

#: Whose end nobody is called for otherwise: one in doubt ends as unconfirmed.
_NOT_BEGUN = (State.PLANNED, State.CLAIMED, State.HELD)
# Not IN, whose list has no place among the parameters of store/many.py.
_LEASED = (emails.c.state == State.CLAIMED) | (emails.c.state == State.SENDING)


class Outcome(NamedTuple):
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


_NAMES = (
    *("id", "lease_token", "state", "reason", "not_before", "doubt_since", "ended_at", "attempts"),
    *("last_code", "last_enhanced", "last_stage", "last_reply"),
)
_LAST = ("attempts", "last_code", "last_enhanced", "last_stage", "last_reply")


# A late 250 is a fact, whoever holds the row by now: it also stops a repeat that is not yet marked.
def _sent(many: Values) -> sa.Update:
    told = {name: many[name] for name in _LAST}
    return (
        sa.update(emails)
        .where(emails.c.id == many["id"], emails.c.state != State.SENT)
        .values(state=State.SENT, reason=None, sent_at=many["ended_at"], ended_at=many["ended_at"], **NO_LEASE, **told)
    )


def _again(many: Values) -> sa.Update:
    told = {name: many[name] for name in ("state", "reason", "ended_at", *_LAST)}
    return (
        sa.update(emails)
        .where(emails.c.id == many["id"], emails.c.lease_token == many["lease_token"], _LEASED)
        .values(
            not_before=sa.func.coalesce(many["not_before"], emails.c.not_before),
            doubt_since=sa.func.coalesce(emails.c.doubt_since, many["doubt_since"]),
            **NO_LEASE,
            **told,
        )
    )


_THAWED = dict.fromkeys(
    ("text_id", "text_version", "frame_version", "facts", "shared_id", "dated", "digest", "marked_at")
)
_COLUMNS = [emails.c[name] for name in _NAMES]
_SENT = Many(_COLUMNS, _sent)
_AGAIN = Many(_COLUMNS, _again)
_THAW = Many(_COLUMNS, lambda many: _again(many).values(_THAWED))


def record(connection: sa.Connection, outcomes: Sequence[Outcome]) -> None:
    """Write outcomes and their attempts; suppress dead addresses; open the calls that a failure makes necessary."""
    if not outcomes:
        return
    lock_clients(connection, concerned(connection, outcomes))
    _ATTEMPT.execute(connection, [_attempt(o) for o in outcomes if o.spoke])
    _SENT.execute(connection, [_values(o) for o in outcomes if o.state is State.SENT])
    _THAW.execute(connection, [_values(o) for o in outcomes if o.state is not State.SENT and o.thaw])
    _AGAIN.execute(connection, [_values(o) for o in outcomes if o.state is not State.SENT and not o.thaw])
    for outcome in outcomes:
        if outcome.suppress:
            _call_whom_it_silences(connection, outcome, suppress(connection, outcome))
    lost = [o for o in outcomes if o.state in _LOST and o.kind == Kind.REMINDER]
    if lost:
        _call_for(connection, lost)


_LOST = (State.FAILED, State.UNCONFIRMED, State.MISSED)


def concerned(connection: sa.Connection, outcomes: Sequence[Outcome]) -> set[int]:
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


def _values(outcome: Outcome) -> tuple[Any, ...]:
    """In the order of _NAMES."""
    goes_on = outcome.state in (State.PLANNED, State.IN_DOUBT, State.HELD)
    return (
        outcome.id,
        outcome.token,
        outcome.state,
        outcome.reason,
        outcome.not_before,
        outcome.ended_at if outcome.state in (State.IN_DOUBT, State.UNCONFIRMED) else None,
        None if goes_on else outcome.ended_at,
        outcome.attempts,
        outcome.code,
        outcome.enhanced,
        outcome.stage,
        outcome.reply,
    )


_ATTEMPT = Many(
    [
        attempts.c[name]
        for name in (
            *("clinic_id", "email_id", "worker", "token", "claimed_at", "marked_at"),
            *("stage", "code", "enhanced", "reply", "ended_at", "outcome"),
        )
    ],
    lambda many: sa.insert(attempts).from_select(list(many), sa.select(*many.values())),
)


def _attempt(outcome: Outcome) -> tuple[Any, ...]:
    """In the order of _ATTEMPT's columns."""
    return (
        outcome.clinic_id,
        outcome.id,
        outcome.worker,
        outcome.token,
        outcome.claimed_at,
        outcome.marked_at,
        outcome.stage,
        outcome.code,
        outcome.enhanced,
        outcome.reply,
        outcome.ended_at,
        outcome.outcome,
    )


def _call_whom_it_silences(connection: sa.Connection, outcome: Outcome, silenced: Sequence[int]) -> None:
    """Nobody loses e-mails in silence. The refused reminder of the client itself has a call of its own."""
    for client_id in silenced:
        if client_id != outcome.client_id or outcome.kind != Kind.REMINDER:
            open_call(connection, Call(outcome.clinic_id, client_id, None, "bounced"), outcome.ended_at)


def suppress(connection: sa.Connection, outcome: Outcome) -> list[int]:
    """An address does not exist: write to it no more, until a person says otherwise. Whose e-mails that has ended."""
    address = connection.execute(
        sa.select(clients.c.email_folded).where(clients.c.id == outcome.client_id)
    ).scalar_one()
    reason = "their mail server says this address does not exist"
    people.suppress(connection, Dead(outcome.clinic_id, address, reason, outcome.id), outcome.ended_at)
    theirs = emails.c.client_id.in_(
        sa.select(clients.c.id).where(clients.c.clinic_id == outcome.clinic_id, clients.c.email_folded == address)
    )
    others = theirs & (emails.c.id != outcome.id)
    waiting = sa.select(emails.c.client_id).where(others, emails.c.state.in_(_NOT_BEGUN), emails.c.kind != Kind.HELLO)
    silenced = sorted(connection.execute(waiting.distinct()).scalars())
    end_open(connection, others, Reason.SUPPRESSED, outcome.ended_at)
    return silenced
