"""Rings the bell: APScheduler says when a round is due, our own task does it. Stops between two messages, never in one.

No reminder is ever told to the scheduler: a lost ring costs nothing, the rows are the schedule.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from service import wiring
from service.wiring import Service
from service.wiring.rounds import Bell, Rounds

log = structlog.get_logger()
#: A clean stop waits so long for the messages that are being said; then their rows are in doubt, and listed.
STOP_WITHIN = 30.0
#: Seconds after which a stop that a hanging database holds up ends all the same, before systemd's TimeoutStopSec.
LAST_RESORT = 40.0


async def run(service: Service, *, with_web: bool = False, with_worker: bool = True) -> None:
    """Run until SIGTERM or SIGINT. with_web: serve the pages too."""
    bell = Bell()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, _stop, bell)
    async with AsyncExitStack() as stack:
        if with_web:
            await stack.enter_async_context(_web(service, bell, reports_worker=with_worker))
        if with_worker:
            await _work(service, bell)
        else:
            await bell.stopped.wait()
    log.info("stopped")


def _stop(bell: Bell) -> None:
    bell.stopped.set()
    end_within(LAST_RESORT)


def end_within(seconds: float) -> None:
    """End the process then, if it still lives. Costs what a kill costs: what was being sent is in doubt, and listed."""

    def end() -> None:
        log.error("ended without waiting any longer: the database or the relay does not answer")
        os._exit(1)  # a thread that waits for a database would hold up any other way out

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


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
            rounds, guard = asyncio.create_task(work.run()), asyncio.create_task(work.guard())
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
            guard.cancel()
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
    from service.web.serving import Pages, listen  # noqa: PLC0415

    host, port = wiring.bind_address(service.settings)
    door = listen(host, port)
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
    serving = asyncio.create_task(server.serve(sockets=[door]))
    log.info("pages", url=f"http://{host}:{port}/")
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        door.close()
