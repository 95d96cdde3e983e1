"""Many clients and treatments at once, for an import: looked up by the chunk, inserted by the chunk.

Knows no rules: who is the same person, and what is planned, actions/import_chunk.py says. Always inside one clinic.
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
    """A treatment that is not cancelled. id: 0 until it has one."""

    id: int
    protocol: str
    area: str
    treated_on: date


@dataclass(slots=True)
class BulkClient:
    """A client with the treatments that are not cancelled. id: 0 until it has one. state: as in store/clients.py."""

    id: int
    email_folded: str
    name_folded: str
    client_ref: str
    language: str
    state: str
    treatments: list[BulkTreatment] = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """Whom to look for. people: folded address and folded name; refs: client_refs, none of them empty."""

    people: Collection[tuple[str, str]]
    refs: Collection[str]


def import_alone(connection: sa.Connection, clinic_id: int) -> None:
    """One import of a clinic at a time, or two with the same new clients wait for each other for ever."""
    if connection.dialect.name == "postgresql":
        key = sa.func.hashtextextended(f"aftercare import {clinic_id}", 0)
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def _among(connection: sa.Connection, column: sa.ColumnElement[Any], values: Collection[Any]) -> sa.ColumnElement[bool]:
    """Column IN values. PostgreSQL gets one array: a thousand parameters are slow to write and to read."""
    if connection.dialect.name == "postgresql":
        return column == sa.any_(sa.literal(list(values), sa.ARRAY(column.type)))
    return column.in_(values)


def _named(connection: sa.Connection, clinic_id: int, wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    """One condition an index: true for whoever is wanted, and at most for a few namesakes."""
    mine = (clients.c.clinic_id == clinic_id) & clients.c.erased_at.is_(None)
    # An expression, so that no plan tries every address with every name; many clients may share one address.
    name = clients.c.name_folded + sa.literal_column("''")
    by_person = mine & _among(connection, clients.c.email_folded, {person[0] for person in wanted.people})
    by_person &= _among(connection, name, {person[1] for person in wanted.people})
    # The literal lets SQLite use the partial index.
    by_ref = mine & (clients.c.client_ref != sa.literal_column("''"))
    by_ref &= _among(connection, clients.c.client_ref, wanted.refs)
    return [by_person, by_ref] if wanted.refs else [by_person]


def find_client_ids(connection: sa.Connection, clinic_id: int, wanted: Wanted) -> set[int]:
    """Ids of the clinic's clients who are wanted, not locked."""
    queries = [sa.select(clients.c.id).where(which) for which in _named(connection, clinic_id, wanted)]
    return {client_id for query in queries for client_id in connection.execute(query).scalars()}


def find_clients(connection: sa.Connection, clinic_id: int, wanted: Wanted) -> list[BulkClient]:
    """The clinic's clients who are wanted, locked, the oldest first, with their treatments."""
    columns = [clients.c[name] for name in ("id", "email_folded", "name_folded", "client_ref", "language")]
    query = sa.select(*columns, client_state).order_by(clients.c.id).with_for_update(of=clients, key_share=True)
    found = {
        row.id: BulkClient(row.id, row.email_folded, row.name_folded, row.client_ref, row.language, row.state)
        for which in _named(connection, clinic_id, wanted)
        for row in connection.execute(query.where(which))
    }
    if found:
        done = treatments.c
        theirs = connection.execute(
            sa.select(done.client_id, done.id, done.protocol, done.area, done.treated_on).where(
                _among(connection, done.client_id, found), done.cancelled_at.is_(None)
            )
        )
        for row in theirs:
            treatment = BulkTreatment(row.id, row.protocol, row.area, row.treated_on)
            found[row.client_id].treatments.append(treatment)
    return [found[client_id] for client_id in sorted(found)]


def suppressed_among(connection: sa.Connection, clinic_id: int, addresses: Collection[str]) -> set[str]:
    """Those of these folded addresses that the clinic does not write to."""
    query = sa.select(suppressions.c.email_folded).where(
        suppressions.c.clinic_id == clinic_id,
        _among(connection, suppressions.c.email_folded, addresses),
        suppressions.c.lifted_at.is_(None),
    )
    return set(connection.execute(query).scalars())


def take_ids(connection: sa.Connection, table: sa.Table, count: int) -> Sequence[int]:
    """Growing ids for new rows, which nobody else gets: from the sequence, or on SQLite those that come next."""
    if connection.dialect.name == "postgresql":
        sequence = sa.func.pg_get_serial_sequence(table.name, "id")
        query = sa.select(sa.func.nextval(sequence)).select_from(sa.func.generate_series(1, count))
        return connection.execute(query).scalars().all()
    last = connection.execute(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0))).scalar_one()
    return range(last + 1, last + 1 + count)


def insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all name the same columns, in their order."""
    if not rows:
        return
    columns = [column for column in table.c if column.name in rows[0]]
    names = [column.name for column in columns]
    values = [_converted(connection, column, [row[column.name] for row in rows]) for column in columns]
    if connection.dialect.name == "postgresql":
        # One parameter for all rows: the driver is slow with thousands, and with arrays.
        document = sa.func.json_to_recordset(sa.bindparam("document", type_=sa.JSON))
        source = document.table_valued(*(sa.column(c.name, c.type) for c in columns)).render_derived(with_types=True)
        records = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
        connection.execute(sa.insert(table).from_select(names, sa.select(source)), {"document": records})
    else:
        statement = sa.insert(table).compile(dialect=connection.dialect, column_keys=names)
        connection.exec_driver_sql(str(statement), list(zip(*values, strict=True)))


def _converted(connection: sa.Connection, column: sa.Column[Any], values: list[Any]) -> list[Any]:
    """The values as they travel. Each is converted once: a chunk names the same instants again and again."""
    dialect = connection.dialect
    convert: Callable[[Any], Any] | None = column.type.dialect_impl(dialect).bind_processor(dialect)
    to_json = dialect.name == "postgresql" and isinstance(column.type, (Instant, sa.Date))
    if convert is None and not to_json:
        return values
    converted = {value: convert(value) if convert else value for value in set(values)}
    if to_json:
        converted = {value: own and own.isoformat() for value, own in converted.items()}
    return [converted[value] for value in values]


def missed_emails(connection: sa.Connection, steps: Mapping[int, str]) -> list[dict[str, Any]]:
    """clinic_id, client_id and email_id of the missed row of each treatment's step. steps: treatment id -> step."""
    if not steps:
        return []
    query = (
        sa.select(emails.c.clinic_id, emails.c.client_id, emails.c.id, emails.c.treatment_id, emails.c.step)
        .where(_among(connection, emails.c.treatment_id, steps), emails.c.state == State.MISSED)
        # In the words of the unique index, or SQLite reads the whole outbox.
        .where(emails.c.state != sa.literal_column("'cancelled'"), emails.c.replaced_at.is_(None))
        .order_by(emails.c.id)
    )
    return [
        {"clinic_id": row.clinic_id, "client_id": row.client_id, "email_id": row.id}
        for row in connection.execute(query)
        if steps[row.treatment_id] == row.step
    ]
