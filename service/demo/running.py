"""Runs the scenario on a clock moved by hand, from event to event, then serves the inbox until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path

from service import logs, wiring
from service.actions.deliver import Delivery
from service.clock import SteppedClock, wall_clock
from service.demo import proof
from service.demo.desk import Desk
from service.demo.scenario import AT_THE_DESK, CLINIC, EVENTS, OPENS_AT, Event, PowerBack, PowerCut
from service.demo.look import Look, look
from service.demo.story import changes, due_in_vain
from service.demo.words import paragraph, spoken_day
from service.domain.schedule import instant, local_day, read_zone
from service.errors import Unavailable
from service.settings import Settings
from service.store.schema import migrate
from service.wiring import Service

HOST = "127.0.0.1"
ZONE = read_zone(CLINIC["timezone"])
#: Ports tried for a better one to name when the wanted one is taken.
NEARBY = 20

Say = Callable[[str], None]


def run(days: int, port: int, *, serve: bool) -> None:
    """Tell `days` days that end today, in seconds; then serve the inbox on loopback until Ctrl-C.

    Raises Unavailable if the port is taken (before anything is told) or if the caught mails break a promise.
    """
    door = _door(port) if serve else None
    logs.set_up("warning", "text")
    asyncio.run(_run(days, door))


async def _run(days: int, door: socket.socket | None) -> None:
    ended = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)
    start = local_day(wall_clock(), ZONE) - timedelta(days=days - 1)
    with tempfile.TemporaryDirectory(prefix="aftercare-demo-") as folder, throw_away(Path(folder)) as service:
        await play(service, (start, days), _say, ended)
        if ended.is_set():
            _say("Ended early. Everything is thrown away.")
        elif door is not None:
            await _serve(service, door, ended)


def _say(line: str) -> None:
    """To standard output at once; letters that it cannot show become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(line.encode(encoding, "replace").decode(encoding) + "\n")
    sys.stdout.flush()


@contextmanager
def throw_away(folder: Path) -> Iterator[Service]:
    """A service in `folder` with a migrated SQLite file: trial mode, no relay, nothing read from the environment."""
    with wiring.open_service(Settings(data_dir=folder), migrated=False) as service:
        migrate(service.store)
        yield service


async def play(service: Service, span: tuple[date, int], say: Say, ended: asyncio.Event | None = None) -> None:
    """Play the scenario. span: the first day and how many. ended: look up and leave between two moments.

    Raises Unavailable if the caught mails break a promise.
    """
    start, days = span
    say(f"{CLINIC['name']}, {CLINIC['timezone']}. {AT_THE_DESK['name']} is at the desk.")
    say(f"Notes go out at {CLINIC['send_at']}. All people are made up; nothing leaves this machine.")
    show = _Play(service, start, say)
    until = instant(start + timedelta(days=days), time(0), ZONE)
    async with show.power:
        await show.switch_on()
        while (moment := show.next_moment()) < until and not (ended and ended.is_set()):
            await show.step(moment)
    if not (ended and ended.is_set()):
        show.sum_up(days)


class _Play:
    """The demo under way: the clock, the desk, the worker while there is power, and the last look at the rows."""

    def __init__(self, service: Service, start: date, say: Say) -> None:
        self.power = AsyncExitStack()
        self._service = service
        self._say = say
        self._events = deque((_moment(start, event.day, event.at), event) for event in EVENTS)
        self._clock = SteppedClock(_moment(start, 0, OPENS_AT))
        self._desk = Desk.set_up(service, self._clock())
        self._worker: Delivery | None = None
        self._told: date | None = None
        self._seen = self._look()

    async def switch_on(self) -> None:
        """Start a worker with a relay of its own, as the daemon does."""
        name = self.power.enter_context(wiring.worker_lock(self._service, alone=True))
        route = await self.power.enter_async_context(wiring.post_office(self._service))
        self._worker = wiring.delivery(self._service, route, name)

    async def _switch_off(self) -> None:
        self._worker = None
        await self.power.aclose()

    def next_moment(self) -> datetime:
        """When something can happen next; the end of time if nothing can."""
        moments = [self._seen.next_moment(self._clock()), self._events[0][0] if self._events else None]
        return min((at for at in moments if at is not None), default=datetime.max.replace(tzinfo=ZONE))

    async def step(self, moment: datetime) -> None:
        """Go to that instant, do what the scenario says, let the worker work, tell what changed."""
        self._clock.set(moment)
        if self._events and self._events[0][0] == moment:
            await self._act(self._events.popleft()[1])
        if self._worker is not None:
            await self._worker.until_idle(self._clock)
        before, self._seen = self._seen, self._look()
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
                await self._switch_off()
            case PowerBack():
                await self.switch_on()

    def _look(self) -> Look:
        return look(self._service.store, self._desk.clinic.id)

    def _tell(self, sentence: str) -> None:
        local = self._clock().astimezone(ZONE)
        if local.date() != self._told:
            self._told = local.date()
            self._say("")
            self._say(spoken_day(local.date()))
        self._say(paragraph(f"  {local:%H:%M}  ", sentence))

    def sum_up(self, days: int) -> None:
        """The numbers, and what the caught mails prove. Raises Unavailable if they prove otherwise."""
        self._say("")
        self._say(f"After {days} day{'' if days == 1 else 's'}")
        for label, number in proof.summary(self._seen):
            self._say(paragraph(f"  {label + ':':<15}", number))
        mails = proof.read_all(self._service.maildir)
        broken = list(proof.faults(mails, self._seen))
        if broken:
            raise Unavailable(
                f"the caught mails break a promise: {'; '.join(broken)}", next_step="This is a bug: please report it."
            )
        checked = f"Checked in the {len(mails)} mails that were caught: no client got a note twice, none got one "
        self._say(paragraph("  ", f"{checked}out of date."))


def _moment(start: date, day: int, at: str) -> datetime:
    return instant(start + timedelta(days=day), time.fromisoformat(at), ZONE)


def _door(port: int) -> socket.socket:
    """The listening socket of the inbox page. Raises Unavailable when the port cannot be had."""
    try:
        return _listen(port)
    except OSError as error:
        raise Unavailable(
            f"Port {port} on this machine cannot be used: {error.strerror}",
            field="port",
            next_step=f"Try: aftercare demo --port {_free_port(port)}. Or leave the page out with --no-serve.",
        ) from error


def _free_port(near: int) -> int:
    for port in [*range(max(near, 1024) + 1, min(near + NEARBY, 65535)), 0]:
        try:
            with _listen(port) as found:
                return int(found.getsockname()[1])
        except OSError:
            continue
    return near + 1


def _listen(port: int) -> socket.socket:
    door = socket.socket()
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((HOST, port))
        door.listen()
    except OSError:
        door.close()
        raise
    return door


async def _serve(service: Service, door: socket.socket, ended: asyncio.Event) -> None:
    """The inbox page until `ended`."""
    from service.web.app import WebParts, create_app  # noqa: PLC0415 - the story alone must not wait for it
    from service.web.serving import Pages  # noqa: PLC0415

    parts = WebParts(
        maildir=service.maildir, is_ready=lambda: (True, "the demo has been played"), live_check=lambda: True
    )
    port = door.getsockname()[1]
    server = Pages.on(create_app(parts), HOST, port)
    serving = asyncio.create_task(server.serve(sockets=[door]))
    _say("")
    _say(f"Look at the mails: http://{HOST}:{port}/inbox")
    _say("(Ctrl-C ends and throws everything away)")
    stopping = asyncio.create_task(ended.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving
