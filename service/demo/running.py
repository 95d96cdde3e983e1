"""Plays the scenario on a clock moved by hand, from event to event, then shows the inbox until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from service import logs, wiring
from service.actions.deliver import Delivery
from service.clock import SteppedClock, wall_clock
from service.demo import page, proof
from service.demo.desk import Desk
from service.demo.look import look
from service.demo.scenario import AT_THE_DESK, CLINIC, EVENTS, OPENS_AT, Event, PowerBack, PowerCut
from service.demo.story import changes, due_in_vain
from service.demo.words import paragraph, spoken_day
from service.domain.schedule import instant, local_day, read_zone
from service.errors import Unavailable
from service.settings import read_settings
from service.store.outages import note_past
from service.store.schema import migrate
from service.wiring import Service

ZONE = read_zone(CLINIC["timezone"])
_NEVER = datetime.max.replace(tzinfo=UTC)

Say = Callable[[str], None]


def run(days: int, port: int, *, serve: bool) -> None:
    """Tell `days` days and today as far as it has come, in seconds; then show the inbox on loopback until Ctrl-C.

    Raises Unavailable if the port is taken (before anything is told) or if the caught mails break a promise, and
    KeyboardInterrupt if told to stop before the story has ended. Nothing is left behind.
    """
    door = page.open_door(port) if serve else None
    logs.set_up("warning", "text")
    if not asyncio.run(_run(days, door)):
        raise KeyboardInterrupt


async def _run(days: int, door: socket.socket | None) -> bool:
    """Whether the story was told to its end."""
    ended = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    start = local_day(wall_clock(), ZONE) - timedelta(days=days)
    with tempfile.TemporaryDirectory(prefix="aftercare-demo-") as folder, throw_away(Path(folder)) as service:
        # Up to this minute: what is due later today goes out then, at the desk that is shown.
        if not await play(service, (start, days), _say, ended, wall_clock()):
            return False
        if door is not None:
            _say(f"\nLook at the mails: {page.address(door)}")
            _invite(service, door)
            _say("\n(Ctrl-C ends and throws everything away)")
            await page.serve(service, door, ended)
    return True


def _invite(service: Service, door: socket.socket) -> None:
    """How to sign in at the demo's desk."""
    password, staff = page.let_staff_in(service, 1)
    _say(f"Sit down at the desk: {page.address(door, '')}\n  password: {password}")
    for email, role in staff:
        _say(f"  {email} ({role})")


def _say(lines: str) -> None:
    """To standard output at once; letters that it cannot show become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(lines.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


@contextmanager
def throw_away(folder: Path) -> Iterator[Service]:
    """A service in `folder` with a migrated SQLite file: trial mode, no relay, nothing read from the environment."""
    settings = read_settings({"AFTERCARE_DATA_DIR": str(folder)}, folder)
    with wiring.open_service(settings, migrated=False) as service:
        migrate(service.store)
        yield service


async def play(
    service: Service,
    span: tuple[date, int],
    say: Say,
    ended: asyncio.Event | None = None,
    until: datetime | None = None,
) -> bool:
    """Play the scenario in an empty service; False if told to stop before its end.

    span: the first day and how many. until: where it ends, if not with the last day.

    Raises Unavailable if the caught mails break a promise.
    """
    start, days = span
    say(f"{CLINIC['name']}, {CLINIC['timezone']}. {AT_THE_DESK['name']} is at the desk.")
    say(f"Notes go out at {CLINIC['send_at']}. All people are made up; nothing leaves this machine.")
    stage = _Stage(service, start, say)
    until = until or _at(start, days, "00:00")
    async with stage.power:
        await stage.switch_on()
        while (moment := stage.next_moment()) < until:
            if ended and ended.is_set():
                return False
            await stage.step(moment)
    stage.sum_up(f"After {days} day{'' if days == 1 else 's'}")
    return True


class _Stage:
    """The demo under way: the clock, the desk, a worker while there is power, and the last look at the rows."""

    def __init__(self, service: Service, start: date, say: Say) -> None:
        self.power = AsyncExitStack()
        self._service = service
        self._say = say
        self._events = deque((_at(start, event.day, event.at), event) for event in EVENTS)
        self._clock = SteppedClock(_at(start, 0, OPENS_AT))
        self._desk = Desk.set_up(service, self._clock())
        self._worker: Delivery | None = None
        self._told: date | None = None
        self._dark_since = self._clock()
        self._seen = look(service.store, self._desk.clinic.id)

    async def switch_on(self) -> None:
        """Start a worker with a catcher of its own, as the daemon does."""
        name = self.power.enter_context(wiring.worker_lock(self._service, alone=True))
        route = await self.power.enter_async_context(wiring.post_office(self._service))
        self._worker = wiring.delivery(self._service, route, name)

    async def _switch_off(self) -> None:
        self._worker = None
        await self.power.aclose()

    def next_moment(self) -> datetime:
        """When something can happen next."""
        planned = self._events[0][0] if self._events else _NEVER
        return min(planned, self._seen.next_moment(self._clock()) or _NEVER)

    async def step(self, moment: datetime) -> None:
        """Go to that instant, do what the scenario says, let the worker work, tell what changed."""
        self._clock.set(moment)
        if self._events and self._events[0][0] == moment:
            await self._act(self._events.popleft()[1])
        if self._worker is not None:
            await self._worker.until_idle(self._clock)
        before, self._seen = self._seen, look(self._service.store, self._desk.clinic.id)
        for sentence in changes(before, self._seen, ZONE):
            self._tell(sentence)
        if self._worker is None:
            for sentence in due_in_vain(self._seen, moment):
                self._tell(sentence)

    async def _act(self, event: Event) -> None:
        done = self._desk.do(event.what, self._clock())
        self._tell(f"{done} {event.remark}".rstrip())
        match event.what:
            case PowerCut():
                self._dark_since = self._clock()
                await self._switch_off()
            case PowerBack():
                # As the watch of a worker does that comes back.
                dark = (self._dark_since, self._clock())
                await self._service.store.in_thread(note_past, "down", dark, "no worker was running")
                await self.switch_on()

    def _tell(self, sentence: str) -> None:
        local = self._clock().astimezone(ZONE)
        if local.date() != self._told:
            self._told = local.date()
            self._say(f"\n{spoken_day(local.date())}")
        self._say(paragraph(f"  {local:%H:%M}  ", sentence))

    def sum_up(self, heading: str) -> None:
        """The numbers, and what the caught mails prove. Raises Unavailable if they prove otherwise."""
        self._say(f"\n{heading}")
        for label, number in proof.summary(self._seen):
            self._say(paragraph(f"  {label + ':':<11}", number))
        mails = proof.read_all(self._service.maildir)
        broken = list(proof.faults(mails, self._seen))
        if broken:
            raise Unavailable(
                f"the caught mails break a promise: {'; '.join(broken)}", next_step="This is a bug: please report it."
            )
        checked = f"Checked in the {len(mails)} mails that were caught:"
        self._say(paragraph("  ", f"{checked} no client got a note twice, none got one out of date."))


def _at(start: date, day: int, at: str) -> datetime:
    return instant(start + timedelta(days=day), time.fromisoformat(at), ZONE)
