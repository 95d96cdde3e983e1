"""Finds clients by what somebody typed: beginnings of words, an address, digits of a phone number, a day.

Every question is a bounded stretch of one index, so the answer takes no longer with a million clients than with ten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from service.domain.finding import BACKWARDS, TELLING_DIGITS, Sought
from service.domain.reminder import OPEN
from service.store.client_words import line
from service.store.clients import client_state
from service.store.tables import client_words, clients, emails, treatments

SHOWN = 20
#: So many who fit are compared before the best are shown.
CANDIDATES = 200
#: So many of the rarest beginning are looked at, and so many of each are counted to know which that is.
SCANNED, COUNTED = 10_000, 20_000
#: After every text that begins like this, by bytes.
_LAST = "\U0010ffff"
_live = clients.c.erased_at.is_(None)


class Person(NamedTuple):
    """One line about a client. treated_on, protocol: of the last treatment; next_at: of the next e-mail."""

    id: int
    name: str
    email: str
    phone: str
    state: str
    treated_on: date | None
    protocol: str | None
    next_at: datetime | None


class Found(NamedTuple):
    """more: there are others; more letters would tell them apart."""

    people: Sequence[Person]
    more: bool = False


def find(connection: sa.Connection, clinic_id: int, sought: Sought, now: datetime) -> Found:
    """Clients of this clinic who fit, the most exact first, then by name; never an erased one.

    On a day: who was treated then, and not cancelled since.
    """
    if sought.on is not None:
        return _treated_on(connection, clinic_id, sought.on, now)
    ids: list[int] = []
    cut = False
    if sought.words:
        ids, cut = _by_words(connection, clinic_id, sought.words)
    if sought.digits:
        ids += _by_digits(connection, clinic_id, sought.digits)
    if sought.address:
        ids += _by_address(connection, clinic_id, sought.address)
    ids = list(dict.fromkeys(ids))
    return Found(people(connection, clinic_id, ids[:SHOWN], now), more=cut or len(ids) > SHOWN)


def lately(connection: sa.Connection, clinic_id: int, now: datetime) -> Found:
    """Who was treated last: for a page on which nothing was searched yet."""
    newest = (
        sa.select(treatments.c.client_id)
        .where(treatments.c.clinic_id == clinic_id)
        .order_by(treatments.c.treated_on.desc(), treatments.c.id.desc())
        .limit(SHOWN)
    )
    ids = dict.fromkeys(connection.execute(newest).scalars())
    return Found([one for one in people(connection, clinic_id, ids, now) if one.state != "erased"])


def _treated_on(connection: sa.Connection, clinic_id: int, on: date, now: datetime) -> Found:
    query = (
        sa.select(clients.c.id)
        .join(treatments, treatments.c.client_id == clients.c.id)
        .where(treatments.c.clinic_id == clinic_id, treatments.c.treated_on == on, treatments.c.cancelled_at.is_(None))
        .where(_live)
        .order_by(treatments.c.treated_at, clients.c.name_folded, treatments.c.id)
        .limit(CANDIDATES + 1)
    )
    ids = list(dict.fromkeys(connection.execute(query).scalars()))
    return Found(people(connection, clinic_id, ids[:CANDIDATES], now), more=len(ids) > CANDIDATES)


def _words(clinic_id: int, start: str) -> sa.ColumnElement[bool]:
    """The stretch of this clinic's words that begin so."""
    word = client_words.c.word
    return (client_words.c.clinic_id == clinic_id) & (word >= start) & (word < start + _LAST)


def _count(connection: sa.Connection, clinic_id: int, start: str) -> int:
    some = sa.select(client_words.c.word).where(_words(clinic_id, start)).limit(COUNTED).subquery()
    counted: int = connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()
    return counted


