"""The judge of fault runs: the relay's log and the append-only attempts against the rows, never the product's counters."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from service.store.engine import Store, database_clock
from service.store.tables import attempts, calls, clients, emails
from tests.bench.stock import fill
from tests.support.processes import Copy, Program, accepted

LEASED = ("claimed", "sending")


@dataclass(frozen=True)
class Tally:
    """One line of the table. sent: mails with at least one accepted copy; lost: neither accepted nor listed."""

    planned: int
    sent: int
    twice: int
    lost: int
    missed: int

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.planned + other.planned,
            self.sent + other.sent,
            self.twice + other.twice,
            self.lost + other.lost,
            self.missed + other.missed,
        )


@dataclass
class Case:
    """One database with `mails` due e-mails of as many clients, one installation on it, one relay log."""

    store: Store
    program: Program
    log: Path
    now: datetime
    due: dict[str, int]

    def at(self, minutes: float = 0) -> str:
        """The instant of the run plus some minutes, as --now takes it."""
        return (self.now + timedelta(minutes=minutes)).isoformat()

    def copies(self) -> list[Copy]:
        return accepted(self.log)

    def rows(self) -> list[Any]:
        """The rows that were due at the beginning."""
        with self.store.read() as connection:
            found = connection.execute(sa.select(emails).order_by(emails.c.id)).all()
        mine = set(self.due.values())
        return [row for row in found if row.id in mine]

    def states(self) -> Counter[str]:
        return Counter(str(row.state) for row in self.rows())

    def leases_are_over(self) -> bool:
        """No lease runs any more, by the database's clock."""
        with self.store.read() as connection:
            running = emails.c.state.in_(LEASED) & (emails.c.lease_until > database_clock())
            return connection.execute(sa.select(emails.c.id).where(running).limit(1)).first() is None

    def let_leases_end(self) -> None:
        """As if the time of every lease had passed."""
        with self.store.write() as connection:
            held = emails.c.state.in_(LEASED)
            connection.execute(sa.update(emails).where(held).values(lease_until=database_clock()))

    def marks(self) -> Counter[int]:
        """E-mail -> how many different claims of it were marked, by the attempts and by what stands in the row."""
        with self.store.read() as connection:
            marked = sa.select(attempts.c.email_id, attempts.c.token).where(attempts.c.marked_at.is_not(None))
            return Counter(email for email, _ in connection.execute(marked.distinct()))

    def judge(self, *, check: bool = True) -> Tally:
        """Hold the promises against the evidence; raises AssertionError naming the first that is broken."""
        by_address: dict[str, list[Copy]] = defaultdict(list)
        for copy in self.copies():
            by_address[copy.address].append(copy)
        rows = {row.id: row for row in self.rows()}
        marks = self.marks()
        assert set(by_address) <= set(self.due), "a mail went to somebody who was to get none"
        twice = 0
        for address, copies in by_address.items():
            row = rows[self.due[address]]
            assert len(copies) <= 2, f"{len(copies)} copies of e-mail {row.id}"
            assert {copy.message_id for copy in copies} == {row.message_id}, f"e-mail {row.id}: Message-ID"
            assert len({copy.data for copy in copies}) == 1, f"e-mail {row.id}: two copies differ"
            assert row.state in ("sent", "unconfirmed"), f"e-mail {row.id} was accepted and is {row.state}"
            assert marks[row.id] >= len(copies), f"e-mail {row.id}: {len(copies)} copies, {marks[row.id]} marks"
            if len(copies) == 2:
                twice += 1
                assert row.doubt_since is not None, f"e-mail {row.id} went twice and is not listed"
        lost = self._lost(by_address, rows)
        assert not lost, f"lost: {lost[:5]}"
        assert not [row.id for row in rows.values() if row.lease_token is not None], "rows still held"
        if check:
            found = json.loads(self.program.run("check", "--json", "--now", self.at(61)))
            assert found["ok"], found
        missed = sum(row.state == "missed" for row in rows.values())
        return Tally(len(self.due), len(by_address), twice, len(lost), missed)

    def _lost(self, by_address: dict[str, list[Copy]], rows: dict[int, Any]) -> list[tuple[int, str]]:
        """Mails nobody accepted that are not on a list where a person sees them."""
        with self.store.read() as connection:
            called = set(connection.execute(sa.select(calls.c.email_id)).scalars())
        unsent = [rows[email] for address, email in self.due.items() if address not in by_address]
        listed = ("unconfirmed", "failed", "missed")
        return [(row.id, row.state) for row in unsent if row.state not in listed or row.id not in called]


def make_case(url: str, folder: Path, mails: int, port: int, **settings: str) -> Case:
    """Fill an empty, migrated database with `mails` due e-mails and make an installation for it."""
    now = datetime.now(UTC)
    store = Store(url)
    fill(store, now, due=mails, future=0)
    with store.write() as connection:
        connection.execute(sa.delete(emails).where(emails.c.state == "sent"))  # made up: no relay has taken them
    with store.read() as connection:
        waiting = sa.select(clients.c.email, emails.c.id).join_from(clients, emails)
        due = {row.email: row.id for row in connection.execute(waiting.where(emails.c.not_before <= now, _PLANNED))}
    assert len(due) == mails
    work = folder / "processes"
    work.mkdir(exist_ok=True)
    fixed = {
        "database_url": url,
        "data_dir": str(folder / "data"),
        "relay_host": "127.0.0.1",
        "relay_port": str(port),
        "relay_tls": "none",
        "trial_allow": "example.com",
    }
    return Case(store, Program(work, fixed | settings), folder / "relay.jsonl", now, due)


_PLANNED = emails.c.state == "planned"


def table(lines: Sequence[tuple[str, Tally]]) -> str:
    """The table of a run: fault, mails planned, sent, twice, lost, missed."""
    head = f"{'fault':<58}{'planned':>9}{'sent':>7}{'twice':>7}{'lost':>6}{'missed':>8}"
    body = [f"{name:<58}{t.planned:>9}{t.sent:>7}{t.twice:>7}{t.lost:>6}{t.missed:>8}" for name, t in lines]
    return "\n".join([head, *body])
