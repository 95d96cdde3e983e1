"""Watching over the work: beats of the workers, alerts, duties that one worker does for all, and what to look for.

All of it belongs to the installation. What is told outside carries no personal data: numbers and instants only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from service.domain.reminder import Reason, State
from service.store.calls import RED_WITHIN
from service.store.engine import database_clock
from service.store.tables import alerts, beats, calls, duties, emails, texts

_LOCK = 7_214_002  # an arbitrary number that nothing else locks
_OPEN: sa.ColumnElement[str] = sa.literal_column("'open'")


def insert_into(connection: sa.Connection, table: sa.Table) -> Any:
    """An INSERT of this database's dialect: only those know ON CONFLICT."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table)


def beat(connection: sa.Connection, worker: str, now: datetime, trouble: str) -> None:
    """A worker has ended a round. trouble: why it was none, "" for a good one."""
    news = {"tried_at": now, "trouble": trouble[:300]} | ({} if trouble else {"last_at": now})
    new = insert_into(connection, beats).values(worker=worker, began_at=now, **news)
    connection.execute(new.on_conflict_do_update(index_elements=[beats.c.worker], set_=news))


def last_good(connection: sa.Connection) -> datetime | None:
    """The end of the newest good round of any worker."""
    found: datetime | None = connection.execute(sa.select(sa.func.max(beats.c.last_at))).scalar_one()
    return found


def last_mark(connection: sa.Connection, now: datetime) -> datetime | None:
    """When a relay was last ready to take a message: a worker lived then, though its round may be long.

    What a trial dated ahead of `now` tells nothing.
    """
    newest = sa.select(sa.func.max(emails.c.marked_at)).where(emails.c.marked_at <= now)
    found: datetime | None = connection.execute(newest).scalar_one()
    return found


def held_for_words(connection: sa.Connection, now: datetime) -> tuple[int, datetime | None]:
    """How many e-mails that are still right are held for their words, and when the first of them is over."""
    reasons = [Reason.RENDER_ERROR, Reason.UNAPPROVED]
    query = sa.select(sa.func.count(), sa.func.min(emails.c.useful_until)).where(
        emails.c.state == sa.literal_column("'held'"), emails.c.reason.in_(reasons), emails.c.useful_until > now
    )
    number, first_over = connection.execute(query).one()
    return int(number), first_over


def last_trouble(connection: sa.Connection, since: datetime) -> str:
    """Why a worker's newest round was none, if that was after `since`; "" if there is no such worker."""
    asked = sa.select(beats.c.trouble).where(beats.c.trouble != "", beats.c.tried_at > since)
    return connection.execute(asked.order_by(beats.c.tried_at.desc()).limit(1)).scalar() or ""


def forget_workers(connection: sa.Connection, before: datetime) -> None:
    """Every start has a name of its own: those that have not beaten for long are gone."""
    connection.execute(sa.delete(beats).where(beats.c.tried_at < before))


