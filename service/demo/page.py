"""The demo's inbox page on loopback. Its port is taken before the story begins, so a busy one is said at once."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from service.errors import Unavailable

HOST = "127.0.0.1"
#: Ports tried for a free one to name when the wanted one is taken.
NEARBY = 20


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


def address(door: socket.socket) -> str:
    """Where a browser finds the inbox."""
    return f"http://{HOST}:{door.getsockname()[1]}/inbox"


async def serve(maildir: Path, door: socket.socket, ended: asyncio.Event) -> None:
    """Show what was caught until `ended`. Closes the door."""
    from service.web.app import WebParts, create_app  # noqa: PLC0415 - the story alone must not wait for it
    from service.web.serving import Pages  # noqa: PLC0415

    parts = WebParts(maildir=maildir, is_ready=lambda: (True, "the demo has been played"), live_check=lambda: True)
    server = Pages.on(create_app(parts), HOST, door.getsockname()[1])
    serving = asyncio.create_task(server.serve(sockets=[door]))
    stopping = asyncio.create_task(ended.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopping.cancel()
    await serving


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