def _by_words(connection: sa.Connection, clinic_id: int, words: Sequence[str]) -> tuple[list[int], bool]:
    """Ids of those who have a word of each beginning: along the rarest one's stretch, exact words first.

    And whether the stretch was so long that not all of it was looked at.
    """
    wanted = set(words)
    often = {word: _count(connection, clinic_id, word) for word in words} if len(wanted) > 1 else {words[0]: 0}
    rarest = min(often, key=lambda word: often[word])
    key = (client_words.c.word, client_words.c.client_id)
    scanned = SCANNED if len(wanted) > 1 else CANDIDATES
    near = sa.select(*key).where(_words(clinic_id, rarest)).order_by(*key).limit(scanned).subquery("near")
    holds = sa.func.instr if connection.dialect.name == "sqlite" else sa.func.strpos
    query = (
        sa.select(clients.c.id, clients.c.name_folded, clients.c.found_by)
        .join_from(near, clients, clients.c.id == near.c.client_id)
        .where(clients.c.clinic_id == clinic_id, _live)
        .where(*(holds(clients.c.found_by, line([word])) > 0 for word in sorted(wanted - {rarest})))
        .order_by(near.c.word, near.c.client_id)
        .limit(CANDIDATES)
    )
    found = {row.id: row for row in connection.execute(query)}
    ids = [row.id for row in sorted(found.values(), key=lambda row: _rank(row, wanted))]
    return ids, often[rarest] > SCANNED


def _rank(row: Any, wanted: set[str]) -> tuple[int, str, int]:
    return -len(wanted & set(row.found_by.split())), row.name_folded, row.id


def _by_digits(connection: sa.Connection, clinic_id: int, digits: str) -> list[int]:
    """Ids of those whose number begins or ends so; with many digits, whose last ones are the same."""
    behind = BACKWARDS + digits[::-1][:TELLING_DIGITS]
    ids: list[int] = []
    for start in (BACKWARDS + digits[::-1], digits, behind):
        stretch = sa.select(client_words.c.client_id).where(_words(clinic_id, start)).order_by(client_words.c.word)
        ids += connection.execute(stretch.limit(SHOWN + 1)).scalars()
    return ids


def _by_address(connection: sa.Connection, clinic_id: int, start: str) -> list[int]:
    """Ids of those whose address begins so, in its order."""
    address = clients.c.email_folded
    order: sa.ColumnElement[Any] | sa.TextClause = address
    begins = (address >= start) & (address < start + _LAST)
    if connection.dialect.name == "postgresql":
        # The operators of the index's own order, which is that of bytes in every locale.
        begins = address.op("~>=~", is_comparison=True)(start) & address.op("~<~", is_comparison=True)(start + _LAST)
        order = sa.text("clients.email_folded USING ~<~")
    query = sa.select(clients.c.id).where(clients.c.clinic_id == clinic_id, _live, begins)
    return list(connection.execute(query.order_by(order, clients.c.id).limit(SHOWN + 1)).scalars())


def people(connection: sa.Connection, clinic_id: int, ids: Iterable[int], now: datetime) -> list[Person]:
    """One line about each of these clients of the clinic, in the order of the ids."""
    wanted = list(ids)
    columns = (clients.c.id, clients.c.name, clients.c.email, clients.c.phone, client_state)
    rows = connection.execute(sa.select(*columns).where(clients.c.clinic_id == clinic_id, clients.c.id.in_(wanted)))
    known = {row.id: row for row in rows}
    last = _last_treatments(connection, known)
    coming = _next_emails(connection, known, now)
    return [_line(known[one], last.get(one), coming.get(one)) for one in wanted if one in known]


def _line(row: Any, last: tuple[date, str] | None, next_at: datetime | None) -> Person:
    treated_on, protocol = last or (None, None)
    return Person(row.id, row.name, row.email, row.phone, row.state, treated_on, protocol, next_at)


def _last_treatments(connection: sa.Connection, ids: Iterable[int]) -> dict[int, tuple[date, str]]:
    done = treatments.c
    query = (
        sa.select(done.client_id, done.treated_on, done.protocol)
        .where(done.client_id.in_(list(ids)), done.cancelled_at.is_(None))
        .order_by(done.treated_on, done.id)
    )
    return {row.client_id: (row.treated_on, row.protocol) for row in connection.execute(query)}


def _next_emails(connection: sa.Connection, ids: Iterable[int], now: datetime) -> dict[int, datetime]:
    going = emails.c.state.in_([state for state in OPEN if state != "held"]) & (emails.c.useful_until > now)
    query = (
        sa.select(emails.c.client_id, emails.c.not_before)
        .where(emails.c.client_id.in_(list(ids)), going)
        .order_by(emails.c.not_before.desc())
    )
    return {row.client_id: row.not_before for row in connection.execute(query)}
