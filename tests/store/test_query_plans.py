"""What a worker asks every few seconds must cost the same with a million e-mails planned as with ten."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions.prepare import Preparer
from service.actions.shelf import Shelf
from service.actions.upkeep import Upkeep
from service.actions.writing import Writer
from service.domain.reminder import State
from service.mail.catalogue import Catalogue
from service.mail.signing import Signer, new_key
from service.store import browsing, clients, outbox, search, watch
from service.store.browsing import Stretch
from service.store.calls import cover
from service.store.engine import Store
from service.store.ledger import record
from service.store.marking import last_look
from service.store.outbox import ClaimedEmail, Lease
from service.store.pace import room
from tests.bench.stock import fill
from tests.support.builders import mark, outcome

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
LARGE = ("emails", "clients", "treatments", "attempts", "calls")


@pytest.fixture
def filled(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    """A SQLite store with due and planned e-mails; its planner has no statistics, as in the product."""
    path = tmp_path / "aftercare.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = Store(f"sqlite:///{path}")
    fill(store, NOW, due=30, future=300)
    yield store
    store.close()


def whole_tables_read(connection: sa.Connection, work: Callable[[], object]) -> list[str]:
    """The statements of `work` whose plan reads one of the large tables from end to end."""
    found = []
    for statement, steps in _plans(connection, work):
        if any(step.startswith(f"SCAN {table}") and " USING " not in step for step in steps for table in LARGE):
            found.append(statement)
    return found


def first_plan(connection: sa.Connection, work: Callable[[], object]) -> list[str]:
    """The steps of the first statement of `work`."""
    return _plans(connection, work)[0][1]


def _plans(connection: sa.Connection, work: Callable[[], object]) -> list[tuple[str, list[str]]]:
    """Each statement of `work`, and the steps of its plan."""
    asked: list[tuple[str, Sequence[Any]]] = []

    def listen(_: object, __: object, statement: str, parameters: Any, ___: object, many: bool) -> None:
        asked.append((statement, parameters[0] if many else parameters))

    sa.event.listen(connection, "before_cursor_execute", listen)
    work()
    sa.event.remove(connection, "before_cursor_execute", listen)
    explained = [
        connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", tuple(parameters)).all()
        for statement, parameters in asked
    ]
    return [(statement, [str(row[3]) for row in rows]) for (statement, _), rows in zip(asked, explained, strict=True)]


def claimed(store: Store) -> list[ClaimedEmail]:
    with store.write() as connection:
        return outbox.claim(connection, outbox.due_ids(connection, NOW, 20), Lease("worker", "token", 1200), NOW)


@pytest.mark.parametrize("lost", [[], ["worker"]])
def test_upkeep_reads_no_table_from_end_to_end(filled: Store, lost: list[str]) -> None:
    claimed(filled)
    upkeep = Upkeep(dict(Catalogue.load().protocols), 1, lambda _: lost)
    with filled.write() as connection:
        assert whole_tables_read(connection, lambda: upkeep.run(connection, NOW)) == []


def test_finding_and_claiming_reads_no_table_from_end_to_end(filled: Store) -> None:
    preparer = Preparer(Shelf(Catalogue.load(), drafts_count=True), Writer(Signer([new_key()])))

    def work() -> None:
        ids = outbox.due_ids(connection, NOW, 20)
        assert len(preparer.claim(connection, ids, Lease("worker", "token", 1200), NOW)) == 20

    with filled.write() as connection:
        assert whole_tables_read(connection, work) == []


def test_the_commits_of_a_delivery_read_no_table_from_end_to_end(filled: Store) -> None:
    rows = claimed(filled)

    def work() -> None:
        assert last_look(connection, [row.id for row in rows])
        assert room(connection, 100_000)
        for row in rows:
            mark(connection, row, NOW)
        record(connection, [outcome(row, State.SENT) for row in rows[1:]])
        record(connection, [outcome(rows[0], State.PLANNED)])
        cover(connection, {(row.client_id, row.treatment_id or 0, "day-01") for row in rows}, NOW)

    with filled.write() as connection:
        assert whole_tables_read(connection, work) == []


def test_what_the_desks_pages_count_and_list_is_found_by_the_index_made_for_it(filled: Store) -> None:
    with filled.read() as connection:
        later = NOW + timedelta(days=1)
        asked = {
            "INDEX ix_emails_due": lambda: browsing.waiting(connection, 1, NOW, later),
            "INDEX ix_treatments_client_id": lambda: clients.list_treatments(connection, 1, 7),
            "COVERING INDEX ix_treatments_protocol": lambda: clients.has_treatment(connection, 1, "another"),
            "INDEX ix_emails_marked_at": lambda: browsing.sent(connection, 1, Stretch(50, since=NOW)),
            "INDEX ix_emails_due_at": lambda: browsing.everything(connection, 1, Stretch(50, since=NOW)),
            "INDEX ix_treatments_treated_on": lambda: search.lately(connection, 1, NOW),
            "COVERING INDEX ix_emails_marked_at": lambda: watch.last_mark(connection, NOW),
        }
        for index, work in asked.items():
            plan = " ".join(first_plan(connection, work))
            assert index in plan
            assert "TEMP B-TREE FOR ORDER BY" not in plan
