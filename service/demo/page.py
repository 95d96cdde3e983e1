"""The demo's pages on loopback: inbox and desk. The port is taken before the story, so a busy one is said at once."""

from __future__ import annotations

import asyncio
import secrets
import socket

from service import wiring
from service.actions import sign_in
from service.actions.revise import Who
from service.errors import Unavailable
from service.store import clinics
from service.wiring import Service

HOST = "127.0.0.1"
#: Ports tried for a free one to name when the wanted one is taken.
NEARBY = 20
ROUND_SECONDS = 1.0


def open_door(port: int) -> socket.socket:
    """The listening socket of the page. Raises Unavailable when the port cannot be had, and names one that can."""
    try:
        return _listen(port)
    except OSError as error:
        raise Unavailable(
            f"port {port} of this machine cannot be used: {error.strerror}",
            field="port",
            next_step=f"Try `aftercare demo --port {_free_port(port)}`, or leave the page out with --no-serve.",
        ) from error


def address(door: socket.socket, page: str = "inbox") -> str:
    """Where a browser finds a page."""
    return f"http://{HOST}:{door.getsockname()[1]}/{page}"


def let_staff_in(service: Service, clinic_id: int) -> tuple[str, list[tuple[str, str]]]:
    """Give all made-up staff one password that is new in every demo. Returns it, and (address, role) of each."""
    password, now = secrets.token_urlsafe(12), service.now()
    with service.store.read() as connection:
        staff = clinics.list_staff(connection, clinic_id)
    for member in staff:
        with service.store.write() as connection:
            token = sign_in.make_link(connection, clinic_id, member["id"], Who("demo", now))
        sign_in.choose_password(service.store, token, password, now)
    return password, [(member["email"], member["role"]) for member in staff]


async def serve(service: Service, door: socket.socket, ended: asyncio.Event) -> None:
    """Show the desk and what was caught until `ended`, and go on sending into the catcher. Closes the door."""
    from service.web.app import WebParts, create_app  # noqa: PLC0415 - the story alone must not wait for it
    from service.web.serving import Pages  # noqa: PLC0415

    parts = WebParts(
        maildir=service.maildir,
        is_ready=lambda: (True, "the demo has been played"),
        live_check=lambda: True,
        desk=service,
        clock=service.now,
    )
    server = Pages.on(create_app(parts), HOST, door.getsockname()[1])
    tasks = [asyncio.create_task(work) for work in (server.serve(sockets=[door]), ended.wait(), _send(service))]
    serving, stopping, sending = tasks
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    sending.cancel()
    await asyncio.wait({serving, sending})


async def _send(service: Service) -> None:
    """What is registered at the demo's desk goes out on time, into the catcher."""
    with wiring.worker_lock(service, alone=True) as name:
        async with wiring.post_office(service) as route:
            work, watch = wiring.delivery(service, route, name), wiring.watch(service, name)
            while True:
                clock = service.clock()
                await work.until_idle(clock)
                await watch.after_round(clock(), "", "", None, urgent=False, began=clock())
                await asyncio.sleep(ROUND_SECONDS)


def _listen(port: int) -> socket.socket:
    door = socket.socket()
    try:
        # A port whose last user has just gone is free; one that somebody listens on is not.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((HOST, port))
        door.listen()
    except OSError:
        door.close()
        raise
    return door


def _free_port(near: int) -> int:
    first = max(near + 1, 1024)
    for port in range(first, min(first + NEARBY, 65536)):
        try:
            _listen(port).close()
        except OSError:
            continue
        return port
    with _listen(0) as any_free:
        return int(any_free.getsockname()[1])
