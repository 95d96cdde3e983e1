"""Many conversations, few commits: marks and outcomes gather while the last commit runs, and go into the next one.

No commit, no mail: a mark that could not be committed is refused. An outcome stays in hand until a commit took it, so
that a 250 is never lost to a failed commit.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import Self

import sqlalchemy as sa
import structlog

from service.actions.deciding import decide
from service.actions.outcomes import withheld_outcome
from service.actions.writing import Written, frozen_values
from service.clock import Clock
from service.domain.contact import Allowed
from service.domain.reminder import State
from service.errors import Unavailable
from service.store.calls import cover
from service.store.engine import Store
from service.store.ledger import Outcome, concerned, record
from service.store.locking import lock_clients
from service.store.marking import keep_shared, mark

log = structlog.get_logger()
#: How long outcomes may wait for company when no mark is waiting, seconds.
GATHER = 0.02
TRY_AGAIN = 1.0
#: A commit waits for more marks until it has enough, or so many rounds of the event loop in a row have brought none.
ENOUGH = 16
QUIET_ROUNDS = 20


@dataclass(frozen=True)
class Rules:
    """How this worker delivers. connections: conversations at once. lease_seconds: longer than a conversation.

    per_minute: mails in any minute over all workers, None without a limit. patience: seconds without any movement after
    which a round no longer waits for what is being said.
    """

    worker: str
    doubt_cap: int = 1
    lease_seconds: int = 1200
    connections: int = 4
    per_minute: int | None = None
    patience: float = 10.0


#: What a database, its driver or JSON say of a value that they do not take.
REFUSED = (sa.exc.SQLAlchemyError, ValueError, TypeError)


class Answer(Enum):
    """What became of a wanted mark; only MARKED may be sent.

    WITHHELD: our own rules or another worker. NOT_WRITTEN: no commit now. REFUSED: no commit of this one, ever.
    """

    MARKED = "marked"
    WITHHELD = "withheld"
    NOT_WRITTEN = "not written"
    REFUSED = "refused"


#: Facts that many letters share, as marking.keep_shared takes them: id, clinic id, facts.
Shared = tuple[str, int, str]


@dataclass
class _Wanted:
    written: Written
    answer: asyncio.Future[Answer]

    @property
    def shared(self) -> Shared:
        return self.written.shared_id, self.written.row.clinic_id, self.written.shared


@dataclass(frozen=True)
class _Entry:
    """One outcome; covers: steps of the same treatment whose missed call it makes up for."""

    outcome: Outcome
    treatment_id: int | None
    covers: tuple[str, ...]

    def made_up_for(self) -> list[tuple[int, int, str]]:
        """As (client id, treatment id, step); none unless the e-mail was sent."""
        if self.outcome.state is not State.SENT or self.treatment_id is None:
            return []
        return [(self.outcome.client_id, self.treatment_id, step) for step in self.covers]


class Book:
    """The shared book of one tick. Use as an async context; leaving it waits until every outcome is committed."""

    def __init__(self, store: Store, clock: Clock, rules: Rules) -> None:
        self._store = store
        self._clock = clock
        self._rules = rules
        self._marks: list[_Wanted] = []
        self._entries: list[_Entry] = []
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._kept: set[Shared] = set()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.counts: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._wake.set()
        if self._task:
            await self._task

    async def mark(self, written: Written) -> Answer:
        """The last check and the mark, committed. Answers when the commit has ended; only MARKED may be sent."""
        if self._task is None or self._task.done():
            return Answer.NOT_WRITTEN  # a bug has ended the book; leaving it tells which
        wanted = _Wanted(written, asyncio.get_running_loop().create_future())
        self._marks.append(wanted)
        self._wake.set()
        return await wanted.answer

    def put(self, outcome: Outcome, treatment_id: int | None = None, covers: tuple[str, ...] = ()) -> None:
        """Hand over an outcome; it is written with the next commit, however often that must be tried."""
        self._entries.append(_Entry(outcome, treatment_id, covers))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(GATHER, self._wake.set)

    async def _run(self) -> None:
        try:
            while not (self._closing and not self._marks and not self._entries):
                await self._wake.wait()
                self._wake.clear()
                if self._marks or self._entries:
                    await self._company()
                    await self._commit()
        finally:
            _answer(self._marks, [Answer.NOT_WRITTEN] * len(self._marks))

    async def _company(self) -> None:
        """Let more marks come along: a commit costs as much as several of them. Waits for no clock and no relay."""
        here, quiet = len(self._marks), 0
        while 0 < here < ENOUGH and quiet < QUIET_ROUNDS:
            await asyncio.sleep(0)
            quiet = 0 if len(self._marks) > here else quiet + 1
            here = len(self._marks)

    async def _commit(self) -> None:
        marks, self._marks = self._marks, []
        entries, self._entries = self._entries, []
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            await self._commit_together(marks, entries)
        except Unavailable as error:
            log.error("nothing can be committed, so nothing is sent", problem=error.message)
            self._entries = entries + self._entries
            _answer(marks, [Answer.NOT_WRITTEN] * len(marks))
            await asyncio.sleep(TRY_AGAIN)
            self._wake.set()
        finally:
            # After a bug too: nobody may wait for an answer that does not come.
            _answer(marks, [Answer.NOT_WRITTEN] * len(marks))

    async def _commit_together(self, marks: list[_Wanted], entries: list[_Entry]) -> None:
        """One commit. If the database refuses something in it, each alone: it costs its own e-mail and no other."""
        try:
            decided = await self._store.in_brief(self._write, marks, entries)
        except Unavailable:
            raise
        except REFUSED as error:
            if len(marks) + len(entries) > 1:
                for entry in entries:
                    await self._commit_together([], [entry])
                for wanted in marks:
                    await self._commit_together([wanted], [])
                return
            ids = [entry.outcome.id for entry in entries] or [wanted.written.row.id for wanted in marks]
            # The driver's words may hold what was to be written: a client's name.
            log.error(
                "the database refuses what is written about an e-mail", email=ids[0], problem=type(error).__name__
            )
            _answer(marks, [Answer.REFUSED] * len(marks))
            return
        self.counts.update(entry.outcome.outcome for entry in entries)
        self._kept.update(
            wanted.shared for wanted, answer in zip(marks, decided, strict=True) if answer is Answer.MARKED
        )
        _answer(marks, decided)

    def _write(self, connection: sa.Connection, marks: list[_Wanted], entries: list[_Entry]) -> list[Answer]:
        """One transaction: outcomes first, so that a stop they cause is seen by the marks."""
        outcomes = [entry.outcome for entry in entries]
        # All at once, in one order: two workers that lock bit by bit wait for each other.
        lock_clients(connection, concerned(connection, outcomes) | {m.written.row.client_id for m in marks})
        now = self._clock()  # after the wait for the locks: what has become too late meanwhile must not go out
        record(connection, outcomes)
        cover(connection, {step for entry in entries for step in entry.made_up_for()}, now)
        if not marks:
            return []
        answers, allowed, refused, shared = [], [], [], set()
        decisions = decide(connection, [wanted.written for wanted in marks], now, self._rules.per_minute)
        for wanted, decision in zip(marks, decisions, strict=True):
            answers.append(Answer.MARKED if isinstance(decision, Allowed) else Answer.WITHHELD)
            if isinstance(decision, Allowed):
                allowed.append(frozen_values(wanted.written, now))
                shared.add(wanted.shared)
            elif decision is not None:  # else somebody else decided about it meanwhile
                refused.append(withheld_outcome(wanted.written.row, decision, self._rules.worker, now))
        keep_shared(connection, shared - self._kept)
        mark(connection, allowed, self._rules.lease_seconds)
        record(connection, refused)
        self.counts.update(outcome.outcome for outcome in refused)
        return answers


def _answer(marks: list[_Wanted], answers: list[Answer]) -> None:
    for wanted, answer in zip(marks, answers, strict=True):
        if not wanted.answer.done():  # else whoever asked was cut meanwhile, and sends nothing
            wanted.answer.set_result(answer)
