"""The words each client is found by, kept right with the client's row. Written here only; read by search.py.

`clients.found_by` says which words a client has, so that they can be taken back to the last one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from service.domain.finding import found_by
from service.store.many import Many
from service.store.tables import client_words, clients

#: What a change must touch to change the words.
CAUSES = frozenset({"name", "phone", "erased_at"})

_NAMES = ("clinic_id", "word", "client_id")
_ADD = Many(list(client_words.c), lambda many: sa.insert(client_words).from_select(_NAMES, sa.select(*many.values())))


def line(words: Iterable[str]) -> str:
    """Words as `clients.found_by` holds them: a space before each, so that a beginning is found behind a space."""
    return " ".join(("", *words))


def add(connection: sa.Connection, rows: Sequence[tuple[int, str, int]]) -> None:
    """New words: clinic id, word, client id."""
    _ADD.execute(connection, rows)


def renew(connection: sa.Connection, client_id: int) -> None:
    """Bring the words of a client in line with its row; an erased one has none."""
    row = connection.execute(sa.select(clients).where(clients.c.id == client_id)).one_or_none()
    if row is None:
        return
    words = found_by(row.name, row.phone) if row.erased_at is None else []
    before = row.found_by.split()
    gone = [word for word in before if word not in words]
    mine = (client_words.c.clinic_id == row.clinic_id) & (client_words.c.client_id == client_id)
    if gone:
        connection.execute(sa.delete(client_words).where(mine, client_words.c.word.in_(gone)))
    add(connection, [(row.clinic_id, word, client_id) for word in words if word not in before])
    if words != before:
        connection.execute(sa.update(clients).where(clients.c.id == client_id).values(found_by=line(words)))
