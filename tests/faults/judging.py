"""The judge of fault runs: the relay's log and the append-only attempts against the rows, never our own counters."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from service.mail.signing import Signer
from service.settings import Settings
from service.store.engine import Store, database_clock
from service.store.promises import ask_all
from service.store.tables import attempts, calls, clients, clinics, emails
from service.wiring import Service
from tests.bench.stock import fill
from tests.faults import evidence
from tests.support.processes import Copy, Program, accepted

LEASED = ("claimed", "sending")
#: Ends of a reminder that nobody accepted: a call asks a person to do what the e-mail could not.
_CALLED = ("unconfirmed", "failed", "missed")


@dataclass(frozen=True)
class Tally:
    """One line of the table. sent: mails with at least one accepted copy; lost: neither accepted nor listed.

    broken: promises found broken, each mail and promise counted once.
    """

    planned: int
    sent: int
    twice: int
    lost: int
    missed: int
    broken: int = 0

    def __add__(self, other: Tally) -> Tally:
        mine, theirs = astuple(self), astuple(other)
        return Tally(*(one + two for one, two in zip(mine, theirs, strict=True)))


class BrokenError(AssertionError):
    """The evidence speaks against a promise. tally: the line that the table shows all the same."""

    def __init__(self, found: Sequence[str], tally: Tally) -> None:
        super().__init__(f"{len(found)} broken: " + "; ".join(found[:5]))
        self.tally = tally


@dataclass
class Case:
    """One database with `mails` due e-mails of as many clients, one installation on it, one relay log.

    ended: clients whose reminders a test has ended (stop, cancel); former: client -> addresses they had before.
    """

    store: Store
    program: Program
    log: Path
    now: datetime
    due: dict[str, int]
    ended: set[int] = field(default_factory=set)
    former: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))

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
            return Counter(one for one, _ in connection.execute(marked.distinct()))

    def signer(self) -> Signer:
        """What this installation signs links with."""
        return Service(settings_of(self), self.store).signer

    def judge(self, *, at: float = 61, everything: bool = False, here: bool = False) -> Tally:
        """Hold the promises against the evidence. Raises BrokenError with all that is broken.

        What `check` asks is asked too, `at` minutes after the run began. everything: count every row that has ended, not
        only what was due at the beginning. here: the questions in this process, where there is no second for another one.
        """
        rows, addresses, called = self._recorded()
        copies: dict[int, list[Copy]] = defaultdict(list)
        by_id = {row.message_id: row.id for row in rows.values() if row.message_id is not None}
        broken = []
        for copy in self.copies():
            if copy.message_id in by_id:
                copies[by_id[copy.message_id]].append(copy)
            else:
                broken.append(f"a mail that nobody planned went to {copy.address}")
        mine = set(self.due.values())
        if everything:
            mine |= {row.id for row in rows.values() if _has_ended(row)}
        broken += self._wrong_with_copies(rows, copies, addresses)
        lost = [
            f"lost: e-mail {row} is {rows[row].state}"
            for row in sorted(mine)
            if row not in copies and not self._is_seen(rows[row], called)
        ]
        broken += lost
        broken += [f"e-mail {row.id} is still held" for row in rows.values() if row.lease_token is not None]
        tally = Tally(
            planned=len(mine),
            sent=len(mine & copies.keys()),
            twice=sum(len(some) > 1 for some in copies.values()),
            lost=len(lost),
            missed=sum(rows[row].state == "missed" for row in mine),
            broken=len(broken),
        )
        if broken:
            raise BrokenError(broken, tally)
        red = self._asked_here(at) if here else self._asked_of_the_program(at)
        assert not red, red
        return tally

    def _wrong_with_copies(
        self, rows: dict[int, Any], copies: dict[int, list[Copy]], addresses: dict[int, str]
    ) -> list[str]:
        """What the copies of all e-mails, the logs and the database say against the promises."""
        when = {one: [self.program.clock.at(copy.at) for copy in some] for one, some in copies.items()}
        with self.store.read() as connection:
            houses = {row.id: row for row in connection.execute(sa.select(clinics))}
        marks, signer, tokens, broken = self.marks(), self.signer(), set[str](), list[str]()
        for one, some in copies.items():
            row = rows[one]
            allowed = {addresses[row.client_id]} | self.former[row.client_id]
            mails = [evidence.parsed(copy) for copy in some]
            faults = evidence.wrong_with(row, some, mails, (marks[one], allowed))
            faults += evidence.out_of_time(row, when[one])
            house = houses[row.clinic_id], [other for other in houses.values() if other.id != row.clinic_id]
            faults += evidence.cross_talk(mails[0], (row.client_id, some[0].address, allowed), house, signer)
            broken += [f"e-mail {one}: {fault}" for fault in faults]
            tokens |= evidence.tokens_in(mails[0])
        broken += evidence.too_close(rows, when)
        return broken + evidence.told_in_logs(self.program.folder, tokens) + evidence.damaged(self.store)

    def _asked_of_the_program(self, at: float) -> str:
        """What `check` says if it is not content."""
        asked = self.program.start("check", "--json", "--now", self.at(at))
        status = asked.ended()
        said = asked.out.read_text("utf-8")
        return "" if status == 0 and json.loads(said)["ok"] else said + asked.log.read_text("utf-8", "replace")

    def _asked_here(self, at: float) -> str:
        """The red answers to the questions that `check` asks."""
        with self.store.read() as connection:
            found = ask_all(connection, self.now + timedelta(minutes=at))
        return "; ".join(one.message for one in found if one.state == "red")

    def _recorded(self) -> tuple[dict[int, Any], dict[int, str], set[int]]:
        """Every row by id, every client's address, and the e-mails that have a call."""
        with self.store.read() as connection:
            rows = {row.id: row for row in connection.execute(sa.select(emails))}
            addresses = {row.id: row.email for row in connection.execute(sa.select(clients.c.id, clients.c.email))}
            called = set(connection.execute(sa.select(calls.c.email_id)).scalars())
        return rows, addresses, called

    def _is_seen(self, row: Any, called: set[int]) -> bool:
        """Whether a mail that nobody accepted stands where a person sees it, or was to go no more."""
        if row.state in _CALLED:
            return row.id in called or row.kind != "reminder"
        return row.state == "held" or (row.state == "cancelled" and row.client_id in self.ended)


def _has_ended(row: Any) -> bool:
    return row.state not in ("planned", "held") and (row.state != "missed" or row.kind == "reminder")


def make_case(url: str, folder: Path, mails: int, port: int, **settings: str) -> Case:
    """Fill an empty, migrated database with `mails` due e-mails and make an installation for it."""
    now = datetime.now(UTC)
    store = Store(url)
    fill(store, now, due=mails, future=0)
    with store.write() as connection:
        connection.execute(sa.delete(emails).where(emails.c.state == "sent"))  # made up: no relay has taken them
        evidence.give_canaries(connection)
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
        "public_url": evidence.PUBLIC_URL,
    }
    return Case(store, Program(work, fixed | settings), folder / "relay.jsonl", now, due)


def settings_of(case: Case, **settings: str) -> Settings:
    """The settings of a case's installation, with `settings` on top."""
    given = {**case.program.settings, **settings}
    return Settings.model_validate({name: given[name] for name in Settings.model_fields if name in given})


_PLANNED = emails.c.state == "planned"
