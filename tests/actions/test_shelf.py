from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa

from service.actions.shelf import Shelf
from service.mail.catalogue import Catalogue
from service.store import clinics
from service.store.engine import Store
from service.store.texts import TextVersion
from tests.bench.stock import PROTOCOL, fill

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)


def test_words_stay_at_hand_while_they_are_read_anew(store: Store) -> None:
    """In another thread, e-mails of the batch before are being written meanwhile; without words they would be held."""
    fill(store, NOW, due=0, future=0)
    shelf = Shelf(Catalogue.load(), drafts_count=True)
    found: list[TextVersion | None] = []
    with store.write() as connection:
        (clinic,) = clinics.every(connection)
        shelf.refresh(connection, [clinic.id], NOW.date(), {(PROTOCOL, "day-01")})
        at_first = shelf.choose(clinic, PROTOCOL, "day-01", "en")

        def look(*_: object) -> None:
            found.append(shelf.choose(clinic, PROTOCOL, "day-01", "en"))

        sa.event.listen(connection, "after_cursor_execute", look)
        shelf.refresh(connection, [clinic.id], NOW.date(), {(PROTOCOL, "day-01")})
    assert at_first is not None
    assert found
    assert set(found) == {at_first}


def test_a_shelf_for_one_reader_takes_no_words_from_another(store: Store) -> None:
    fill(store, NOW, due=0, future=0)
    shelf = Shelf(Catalogue.load(), drafts_count=True)
    with store.write() as connection:
        (clinic,) = clinics.every(connection)
        shelf.refresh(connection, [clinic.id], NOW.date(), {(PROTOCOL, "day-01")})
        own = shelf.for_one()
        own.refresh(connection, [clinic.id], NOW.date(), {(PROTOCOL, "day-01")})
        mine = shelf.choose(clinic, PROTOCOL, "day-01", "en")
        own.refresh(connection, [], NOW.date(), set())
    assert mine is not None
    assert shelf.choose(clinic, PROTOCOL, "day-01", "en") == mine
    assert own.choose(clinic, PROTOCOL, "day-01", "en") is None
    assert own.compiled(mine) is shelf.compiled(mine)
