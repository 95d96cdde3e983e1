"""Rings the bell: APScheduler says when a round is due, our own task does it. Stops between two messages, never in one.

No reminder is ever told to the scheduler: a lost ring costs nothing, the rows are the schedule.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from service import wiring
from service.actions.deliver import Delivery
from service.actions.digest_mail import DigestDuty
from service.actions.watch import Watch
from service.clock import Clock, ClockBrake, wall_clock
from service.errors import AftercareError, Unavailable
from service.wiring import Service

log = structlog.get_logger()
#: A clean stop waits so long for the messages that are being said; then their rows are in doubt, and listed.
STOP_WITHIN = 30.0
#: What people are told of an error that nobody foresaw; its words may name a client and stay in the log.
BUG = "a fault of this program, see its log"


@dataclass
class Bell:
    """Rung by the scheduler and by signals; heard by the worker. ticked: a round has ended well at least once."""

    rung: asyncio.Event = field(default_factory=asyncio.Event)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    ticked: bool = False
    trouble: str = "the first round has not ended yet"

    def is_ready(self) -> tuple[bool, str]:
        """Whether rounds end well, and if not, why, without personal data."""
        return (self.ticked and not self.trouble, self.trouble or "the last round ended well")


async def run(service: Service, *, with_web: bool = False, with_worker: bool = True) -> None:
    """Run until SIGTERM or SIGINT. with_web: serve the pages too."""
    bell = Bell()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, bell.stopped.set)
    async with AsyncExitStack() as stack:
        if with_web:
            await stack.enter_async_context(_web(service, bell, reports_worker=with_worker))
        if with_worker:
            await _work(service, bell)
        else:
            await bell.stopped.wait()
    log.info("stopped")


async def _work(service: Service, bell: Bell) -> None:
    with wiring.worker_lock(service, alone=False) as name:
        wiring.require_ready(service)
        async with wiring.post_office(service) as route:
            delivery = wiring.delivery(service, route, name)
            scheduler = _scheduler(bell, service.settings.tick_seconds)
            scheduler.start()
            log.info("working", worker=name, mode=service.settings.mode)
            watch = wiring.watch(service, name)
            fetching = wiring.fetching(service)
            if fetching is not None:
                fetching.start(service.now, lambda: not bell.trouble)
            work = Rounds(service, delivery, bell, watch, wiring.digest_duty(service, route))
            rounds = asyncio.create_task(work.run())
            stopped = asyncio.create_task(bell.stopped.wait())
            # Rounds never end by themselves: if they do, it is a bug, and the process must die loudly.
            await asyncio.wait({rounds, stopped}, return_when=asyncio.FIRST_COMPLETED)
            scheduler.pause()
            await asyncio.sleep(0)  # a ring that has begun ends
            scheduler.shutdown(wait=False)
            delivery.stopping = True
            bell.stopped.set()
            bell.rung.set()
            await stopped
            await _finish(rounds)
            if fetching is not None:
                await fetching.close()
            await watch.close()


def _scheduler(bell: Bell, seconds: float) -> AsyncIOScheduler:
    """Coalesced, one at a time, never dropped for being late: the default grace of one second drops rings silently."""

    async def ring() -> None:
        # A coroutine, so that it runs in the loop: a plain function would run in a thread, where an Event is not safe.
        bell.rung.set()

    scheduler = AsyncIOScheduler(timezone="UTC")
    scheduler.add_job(ring, _Every(seconds), coalesce=True, max_instances=1, misfire_grace_time=None, id="tick")
    return scheduler


class _Every(BaseTrigger):  # type: ignore[misc] # apscheduler is not typed
    """Rings so many seconds after the last ring. The library's own trigger steps through every ring that a clock which
    jumped ahead by a month left out, and nothing else runs meanwhile.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = timedelta(seconds=seconds)

    def get_next_fire_time(self, _previous: datetime | None, now: datetime) -> datetime:
        return now + self._seconds


@dataclass
class Rounds:
    """What one worker does again and again, and who hears how it went. digest: None if nobody is to get one."""

    service: Service
    delivery: Delivery
    bell: Bell
    watch: Watch
    digest: DigestDuty | None
    brake: ClockBrake = field(default_factory=ClockBrake)

    async def run(self) -> None:
        """A round at once, then one for every ring; while there is more to send than one round lists, no waiting."""
        while not self.bell.stopped.is_set():
            self.bell.rung.clear()
            if not await self._round():
                # The scheduler rings by the wall clock: one that is set back must not silence the bell for hours.
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.bell.rung.wait(), self.service.settings.tick_seconds + 1)

    async def _round(self) -> bool:
        """One round, told to the bell and to the watch. Whether there is more to send at once."""
        clock, trouble, counts, urgent = wall_clock, "", Counter[str](), False
        began = clock()
        try:
            clock = await asyncio.to_thread(self.service.clock)
            began = clock()
            _believe(self.brake, self.service, clock)
            counts = await self.delivery.tick(clock)
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


async def _finish(rounds: asyncio.Task[None]) -> None:
    """Let the round end by itself; after STOP_WITHIN cut it, leaving what was being said to the rescue."""
    done, _ = await asyncio.wait({rounds}, timeout=STOP_WITHIN)
    if not done:
        log.warning("the relay did not answer in time; what was being sent is in doubt")
        rounds.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await rounds


@asynccontextmanager
async def _web(service: Service, bell: Bell, *, reports_worker: bool) -> AsyncIterator[None]:
    """Serve the pages in this loop until the block ends."""
    from service.web.app import WebParts, create_app  # noqa: PLC0415 - a worker alone must not pay for it
    from service.web.client_pages import ClientParts  # noqa: PLC0415
    from service.web.security import LOOPBACK_HOSTS  # noqa: PLC0415
    from service.web.serving import Pages  # noqa: PLC0415

    host, port = wiring.bind_address(service.settings)
    parts = WebParts(
        maildir=None if service.settings.live else service.maildir,
        is_ready=bell.is_ready if reports_worker else (lambda: (True, "no worker in this process")),
        live_check=lambda: True,
        hosts=LOOPBACK_HOSTS | wiring.public_hosts(service.settings),
        clients=ClientParts(service.store, service.signer, service.now, shelf=wiring.shelf(service)),
        read=service.store.read,
        clock=service.now,
        desk=service,
    )
    server = Pages.on(create_app(parts), host, port, service.settings.trusted_proxies)
    serving = asyncio.create_task(server.serve())
    log.info("pages", url=f"http://{host}:{port}/")
    try:
        yield
    finally:
        server.should_exit = True
        await serving
