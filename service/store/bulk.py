"""Many clients and treatments at once, for an import: looked up by the chunk, inserted by the chunk.

Knows no rules: who is the same person, and what is planned, actions/importing.py says. Always inside one clinic.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import sqlalchemy as sa

from service.domain.reminder import State
from service.store.clients import client_state
from service.store.engine import Instant
from service.store.tables import clients, emails, suppressions, treatments


@dataclass(slots=True)
class BulkTreatment:
    """A treatment that is not cancelled. id: 0 until it is inserted."""

    id: int
    protocol: str
    area: str
    treated_on: date


@dataclass(slots=True)
class BulkClient:
    """A client with the treatments that are not cancelled. id: 0 until inserted; state: one word as for any client."""

    id: int
    email_folded: str
    name_folded: str
    client_ref: str
    language: str
    state: str
    treatments: list[BulkTreatment] = field(default_factory=list)


def among(connection: sa.Connection, column: sa.ColumnElement[Any], values: Collection[Any]) -> sa.ColumnElement[bool]:
    """column IN values. PostgreSQL gets one array: a thousand parameters are slow to write and to read."""
    if connection.dialect.name == "postgresql":
        return column == sa.any_(sa.literal(list(values), sa.ARRAY(column.type)))
    return column.in_(values)


def import_alone(connection: sa.Connection, clinic_id: int) -> None:
    """Wait until no other import of this clinic runs, and keep the others waiting: two would wait for each other."""
    if connection.dialect.name == "postgresql":
        key = sa.func.hashtextextended(f"aftercare import {clinic_id}", 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


@dataclass(frozen=True)
class Wanted:
    """Whom to look for. people: folded address and folded name; refs: client_refs, none of them empty."""

    people: Collection[tuple[str, str]]
    refs: Collection[str]


def _named(connection: sa.Connection, clinic_id: int, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """One condition an index, each true for whom it finds and at most for a few namesakes."""
    mine = (clients.c.clinic_id == clinic_id) & clients.c.erased_at.is_(None)
    address, name = clients.c.email_folded, clients.c.name_folded + sa.literal_column("''")
    # Joined with nothing, so that no plan tries every address with every name; many clients may share one address.
    by_person = mine & among(connection, address, {person[0] for person in wanted.people})
    by_person &= among(connection, name, {person[1] for person in wanted.people})
    # The literal lets SQLite use the partial index.
    by_ref = mine & (clients.c.client_ref != sa.literal_column("''"))
    by_ref &= among(connection, clients.c.client_ref, wanted.refs)
    return [by_person, by_ref] if wanted.refs else [by_person]


def find_client_ids(connection: sa.Connection, clinic_id: int, wanted: Wanted) -> set[int]:
    """Ids of this clinic's clients who are wanted, not locked."""
    return {
        client_id
        for which in _named(connection, clinic_id, wanted)
        for client_id in connection.execute(sa.select(clients.c.id).where(which)).scalars()
    }


def find_clients(connection: sa.Connection, clinic_id: int, wanted: Wanted) -> list[BulkClient]:
    """This clinic's clients who are wanted, locked, the oldest first, with their treatments."""
    columns = [clients.c[name] for name in ("id", "email_folded", "name_folded", "client_ref", "language")]
    query = sa.select(*columns, client_state).order_by(clients.c.id).with_for_update(of=clients)
    found = [row for which in _named(connection, clinic_id, wanted) for row in connection.execute(query.where(which))]
    people = {row.id: BulkClient(*row) for row in sorted(found, key=lambda row: row.id)}
    if people:
        theirs = among(connection, treatments.c.client_id, people) & treatments.c.cancelled_at.is_(None)
        for client_id, *treatment in connection.execute(
            sa.select(
                treatments.c.client_id,
                treatments.c.id,
                treatments.c.protocol,
                treatments.c.area,
                treatments.c.treated_on,
            ).where(theirs)
        ):
            people[client_id].treatments.append(BulkTreatment(*treatment))
    return list(people.values())


def suppressed_among(connection: sa.Connection, clinic_id: int, addresses: Collection[str]) -> set[str]:
    """Those of these folded addresses that this clinic does not write to."""
    query = sa.select(suppressions.c.email_folded).where(
        suppressions.c.clinic_id == clinic_id,
        among(connection, suppressions.c.email_folded, addresses),
        suppressions.c.lifted_at.is_(None),
    )
    return set(connection.execute(query).scalars())


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all name the same columns, in their order."""
    if not rows:
        return
    columns = [column for column in table.c if column.name in rows[0]]
    names = [column.name for column in columns]
    dialect = connection.dialect
    if dialect.name == "postgresql":
        # One parameter for all: the driver is slow with thousands, and with arrays.
        values = [_turned([row[c.name] for row in rows], _to_json(c)) for c in columns]
        document = sa.func.json_to_recordset(sa.bindparam("document", type_=sa.JSON))
        source = document.table_valued(*(sa.column(c.name, c.type) for c in columns)).render_derived(with_types=True)
        records = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
        connection.execute(sa.insert(table).from_select(names, sa.select(source)), {"document": records})
    else:
        to_driver = [c.type.dialect_impl(dialect).bind_processor(dialect) for c in columns]
        values = [_turned([row[name] for row in rows], turn) for name, turn in zip(names, to_driver, strict=True)]
        statement = sa.insert(table).compile(dialect=dialect, column_keys=names)
        connection.exec_driver_sql(str(statement), list(zip(*values, strict=True)))


def _to_json(column: sa.Column[Any]) -> Callable[[Any], Any] | None:
    return _iso if isinstance(column.type, (Instant, sa.Date)) else None


def _iso(value: date | None) -> str | None:
    return None if value is None else value.isoformat()


def _turned(values: list[Any], turn: Callable[[Any], Any] | None) -> list[Any]:
    """Each distinct value is turned once: a chunk names the same instants again and again."""
    if turn is None:
        return values
    turned = {value: turn(value) for value in set(values)}
    return [turned[value] for value in values]


def take_ids(connection: sa.Connection, table: sa.Table, count: int) -> Sequence[int]:
    """Growing ids for new rows, which nobody else gets: from the sequence, or on SQLite those that come next."""
    if connection.dialect.name == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(table.name, "id")
        query = sa.select(sa.func.nextval(sequence)).select_from(sa.func.generate_series(1, count))
        return connection.execute(query).scalars().all()
    last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0))).scalar_one()
    return range(last + 1, last + 1 + count)


def missed_emails(connection: sa.Connection, steps: Mapping[int, str]) -> list[dict[str, Any]]:
    """clinic_id, client_id and email_id of the missed row of each treatment's step. steps: treatment id -> step."""
    if not steps:
        return []
    found = connection.execute(
        sa.select(emails.c.clinic_id, emails.c.client_id, emails.c.id, emails.c.treatment_id, emails.c.step)
        .where(among(connection, emails.c.treatment_id, steps), emails.c.state == State.MISSED)
        .where(emails.c.replaced_at.is_(None))
        # As the unique index says it, or SQLite would read the whole outbox.
        .where(emails.c.state != sa.literal_column("'cancelled'"))
        .order_by(emails.c.id)
    )
    return [
        {"clinic_id": row.clinic_id, "client_id": row.client_id, "email_id": row.id}
        for row in found
        if steps[row.treatment_id] == row.step
    ]
