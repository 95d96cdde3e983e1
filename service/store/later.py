"""An instant of a row plus some time, in the database's own arithmetic: for conditions that compare two instants."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from service.store.engine import Instant


class later(FunctionElement[datetime]):  # noqa: N801 - reads like the SQL function it is
    """`instant` plus `by`, in whole seconds."""

    type = Instant()
    inherit_cache = True

    def __init__(self, instant: sa.ColumnElement[datetime], by: timedelta) -> None:
        super().__init__(instant, sa.bindparam("seconds", int(by.total_seconds()), type_=sa.Integer, unique=True))


@compiles(later, "sqlite")
def _sqlite_later(element: later, compiler: Any, **kw: Any) -> str:
    instant, seconds = (compiler.process(part, **kw) for part in element.clauses)
    return f"strftime('%Y-%m-%d %H:%M:%f', {instant}, {seconds} || ' seconds') || '000'"


@compiles(later, "postgresql")
def _postgresql_later(element: later, compiler: Any, **kw: Any) -> str:
    instant, seconds = (compiler.process(part, **kw) for part in element.clauses)
    return f"({instant} + make_interval(secs => {seconds}))"
