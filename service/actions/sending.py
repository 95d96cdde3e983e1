"""The sending part of a round: N conversations that draw on one list of due e-mails.

A line that hears nothing holds up its own e-mail and no other: `is_slow` tells when the rest need not wait for it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from service.actions.book import Answer, Book
from service.actions.outcomes import broken_outcome, given_back, heard_outcome, withheld_outcome
from service.actions.writing import Written
from service.clock import Clock
from service.domain.contact import Withheld
from service.domain.reminder import Reason
from service.domain.replies import Heard, Verdict, classify
from service.errors import AftercareError
from service.mail.relay import Conversation, NotOpened, Parcel, RelayAddress
from service.store.outbox import ClaimedEmail, Lease
from service.store.pace import room

if TYPE_CHECKING:
    from service.actions.deliver import Delivery

log = structlog.get_logger()
#: Rows held at once.
BATCH = 200


class Sending:
    """One round's. lines: conversations at once."""

    def __init__(self, delivery: Delivery, clock: Clock, waiting: Sequence[int], lines: int) -> None:
        self._it = delivery
        self._clock = clock
        self._waiting = deque(waiting)
        self._held: deque[ClaimedEmail] = deque()
        self._claiming: asyncio.Task[None] | None = None
        self._book = Book(delivery.store, clock, delivery.rules)
        self._worker = delivery.rules.worker
        self._opening = asyncio.Lock()
        # While the breaker is open this is a probe: one line, until the relay has taken something.
        self.busy = 1 if delivery.breaker.is_open else min(lines, len(waiting))
        self._moved_at = asyncio.get_running_loop().time()
        self._marked: dict[int, datetime] = {}
        self._claimed = self._paced = 0
        self._trouble: AftercareError | None = None

    def is_slow(self) -> bool:
        """Whether nothing has begun, was marked or has ended for long, although the relay lets us in."""
        waited = asyncio.get_running_loop().time() - self._moved_at
        return waited > self._it.rules.patience and not self._opening.locked()

    async def run(self) -> Counter[str]:
        """Rows by what became of them, and `claimed`. Raises what was in the way of all, when the rest has ended."""
        async with self._book:
            try:
                # Each line ends by itself: one that fails must not cut off what the others are saying.
                ended = await asyncio.gather(*(self._line() for _ in range(self.busy)), return_exceptions=True)
            finally:
                await self._give_back()
        for trouble in (*ended, self._trouble):
            if trouble is not None:
                raise trouble
        return self._book.counts + Counter(claimed=self._claimed, paced=self._paced)

    async def _give_back(self) -> None:
        """What was claimed and not begun goes back as it was, also when the round is cut."""
        if self._claiming:
            await asyncio.wait({self._claiming})
        for row in self._held:
            self._book.put(given_back(row, self._worker, self._clock(), Reason.RELAY_TROUBLE))

    def _moves(self) -> None:
        self._moved_at = asyncio.get_running_loop().time()

    def _goes_on(self) -> bool:
        return not self._it.stopping and self._it.breaker.lets_pass(self._clock())

    async def _line(self) -> None:
        """One place at the relay: row after row over kept-open conversations, until there is none or trouble."""
        open_to: dict[RelayAddress, Conversation] = {}
        try:
            while self._goes_on() and (row := await self._next()) is not None:
                self._moves()
                await self._deliver_one(row, open_to)
                self._moves()
        finally:
            for conversation in open_to.values():
                await conversation.close()
            self.busy -= 1

    async def _next(self) -> ClaimedEmail | None:
        """The next row this worker holds; the next batch is claimed while half of this one is still to go."""
        while True:
            if len(self._held) <= BATCH // 2 and self._waiting and self._claiming is None:
                self._claiming = asyncio.create_task(self._claim())
            if self._held:
                return self._held.popleft()
            if self._claiming is None:
                return None
            await asyncio.shield(self._claiming)

    async def _claim(self) -> None:
        try:
            ids = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            rules = self._it.rules
            lease = Lease(rules.worker, secrets.token_hex(8), rules.lease_seconds)
            rows = await self._it.store.in_brief(self._claim_some, ids, lease)
            self._held.extend(rows)
            self._claimed += len(rows)
        except AftercareError as trouble:
            self._trouble = trouble  # told when what is held has been sent
            self._waiting.clear()
        finally:
            self._claiming = None

    def _claim_some(self, connection: sa.Connection, ids: list[int], lease: Lease) -> list[ClaimedEmail]:
        """As many as the relay's limit a minute has room for; the others wait for a later round."""
        limit = self._it.rules.per_minute
        allowed = room(connection, limit) if limit else len(ids)
        if allowed < len(ids):
            self._paced += len(ids) - allowed + len(self._waiting)
            self._waiting.clear()
        return self._it.preparer.claim(connection, ids[:allowed], lease, self._clock())

    async def _deliver_one(self, row: ClaimedEmail, open_to: dict[RelayAddress, Conversation]) -> None:
        """Write it, say it, record it. One row's failure ends here, is recorded, and the batch goes on."""
        try:
            await self._attempt(row, open_to)
        except asyncio.CancelledError:
            if row.id not in self._marked:
                self._book.put(given_back(row, self._worker, self._clock(), Reason.RELAY_TROUBLE))
            raise
        except Exception:  # a bug met by one e-mail must not stop the others: it is put aside and a person looks
            log.exception("an e-mail could not be delivered", email=row.id)
            at = (self._worker, self._clock(), self._marked.get(row.id))
            self._book.put(broken_outcome(row, at, self._it.rules.doubt_cap))
            for address in list(open_to):
                await open_to.pop(address).close()

    async def _attempt(self, row: ClaimedEmail, open_to: dict[RelayAddress, Conversation]) -> None:
        written = self._it.preparer.write(row, self._clock())
        if isinstance(written, Withheld):
            self._book.put(withheld_outcome(row, written, self._worker, self._clock(), spoke=False))
            return
        address = self._it.route(row.address)
        conversation = open_to.get(address) or await self._open(address)
        if conversation is None:
            self._book.put(given_back(row, self._worker, self._clock(), Reason.RELAY_TROUBLE))
            return
        open_to[address] = conversation
        await self._converse(conversation, written)
        if not conversation.usable:
            await open_to.pop(address).close()

    async def _open(self, address: RelayAddress) -> Conversation | None:
        """A new conversation, or None when the line is stopped. One at a time: a wrong password is tried once."""
        async with self._opening:
            if not self._goes_on():
                return None
            try:
                return await Conversation.open(address)
            except NotOpened as trouble:
                self._learn(trouble.heard)
                return None

    async def _converse(self, conversation: Conversation, written: Written) -> None:
        answer: Answer | None = None

        async def mark() -> bool:
            nonlocal answer
            answer = await self._book.mark(written)
            self._moves()
            if answer is Answer.MARKED:
                self._marked[row.id] = self._clock()
            return answer is Answer.MARKED

        row, worker = written.row, self._worker
        parcel = Parcel(written.mail_from, row.address, written.message, stuffed=True)  # compose's gate has read it
        heard = await conversation.send(parcel, mark)
        if answer is Answer.WITHHELD:
            return  # the book has written why
        if answer is Answer.REFUSED:
            raise RuntimeError("the database refuses its mark")
        if answer is Answer.NOT_WRITTEN:
            self._book.put(given_back(row, worker, self._clock(), Reason.RELAY_TROUBLE))
            return
        verdict = self._learn(heard)
        at = (worker, self._clock(), self._marked.get(row.id))
        outcome = heard_outcome(row, heard, verdict, at, self._it.rules.doubt_cap)
        self._book.put(outcome, row.treatment_id, self._it.preparer.covers(row))

    def _learn(self, heard: Heard) -> Verdict:
        verdict = classify(heard)
        before = self._it.breaker
        words = f"{heard.stage}: {heard.code or ''} {heard.text or heard.failure}".strip()
        self._it.breaker = before.after(verdict, heard.stage, self._clock(), words)
        if self._it.breaker.is_open and not before.is_open:
            log.error("the line to the relay is stopped", cause=words, retry_at=str(self._it.breaker.retry_at))
        if before.is_open and not self._it.breaker.is_open:
            log.info("the line to the relay works again")
        return verdict
