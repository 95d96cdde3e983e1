"""One tick: rescue what lost workers left, end what is out of date, then claim, mark, send and record what is due.

The guarantee, in four lines:
- nothing goes out before its hour, after its shelf life, or to somebody who stopped: asked again in the mark's commit;
- the mark is committed after the relay's 354 and before the first byte: from there on the truth may be in doubt;
- a row in doubt is repeated at most `doubt_cap` times, with the same bytes, and is listed; nothing is lost;
- no transaction is open while a relay is spoken to, and without a commit there is no mail.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from service.actions.book import Rules
from service.actions.lockout import Lockout
from service.actions.prepare import Preparer
from service.actions.sending import Sending
from service.actions.upkeep import Upkeep
from service.clock import Clock
from service.domain.breaker import Breaker
from service.mail.relay import RelayAddress
from service.store import outbox
from service.store.engine import Store

#: The most that one look at the outbox lists.
LISTED = 5000
#: Seconds until a minute that is used up is looked at again, and until it is asked whether a round still moves.
PACE_WAIT = LOOK_AGAIN = 1.0
Route = Callable[[str], RelayAddress]


@dataclass
class Delivery:
    """A worker's delivery over many rounds. route: which relay takes an address; the breaker stays."""

    store: Store
    preparer: Preparer
    upkeep: Upkeep
    route: Route
    rules: Rules
    lockout: Lockout
    breaker: Breaker = field(default_factory=Breaker)
    stopping: bool = False
    _under_way: dict[asyncio.Task[Counter[str]], Sending] = field(default_factory=dict)

    async def tick(self, clock: Clock) -> Counter[str]:
        """One round at `clock`, to its end. Returns rows by what became of them, and `claimed`."""
        async with self.lockout.shared(self):
            counts = await self._begin(clock)
            await self.settle()
            return self._ended(counts)

    async def round(self, clock: Clock) -> Counter[str]:
        """As `tick`, but lines that a relay keeps waiting go on beside the next round, which has the others.

        `settle` or `cut` comes after the last.
        """
        async with self.lockout.shared(self):
            counts = await self._begin(clock)
            while any(not sending.is_slow() for sending in self._under_way.values()):
                await asyncio.wait(self._under_way, timeout=LOOK_AGAIN, return_when=asyncio.FIRST_COMPLETED)
                self._ended(counts)
            return self._ended(counts)

    async def until_idle(self, clock: Clock) -> Counter[str]:
        """Ticks until nothing is claimable at `clock`; never waits for not_before or for another worker's lease."""
        total: Counter[str] = Counter()
        while not self.stopping:
            counts = await self.tick(clock)
            waits = counts.pop("paced", 0)
            total.update(counts)
            if self.breaker.is_open or not (counts["claimed"] or waits):
                break
            if waits:
                await asyncio.sleep(PACE_WAIT)
        return total

    async def settle(self) -> None:
        """Wait until all that is being said has ended. Who is cancelled while waiting breaks it off."""
        try:
            if self._under_way:
                await asyncio.wait(self._under_way)
        except asyncio.CancelledError:
            await self.cut()
            raise

    async def cut(self) -> None:
        """Break off what is being said: what is not marked goes back as it was, what is marked is in doubt."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._under_way.clear()

    async def _begin(self, clock: Clock) -> Counter[str]:
        """Upkeep, then the sending of what is due, begun over the lines that are free."""
        now = clock()
        counts = await self.upkeep.keep_up(self.store, now)
        free = self.rules.connections - sum(sending.busy for sending in self._under_way.values())
        if free < 1 or self.stopping or not self.breaker.lets_pass(now):
            return counts
        waiting = await self.store.in_thread(outbox.due_ids, now, LISTED)
        if waiting and not self.stopping:
            sending = Sending(self, clock, waiting, free)
            self._under_way[asyncio.create_task(sending.run())] = sending
        return counts

    def _ended(self, counts: Counter[str]) -> Counter[str]:
        """Add what the sendings that have ended counted. Raises what was in the way of one."""
        for task in [task for task in self._under_way if task.done()]:
            del self._under_way[task]
            counts.update(task.result())
        return counts
