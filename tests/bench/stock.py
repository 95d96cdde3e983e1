"""Fresh databases with a complete clinic, its shipped texts, and any number of treatments, filled by bulk SQL."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from service.actions.clinic_setup import add_clinic
from service.actions.revise import Who
from service.mail.catalogue import Catalogue
from service.store.engine import Instant, Store
from service.store.schema import migrate
from tests.support.postgres import postgres_server

CLINIC = {
    "name": "Northgate",
    "sender_name": "Northgate",
    "timezone": "Europe/London",
    "phone": "01632 960 001",
    "hours": "mon-fri 09:00-18:00; sat 10:00-14:00",
    "emergency_number": "999",
    "urgent_line_name": "NHS 111",
    "urgent_line_number": "111",
    "reply_to": "desk@northgate.example.com",
}
PROTOCOL, AREA = "scalp-micropigmentation", "scalp"
STEPS = (("day-01", 1), ("day-03", 3), ("day-10", 10))
_PARTS = 10


@dataclass(frozen=True)
class Database:
    """url: for settings. folder: a data folder of its own."""

    url: str
    folder: Path


class Databases:
    """Makes fresh databases of one kind; a PostgreSQL server of its own is started when first needed."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._server: sa.URL | None = None

    @contextmanager
    def fresh(self, kind: str) -> Iterator[Database]:
        """An empty migrated database, thrown away afterwards. kind: sqlite or postgresql."""
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            folder = Path(name)
            url = f"sqlite:///{folder / 'bench.db'}" if kind == "sqlite" else self._create()
            store = Store(url)
            try:
                migrate(store)
                store.close()
                yield Database(url, folder)
            finally:
                store.close()
                if kind != "sqlite":
                    self._run(f'DROP DATABASE "{sa.make_url(url).database}" WITH (FORCE)')

    def _create(self) -> str:
        if self._server is None:
            data = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="aftercare-bench-pg-")))
            self._server = self._stack.enter_context(postgres_server(data))
            # The tests' server forgets on a crash; here every commit must reach the disk.
            self._run("ALTER SYSTEM SET fsync = on")
            self._run("ALTER SYSTEM SET shared_buffers = '512MB'")
            self._run("SELECT pg_reload_conf()")
        name = f"bench_{uuid.uuid4().hex[:12]}"
        self._run(f'CREATE DATABASE "{name}"')
        return self._server.set(database=name).render_as_string(hide_password=False)

    def _run(self, statement: str) -> None:
        assert self._server is not None
        engine = sa.create_engine(self._server, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


def fill(store: Store, now: datetime, *, due: int, future: int) -> None:
    """A clinic with `due` e-mails to send at `now`, each with its treatment's other two, and `future` planned rows.

    Both lie mixed in the table, as they do after months. future: rounded to whole treatments of three rows.
    """
    with store.write() as connection:
        clinic = add_clinic(connection, Catalogue.load(), CLINIC, Who("bench", now))
        add = _Adding(connection, clinic.id, now)
        for part in range(_PARTS):
            add.treatments(_share(future // 3, part), next_due=timedelta(days=1 + part), first=0)
            for step in range(3):
                add.treatments(_share(_share(due, part), step, 3), next_due=timedelta(hours=-1), first=step)
        add.count_on()
    if not store.is_sqlite:
        with store.write() as connection:
            connection.execute(sa.text("ANALYZE"))  # as its autovacuum would soon


def _share(whole: int, part: int, parts: int = _PARTS) -> int:
    return whole * (part + 1) // parts - whole * part // parts


_SERIES = "WITH RECURSIVE n(i) AS (SELECT :first UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
_FIRST = "CASE i % 5 WHEN 0 THEN 'Sam' WHEN 1 THEN 'Zoë' WHEN 2 THEN 'Dr Ana' WHEN 3 THEN 'Jürgen' ELSE 'Priya' END"
_LAST = "CASE i % 7 WHEN 0 THEN 'Lee' WHEN 1 THEN 'van der Berg' WHEN 2 THEN 'O''Neill' ELSE 'Okafor' END"
_CLIENTS = sa.text(
    f"""INSERT INTO clients (id, clinic_id, name, name_folded, email, email_folded, language, consent_on, created_at)
    {_SERIES} SELECT i, :clinic, {_FIRST} || ' ' || {_LAST}, 'client ' || i, 'client' || i || '@example.com',
    'client' || i || '@example.com', 'en', :on, :now FROM n"""
)
_TREATMENTS = sa.text(
    f"""INSERT INTO treatments (id, clinic_id, client_id, protocol, area, treated_on, created_at, created_by)
    {_SERIES} SELECT i, :clinic, i, '{PROTOCOL}', '{AREA}', :on, :now, 'bench' FROM n"""
)
_EMAILS = sa.text(
    f"""INSERT INTO emails (clinic_id, client_id, treatment_id, kind, protocol, step, day, language, state,
    due_at, useful_until, not_before, planned_at, sent_at, ended_at, marked_at)
    {_SERIES} SELECT :clinic, i, i, 'reminder', '{PROTOCOL}', :step, :day, 'en', :state,
    :due, :until, :due, :now, :sent, :sent, :sent FROM n"""
)
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "on": sa.Date(),
    **dict.fromkeys(("now", "due", "until", "sent"), Instant()),
    **dict.fromkeys(("first", "last", "clinic", "day"), sa.Integer()),
    **dict.fromkeys(("step", "state"), sa.String()),
}


class _Adding:
    def __init__(self, connection: sa.Connection, clinic_id: int, now: datetime) -> None:
        self._connection = connection
        self._clinic_id = clinic_id
        self._now = now
        self._next = 1

    def treatments(self, number: int, *, next_due: timedelta, first: int) -> None:
        """So many clients with one treatment each. Its step `first` is due `next_due` from now, those before are sent."""
        if not number:
            return
        due = self._now + next_due
        ids = {"first": self._next, "last": self._next + number - 1, "clinic": self._clinic_id, "now": self._now}
        treated_on = (due - timedelta(days=STEPS[first][1])).date()
        self._run(_CLIENTS, ids | {"on": treated_on})
        self._run(_TREATMENTS, ids | {"on": treated_on})
        for place, (step, day) in enumerate(STEPS):
            at = due + timedelta(days=day - STEPS[first][1])
            sent = at if place < first else None
            state = {"step": step, "day": day, "state": "sent" if sent else "planned", "sent": sent}
            self._run(_EMAILS, ids | state | {"due": at, "until": at + timedelta(days=1, hours=2)})
        self._next += number

    def count_on(self) -> None:
        """Rows registered later get the next ids."""
        if self._connection.dialect.name == "postgresql":
            for table in ("clients", "treatments"):
                self._connection.exec_driver_sql(f"SELECT setval('{table}_id_seq', {self._next})")

    def _run(self, statement: sa.TextClause, values: dict[str, object]) -> None:
        names = set(statement.compile().params)
        typed = [sa.bindparam(name, type_=_TYPES[name]) for name in names]
        self._connection.execute(statement.bindparams(*typed), {name: values[name] for name in names})
