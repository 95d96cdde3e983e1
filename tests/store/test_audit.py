from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
import sqlalchemy as sa

from service.store import audit
from service.store.audit import Deed
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.tables import attempts, clients
from service.store.tables import audit as lines
from tests.support.builders import DUE, build_client, build_clinic, build_email

SAFE = {"sqlite": "DROP TRIGGER audit_no_{verb}", "postgresql": "ALTER TABLE audit DISABLE TRIGGER audit_no_change"}


@pytest.fixture
def clinic(store: Store) -> Clinic:
    with store.write() as connection:
        return build_clinic(connection)


def note(store: Store, clinic: Clinic, *actions: str) -> None:
    for action in actions:
        with store.write() as connection:
            audit.note(connection, clinic.id, Deed("ann", action, "client 7", {"to": date(2026, 11, 20)}), DUE)


def broken(store: Store, clinic: Clinic) -> list[int]:
    with store.read() as connection:
        return audit.broken_links(connection, clinic.id)


def ids(store: Store, clinic: Clinic) -> list[int]:
    with store.read() as connection:
        mine = sa.select(lines.c.id).where(lines.c.clinic_id == clinic.id).order_by(lines.c.id)
        return list(connection.execute(mine).scalars())


def tamper(store: Store, statement: sa.Update | sa.Delete) -> None:
    """Change the audit as somebody with the database in hand could."""
    with store.write() as connection:
        for verb in ("update", "delete") if store.is_sqlite else ("",):
            connection.exec_driver_sql(SAFE[connection.dialect.name].format(verb=verb))
        connection.execute(statement)


def test_an_untouched_chain_is_whole_and_each_clinic_has_its_own(store: Store, clinic: Clinic) -> None:
    with store.write() as connection:
        other = build_clinic(connection)
    assert broken(store, clinic) == []
    note(store, clinic, "first")
    note(store, other, "elsewhere")
    note(store, clinic, "second", "third")
    assert (broken(store, clinic), broken(store, other)) == ([], [])
    assert len(ids(store, clinic)) == 3


@pytest.mark.parametrize(
    "change",
    [{"actor": "bo"}, {"action": "else"}, {"subject": "client 8"}, {"detail": "{}"}, {"at": DUE + timedelta(hours=1)}],
)
def test_a_changed_line_is_found(store: Store, clinic: Clinic, change: dict[str, object]) -> None:
    note(store, clinic, "first", "second", "third")
    second = ids(store, clinic)[1]
    tamper(store, sa.update(lines).where(lines.c.id == second).values(change))
    assert broken(store, clinic) == [second]


def test_a_line_sealed_anew_is_found_at_its_neighbour(store: Store, clinic: Clinic) -> None:
    note(store, clinic, "first", "second", "third")
    _, second, third = ids(store, clinic)
    with store.read() as connection:
        row = connection.execute(sa.select(lines).where(lines.c.id == second)).one()
    parts = [row.previous, str(clinic.id), row.at.isoformat(), "bo", row.action, row.subject, row.detail]
    tamper(store, sa.update(lines).where(lines.c.id == second).values(actor="bo", hash=audit.seal(parts)))
    assert broken(store, clinic) == [third]


def test_a_removed_line_is_found_at_its_neighbour(store: Store, clinic: Clinic) -> None:
    note(store, clinic, "first", "second", "third")
    _, second, third = ids(store, clinic)
    tamper(store, sa.delete(lines).where(lines.c.id == second))
    assert broken(store, clinic) == [third]


def test_the_zone_in_which_an_instant_is_said_does_not_break_its_seal(store: Store, clinic: Clinic) -> None:
    said = datetime(2026, 11, 21, 15, 45, tzinfo=timezone(timedelta(hours=5, minutes=45)))
    with store.write() as connection:
        audit.note(connection, clinic.id, Deed("ann", "act", "client 7", {}), said)
    assert broken(store, clinic) == []


@pytest.mark.parametrize("table", [lines, attempts], ids=str)
def test_evidence_is_only_ever_added(store: Store, clinic: Clinic, table: sa.Table) -> None:
    note(store, clinic, "first")
    with store.write() as connection:
        email_id = build_email(connection, clinic, build_client(connection, clinic))
        row = {"clinic_id": clinic.id, "email_id": email_id, "worker": "w", "token": "t", "ended_at": DUE}
        connection.execute(sa.insert(attempts).values(row | {"outcome": "sent"}))
    changed = {"actor": "bo"} if table is lines else {"outcome": "failed"}
    for statement in (sa.update(table).values(changed), sa.delete(table)):
        with pytest.raises(sa.exc.DBAPIError, match="only grows"), store.write() as connection:
            connection.execute(statement)
    with store.read() as connection:
        assert len(connection.execute(sa.select(table)).all()) == 1


def test_many_writers_at_once_do_not_fork_the_chain(store: Store, clinic: Clinic) -> None:
    def write(number: int) -> None:
        for _ in range(5):
            with store.write() as connection:
                # What every registration does: a new row that points at the clinic, then its line.
                build_client(connection, clinic, f"client {number} {len(ids_in(connection))}")
                audit.note(connection, clinic.id, Deed("ann", "client added", "client", {}), DUE)

    def ids_in(connection: sa.Connection) -> list[int]:
        return list(connection.execute(sa.select(clients.c.id)).scalars())

    with ThreadPoolExecutor(4) as threads:
        for running in [threads.submit(write, number) for number in range(4)]:
            running.result()
    assert len(ids(store, clinic)) == 20
    assert broken(store, clinic) == []


def test_opening_a_record_is_looked_up_without_reading_the_whole_audit(store: Store, clinic: Clinic) -> None:
    note(store, clinic, "client opened")
    asked: list[tuple[str, Any]] = []
    with store.read() as connection:
        sa.event.listen(connection, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
        deed = Deed("ann", "client opened", "client 7", {})
        assert audit.is_noted(connection, clinic.id, deed, DUE - timedelta(hours=1))
        assert not audit.is_noted(connection, clinic.id, deed, DUE)
        if store.is_sqlite:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {asked[0][0]}", asked[0][1]).all()
            assert all("ix_audit_subject" in row[3] for row in plan)
