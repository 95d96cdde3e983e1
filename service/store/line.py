"""Whether the line to the mail relay works: what the start page says about it, from beats and outages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from service.store.tables import outages
from service.store.watch import last_good

#: A worker that has ended no good round for so long is not working.
SILENT_AFTER = timedelta(minutes=2)


class Line(NamedTuple):
    """works: rounds end well. since: since when it has been so, None if nobody ever worked. kind: of what is wrong."""

    works: bool
    since: datetime | None
    kind: str = ""


def line(connection: sa.Connection, now: datetime) -> Line:
    """How the line stands now. kind: "relay" (the mail server), "down" (no program works)."""
    columns = (outages.c.kind, outages.c.began_at, outages.c.ended_at)
    open_now = connection.execute(sa.select(*columns).where(outages.c.ended_at.is_(None)).limit(1)).first()
    good = last_good(connection)
    if open_now is not None:
        return Line(works=False, since=open_now.began_at, kind=open_now.kind)
    if good is None or now - good > SILENT_AFTER:
        return Line(works=False, since=good, kind="down")
    since = connection.execute(sa.select(sa.func.max(outages.c.ended_at))).scalar_one()
    return Line(works=True, since=since)
