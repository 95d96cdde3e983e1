"""Many rows in one statement, each database's fastest way: PostgreSQL reads them as a table from one JSON parameter, as
its driver is slow with thousands of parameters; SQLite runs its prepared statement row by row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
Values = Mapping[str, sa.ColumnElement[Any]]
_Row = tuple[Any, ...]
_Run = Callable[[sa.Connection, list[_Row]], None]


class Many:
    """A statement over rows of values.

    columns: what each row holds, in its order. build: from a row's values, by the columns' names, to the statement.
    """

    def __init__(self, columns: Sequence[sa.Column[Any]], build: Callable[[Values], sa.UpdateBase]) -> None:
        self._columns = columns
        self._build = build
        self._runs: dict[str, _Run] = {}

    def execute(self, connection: sa.Connection, rows: Iterable[_Row]) -> None:
        """Run it for all rows. Nothing happens for no rows."""
        sqlite = connection.dialect.name == "sqlite"
        plain = _as_sqlite_stores_it if sqlite else _as_iso
        ready = [tuple([plain(v) if isinstance(v, date) else v for v in row]) for row in rows]
        if not ready:
            return
        run = self._runs.get(connection.dialect.name)
        if run is None:
            built = self._row_by_row(connection.dialect) if sqlite else self._as_document()
            run = self._runs[connection.dialect.name] = built
        run(connection, ready)

    def _row_by_row(self, dialect: sa.Dialect) -> _Run:
        values = {column.name: sa.bindparam(f"of_{column.name}", type_=column.type) for column in self._columns}
        compiled = self._build(values).compile(dialect=dialect)
        places = {bind.key: place for place, bind in enumerate(values.values())}
        constants = {name: value for name, value in compiled.params.items() if name not in places}
        places |= {name: place for place, name in enumerate(constants, len(places))}
        in_order = itemgetter(*[places[name] for name in compiled.positiontup or ()])
        text, rest = str(compiled), tuple(constants.values())

        def run(connection: sa.Connection, rows: list[_Row]) -> None:
            connection.exec_driver_sql(text, [in_order(row + rest) for row in rows])

        return run

    def _as_document(self) -> _Run:
        source = sa.func.json_to_recordset(sa.cast(_DOCUMENT, sa.JSON))
        typed = source.table_valued(*(sa.column(column.name, column.type) for column in self._columns), name="many")
        statement = self._build(dict(typed.render_derived(with_types=True).c.items()))
        names = [column.name for column in self._columns]

        def run(connection: sa.Connection, rows: list[_Row]) -> None:
            document = _encode([dict(zip(names, row, strict=True)) for row in rows])
            connection.execute(statement, {"document": document})

        return run


_DOCUMENT = sa.bindparam("document", type_=sa.Text)


@lru_cache(maxsize=1024)
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
