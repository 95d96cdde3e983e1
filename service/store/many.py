"""Many rows in one statement: they travel as one JSON parameter, which the database reads as a table.

Drivers are slow with thousands of parameters, and SQLite's hands Python's lock over at every single row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any

import sqlalchemy as sa

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Many:
    """A statement over rows of values.

    columns: what each row holds, in its order. build: from the table the rows make (by the columns' names) to the
    statement.
    """

    def __init__(self, columns: Sequence[sa.Column[Any]], build: Callable[[sa.FromClause], sa.Executable]) -> None:
        self._columns = columns
        self._names = [column.name for column in columns]
        self._build = build
        self._built: dict[str, sa.Executable] = {}

    def execute(self, connection: sa.Connection, rows: Iterable[Sequence[Any]]) -> None:
        """Run it once for all rows. Nothing happens for no rows."""
        sqlite = connection.dialect.name == "sqlite"
        plain = _as_sqlite_stores_it if sqlite else _as_iso
        records = [
            dict(zip(self._names, [plain(v) if isinstance(v, date) else v for v in row], strict=True)) for row in rows
        ]
        if not records:
            return
        statement = self._built.get(connection.dialect.name)
        if statement is None:
            table = _sqlite_table(self._columns) if sqlite else _postgresql_table(self._columns)
            statement = self._built[connection.dialect.name] = self._build(table)
        connection.execute(statement, {"document": _encode(records)})


_DOCUMENT = sa.bindparam("document", type_=sa.Text)


def _sqlite_table(columns: Sequence[sa.Column[Any]]) -> sa.FromClause:
    each = sa.func.json_each(_DOCUMENT).table_valued("value", name="each")
    values = [
        sa.func.json_extract(each.c.value, sa.literal_column(f"'$.{column.name}'"), type_=column.type).label(
            column.name
        )
        for column in columns
    ]
    return sa.select(*values).select_from(each).subquery("many")


def _postgresql_table(columns: Sequence[sa.Column[Any]]) -> sa.FromClause:
    source = sa.func.json_to_recordset(sa.cast(_DOCUMENT, sa.JSON))
    typed = source.table_valued(*(sa.column(column.name, column.type) for column in columns), name="many")
    return typed.render_derived(with_types=True)


def _as_sqlite_stores_it(value: date) -> str:
    """As the driver writes it, so that text order is time order."""
    return (
        _instant(value).replace(tzinfo=None).isoformat(" ", "microseconds")
        if isinstance(value, datetime)
        else value.isoformat()
    )


def _as_iso(value: date) -> str:
    return _instant(value).isoformat() if isinstance(value, datetime) else value.isoformat()


def _instant(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError("an instant without a zone")
    return value.astimezone(UTC)
