"""A mail relay for tests that does what a script says, at every step of a conversation, and logs what it accepted.

It speaks real SMTP on loopback from a thread of its own, or as a program (`python -m tests.support.scripted_relay`).
Its log is the ground truth: it is written before the 250 goes out. It never forwards anything.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO

from tests.support.relay_script import (
    AcceptAndDrop,
    Accepted,
    Action,
    Delay,
    Drip,
    Drop,
    Each,
    Garbage,
    Hang,
    Read,
    Reply,
    Reset,
    Script,
    Security,
    at,
    every,
    first_of,
    greylisting,
    recipients,
)
from tests.support.relay_session import Session

__all__ = [
    "AcceptAndDrop",
    "Accepted",
    "Action",
    "Delay",
    "Drip",
    "Drop",
    "Each",
    "Garbage",
    "Hang",
    "Read",
    "Reply",
    "Reset",
    "Script",
    "ScriptedRelay",
    "Security",
    "at",
    "every",
    "first_of",
    "greylisting",
    "recipients",
]


@dataclass
class ScriptedRelay:
    """`with ScriptedRelay(...) as relay:` listens on 127.0.0.1:relay.port. auth: user names and passwords."""

    script: Script = lambda _stage, _argument, _count: None
    tls: Security | None = None
    auth: Mapping[str, str] | None = None
    auth_methods: tuple[str, ...] = ("PLAIN", "LOGIN")
    pipelining: bool = True
    size: int | None = None
    smtputf8: bool = False
    log_file: Path | None = None
    port: int = 0
    log: list[Accepted] = field(default_factory=list)
    #: All commands heard, in order; "." for a final dot. Passwords are not kept.
    commands: list[str] = field(default_factory=list)
    #: What had come of a message when its connection ended before the dot.
    cut_off: list[bytes] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    connections: int = 0

    def __enter__(self) -> Self:
        self._ready = threading.Event()
        self._changed = threading.Condition()
        self._faults: list[BaseException] = []
        self._open: set[asyncio.Task[Any]] = set()
        self._file: TextIO | None = self.log_file.open("a", encoding="utf-8") if self.log_file else None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="scripted relay")
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the relay does not listen")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        if self._file:
            self._file.close()
        if self._faults:
            raise self._faults[0]

    def wait_until_alone(self, seconds: float = 10) -> None:
        """Return when no conversation is open; what was heard is then complete."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self._open, seconds):
                raise TimeoutError("a conversation is still open")

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _loop, _context: None)  # torn connections are the purpose here
        self._stop = asyncio.Event()
        context = self.tls.context if self.tls and self.tls.implicit else None
        server = await asyncio.start_server(self._begin, "127.0.0.1", self.port, ssl=context, backlog=256)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await asyncio.sleep(0)  # lets aborted transports close their sockets

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(Session(self, reader, writer, self.connections).run())
        with self._changed:
            self._open.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (fault := task.exception()):
            self._faults.append(fault)
        with self._changed:
            self._open.discard(task)
            self._changed.notify_all()

    def decide(self, stage: str, argument: str) -> Action | None:
        self.counts[stage] += 1
        return self.script(stage, argument, self.counts[stage])

    def accept(self, message: Accepted) -> None:
        if self._file:
            self._file.write(message.as_line())
            self._file.flush()
        self.log.append(message)


def main() -> None:
    """Serve until killed; print the port first."""
    options = argparse.ArgumentParser()
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--log", type=Path, help="accepted messages, one JSON object a line")
    options.add_argument("--delay-dot", type=float, default=0, help="seconds before the reply to the final dot")
    options.add_argument("--lose-every", type=int, default=0, help="accept every n-th message and lose the reply")
    options.add_argument("--greylist", action="store_true", help="refuse every recipient once")
    options.add_argument("--no-pipelining", action="store_true")
    given = options.parse_args()
    scripts: list[Script] = []
    if given.greylist:
        scripts.append(greylisting())
    if given.lose_every:
        scripts.append(every(given.lose_every, "dot", AcceptAndDrop()))
    if given.delay_dot:
        scripts.append(at("dot", Delay(given.delay_dot)))
    relay = ScriptedRelay(first_of(*scripts), port=given.port, log_file=given.log, pipelining=not given.no_pipelining)
    with relay:
        sys.stdout.write(f"{relay.port}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