def one_at_a_time(connection: sa.Connection) -> None:
    """Until the end of the transaction no other worker passes here. SQLite's writer is alone already."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


@dataclass(frozen=True, slots=True)
class Alert:
    """What people are told by the second channel. opened_at: since when it is so."""

    id: int
    key: str
    words: str
    opened_at: datetime
    closed_at: datetime | None


_ALERT = [alerts.c[name] for name in Alert.__dataclass_fields__]


def open_alert(connection: sa.Connection, key: str, words: str, now: datetime) -> None:
    """Something is wrong since `now`. An alert that is open already stays as it is."""
    new = insert_into(connection, alerts).values(key=key, words=words[:500], opened_at=now)
    connection.execute(new.on_conflict_do_nothing())


def renew_alert(connection: sa.Connection, key: str, words: str, since: datetime, now: datetime) -> None:
    """It became worse at `since`: what is open already is told again, unless another worker has seen to that."""
    news = {"words": words[:500], "opened_at": now, "told_at": None}
    mine = (alerts.c.key == key) & alerts.c.closed_at.is_(None) & (alerts.c.opened_at < since)
    connection.execute(sa.update(alerts).where(mine).values(news))


def close_alert(connection: sa.Connection, key: str, now: datetime, *, quietly: bool = False) -> None:
    """It is over. quietly: nobody is told, because another alert took its place."""
    told = {"told_at": sa.func.coalesce(alerts.c.told_at, now), "end_told_at": now} if quietly else {}
    mine = (alerts.c.key == key) & alerts.c.closed_at.is_(None)
    connection.execute(sa.update(alerts).where(mine).values(closed_at=now, **told))


def standing(connection: sa.Connection) -> dict[str, Alert]:
    """The open alerts by key."""
    found = connection.execute(sa.select(*_ALERT).where(alerts.c.closed_at.is_(None)))
    return {row.key: Alert(*row) for row in found}


def untold(connection: sa.Connection, since: datetime) -> list[Alert]:
    """What people must still be told: openings, and ends. What was over before `since` is of no use to anybody."""
    news = alerts.c.told_at.is_(None) | (alerts.c.closed_at.is_not(None) & alerts.c.end_told_at.is_(None))
    fresh = alerts.c.closed_at.is_(None) | (alerts.c.closed_at > since)
    return [Alert(*row) for row in connection.execute(sa.select(*_ALERT).where(news, fresh).order_by(alerts.c.id))]


def told(connection: sa.Connection, said: Sequence[Alert], now: datetime) -> None:
    """People were told these, as they were read: what became worse or ended meanwhile is still to be told."""
    for one in said:
        ended = {"end_told_at": now} if one.closed_at else {}
        mine = (alerts.c.id == one.id) & (alerts.c.opened_at == one.opened_at)
        connection.execute(
            sa.update(alerts).where(mine).values(told_at=sa.func.coalesce(alerts.c.told_at, now), **ended)
        )


def take_duty(connection: sa.Connection, name: str, period: str, token: str, seconds: int) -> bool:
    """Claim what one worker does for all, once a period; False if it is done for it, or somebody is at it.

    token: this claim's own. seconds: the lease, by the database's clock; afterwards another may take it.
    """
    lease = {"lease_token": token, "lease_until": database_clock(seconds)}
    free = duties.c.lease_until.is_(None) | (duties.c.lease_until <= database_clock())
    new = insert_into(connection, duties).values(name=name, **lease)
    taken = new.on_conflict_do_update(
        index_elements=[duties.c.name], set_=lease, where=(duties.c.done_for != period) & free
    )
    return connection.execute(taken.returning(duties.c.name)).first() is not None


def finish_duty(connection: sa.Connection, name: str, period: str, token: str) -> None:
    """It is done for this period. A claim that was lost meanwhile changes nothing."""
    mine = (duties.c.name == name) & (duties.c.lease_token == token)
    done = {"done_for": period, "lease_token": None, "lease_until": None}
    connection.execute(sa.update(duties).where(mine).values(done))


def drop_duty(connection: sa.Connection, name: str, token: str) -> None:
    """It is not done: anybody may take it again at once."""
    mine = (duties.c.name == name) & (duties.c.lease_token == token)
    connection.execute(sa.update(duties).where(mine).values(lease_token=None, lease_until=None))


def note_done(connection: sa.Connection, name: str, period: str) -> None:
    """What needs no lease is done as far as `period`."""
    new = insert_into(connection, duties).values(name=name, done_for=period)
    connection.execute(new.on_conflict_do_update(index_elements=[duties.c.name], set_={"done_for": period}))


def done_for(connection: sa.Connection, name: str) -> str:
    """The period that a duty was done for last, "" if never."""
    return connection.execute(sa.select(duties.c.done_for).where(duties.c.name == name)).scalar() or ""


def missed_after(connection: sa.Connection, call_id: int) -> tuple[int, int]:
    """(how many, the newest call's id) of the open calls after this one that stand for a missed e-mail."""
    is_missed = (calls.c.reason == State.MISSED) & (calls.c.state == _OPEN)
    asked = sa.select(sa.func.count(), sa.func.max(calls.c.id)).where(calls.c.id > call_id, is_missed)
    number, newest = connection.execute(asked).one()
    return number, newest or call_id


def overdue_calls(connection: sa.Connection, now: datetime) -> tuple[int, datetime | None]:
    """Of the open calls that no red answer asks for: how many are past their deadline, and the oldest deadline."""
    is_red = sa.func.coalesce(calls.c.level, "").in_(RED_WITHIN)
    asked = sa.select(sa.func.count(), sa.func.min(calls.c.due_at))
    number, oldest = connection.execute(asked.where(calls.c.state == _OPEN, calls.c.due_at <= now, ~is_red)).one()
    return number, oldest


class RedCall(NamedTuple):
    """An open call that a red answer asks for."""

    id: int
    clinic_id: int
    level: str
    due_at: datetime


def red_calls(connection: sa.Connection) -> list[RedCall]:
    """All of them, by deadline."""
    is_red = (calls.c.state == _OPEN) & calls.c.level.in_(RED_WITHIN)
    asked = sa.select(*(calls.c[name] for name in RedCall._fields)).where(is_red)
    return [RedCall(*row) for row in connection.execute(asked.order_by(calls.c.due_at, calls.c.id))]


@dataclass(frozen=True, slots=True)
class Review:
    """A text in use that a clinician must look at again. by: the last day on which the approval is fresh."""

    id: int
    clinic_id: int
    protocol: str
    name: str
    language: str
    by: date


def reviews(connection: sa.Connection, until: date) -> list[Review]:
    """The newest approved version of each text, of those that must be looked at again by `until`."""
    newer = texts.alias("newer")
    same = [newer.c[name] == texts.c[name] for name in ("clinic_id", "protocol", "name", "language")]
    counts = newer.c.review_by.is_not(None) & newer.c.withdrawn_at.is_(None) & (newer.c.version > texts.c.version)
    asked = (
        sa.select(*(texts.c[name] for name in ("id", "clinic_id", "protocol", "name", "language", "review_by")))
        .where(texts.c.review_by <= until, texts.c.withdrawn_at.is_(None))
        .where(~sa.select(newer.c.id).where(*same, counts).exists())
        .order_by(texts.c.id)
    )
    return [Review(*row) for row in connection.execute(asked)]
