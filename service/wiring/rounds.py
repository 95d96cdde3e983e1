"""A worker's rounds: what it does again and again, who hears how each went, and whether they still move."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from service.actions.deliver import Delivery
from service.actions.digest_mail import DigestDuty
from service.actions.pulse import TOLD_AFTER, Pulse
from service.actions.watch import Watch
from service.clock import Clock, ClockBrake, wall_clock
from service.errors import AftercareError, Unavailable
from service.wiring import Service

log = structlog.get_logger()
#: What people are told of an error that nobody foresaw; its words may name a client and stay in the log.
BUG = "a fault of this program, see its log"


@dataclass
class Bell:
    """Rung by the scheduler and by signals; heard by the worker. ticked: a round has ended well at least once."""

    rung: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    ticked: bool = False
    trouble: str = "the first round has not ended yet"
    pulse: Pulse | None = None

    def is_ready(self) -> tuple[bool, str]:
        """Whether rounds end well, and if not, why, without personal data."""
        trouble = (self.pulse.trouble() if self.pulse else "") or self.trouble
        return (self.ticked and not trouble, trouble or "the last round ended well")


@dataclass
class Rounds:
    """What one worker does again and again, and who hears how it went. digest: None if nobody is to get one."""

    service: Service
    delivery: Delivery
    bell: Bell
    watch: Watch
    digest: DigestDuty | None
    brake: ClockBrake = field(default_factory=ClockBrake)

    def __post_init__(self) -> None:
        settings = self.service.settings
        self.bell.pulse = self.pulse = Pulse(
            self.service.store.waits, settings.tick_seconds, settings.relay_session_timeout
        )

    async def guard(self) -> None:
        """Beside the rounds: a round that never ends reaches no `after_round`, and is told all the same."""
        while True:
            await asyncio.sleep(self.service.settings.tick_seconds)
            await self.look_at_pulse()

    async def look_at_pulse(self) -> None:
        """Tell people when nothing has moved for a few minutes."""
        still, now = self.pulse.still_for(), wall_clock()
        if still > TOLD_AFTER:
            log.error("no round ends", problem=self.pulse.trouble(), seconds=round(still))
            await self.watch.never_ends(now, now - timedelta(seconds=still), self.pulse.trouble())

    async def run(self) -> None:
        """A round at once, then one for every ring; while there is more to send than one round lists, no waiting."""
        try:
            while not self.bell.stopped.is_set():
                self.bell.rung.clear()
                self.pulse.begin()
                more = await self._round()
                self.pulse.end()
                if not more:
                    # The scheduler rings by the wall clock: one that is set back must not silence the bell for hours.
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self.bell.rung.wait(), self.service.settings.tick_seconds + 1)
            await self.delivery.settle()
        finally:
            await self.delivery.cut()

    async def _round(self) -> bool:
        """One round, told to the bell and to the watch. Whether there is more to send at once."""
        clock, trouble, counts, urgent = wall_clock, "", Counter[str](), False
        began = clock()
        try:
            with self.service.store.waits.one():
                clock = await asyncio.to_thread(self.service.clock)
            began = clock()
            _believe(self.brake, self.service, clock)
            counts = await self.delivery.round(clock)
        except AftercareError as error:
            trouble, urgent = error.message, error.field == "clock"
            log.error("a round failed", problem=error.message, next_step=error.next_step)
        except Exception:
            # Dying would help nobody: systemd would start it again into the same fault, until it gives up, and a dead
            # worker tells no one. Alive it alerts at once, says "not ready" and tries again: the fault may pass.
            trouble, urgent = BUG, True
            log.exception("a round met a fault of this program")
        else:
            self.bell.ticked = True
            if +counts:
                log.info("round", **{name: number for name, number in sorted(counts.items()) if number})
        self.bell.trouble = trouble
        now = clock()
        await self._note(now, began, urgent=urgent)
        self.watch.speak(now)
        at_work = not (self.bell.trouble or self.delivery.breaker.is_open)
        if self.digest is not None and at_work and not self.bell.stopped.is_set():
            await self._digest(self.digest, now)
        return bool(counts["claimed"]) and at_work

    async def _note(self, now: datetime, began: datetime, *, urgent: bool) -> None:
        """Tell the watch. A fault met while it looks around is a failed round, which is noted without looking."""
        line = self.delivery.breaker
        for _ in range(2):
            trouble = self.bell.trouble
            grave = urgent or (line.urgent and not trouble)
            try:
                await self.watch.after_round(now, trouble, line.cause, line.opened_at, urgent=grave, began=began)
            except Exception:  # as in a round: it must be told, and the next one tries again
                log.exception("a round could not be noted for a fault of this program")
                self.bell.trouble, urgent = BUG, True
            else:
                break

    async def _digest(self, duty: DigestDuty, now: datetime) -> None:
        """The round was good whatever becomes of a digest."""
        try:
            await duty.run(now)
        except AftercareError as error:
            log.warning("no morning digest now", problem=error.message)
        except Exception:
            log.exception("no morning digest now, for a fault of this program")


def _believe(brake: ClockBrake, service: Service, clock: Clock) -> None:
    """Raises Unavailable while the wall clock cannot be right: late is better than expired, or sent, all at once."""
    by_database = not service.store.is_sqlite and service.settings.now is None
    trouble = brake.trouble(clock() if by_database else None)
    if trouble:
        raise Unavailable(
            f"nothing is sent: {trouble}",
            field="clock",
            next_step="Set the clock right (NTP), then restart this program.",
        )
