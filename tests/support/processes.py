"""Real processes for fault tests: the program as an installation runs it, and a relay of its own process.

Every process is started here and ended by its id. Nothing waits without an end: what is waited for is a fact that can
be seen (a line in a log, a row), asked again and again until a deadline.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.support.run_clock import RunClock

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
#: Commands that send mail.
SENDING = ("tick", "worker", "serve")


def wait_for(fact: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """The first truthy answer of `fact`. Raises AssertionError saying what was waited for."""
    deadline = time.monotonic() + seconds
    while not (answer := fact()):
        assert time.monotonic() < deadline, f"after {seconds:.0f} s still waiting for {what}"
        time.sleep(0.005)
    return answer


@dataclass
class Process:
    """A started program. out, log: the files its standard output and standard error go to."""

    popen: subprocess.Popen[bytes]
    out: Path
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def says(self, words: str) -> Process:
        """Return when its log holds `words`; fail at once if it ends without."""

        def said() -> bool:
            ended = self.popen.poll() is not None
            if words in self.log.read_text("utf-8", "replace"):
                return True
            assert not ended, f"ended without saying {words!r}: {self.log.read_text('utf-8', 'replace')[-2000:]}"
            return False

        wait_for(said, f"the log line {words!r}")
        return self

    def send(self, number: signal.Signals) -> None:
        """A signal by its id; none if it has ended already."""
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        self.popen.wait(PATIENCE)

    def freeze(self) -> None:
        """Stop it where it stands; returns when it stands."""
        self.send(signal.SIGSTOP)
        wait_for(lambda: self.popen.poll() is not None or _state(self.pid) == "T", "a frozen process")

    def ended(self, seconds: float = PATIENCE) -> int:
        """Its exit status. Fails if it is still alive after `seconds`."""
        return self.popen.wait(seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = PATIENCE) -> None:
        """Ask it to end; fails unless it ends well, in time, and without a traceback in its log."""
        self.send(number)
        status = self.ended(seconds)
        said = self.log.read_text("utf-8", "replace")
        assert status == 0, f"ended with {status}: {said[-3000:]}"
        assert "Traceback" not in said, said[-3000:]


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@dataclass
class Program:
    """One installation: its settings. `with program:` ends what it started. clock: the one it sends by."""

    folder: Path
    settings: Mapping[str, str]
    started: list[Process] = field(default_factory=list)
    clock: RunClock = field(default_factory=RunClock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.started:
            process.send(signal.SIGCONT)
            process.kill()

    def start(self, *words: str, under: tuple[str, ...] = (), **settings: str) -> Process:
        """Start a command. under: a program that runs it (strace …). settings: on top of the installation's."""
        if words[0] in SENDING:
            self.clock.says(_moved_to(words))
        number = len(self.started)
        out, log = self.folder / f"{number}.out", self.folder / f"{number}.log"
        with out.open("wb") as to_out, log.open("wb") as to_log:
            popen = subprocess.Popen(
                [*under, sys.executable, "-m", "service", *words],
                env=environment({**self.settings, **settings}),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=to_out,
                stderr=to_log,
            )
        process = Process(popen, out, log)
        self.started.append(process)
        return process

    def run(self, *words: str, **settings: str) -> str:
        """Run a command to its end and give its standard output. Fails unless it ends with 0."""
        process = self.start(*words, under=(), **settings)
        status = process.ended()
        assert status == 0, f"{words} ended with {status}: {process.log.read_text('utf-8', 'replace')[-3000:]}"
        if words[0] in SENDING:
            self.clock.says(None)
        return process.out.read_text("utf-8")

    def tick(self, now: str, **settings: str) -> dict[str, int]:
        """`tick --until-idle` at `now`, to its end."""
        counts = json.loads(self.run("tick", "--until-idle", "--json", "--now", now, **settings))
        assert isinstance(counts, dict)
        return counts


def _moved_to(words: Sequence[str]) -> datetime | None:
    """The instant after --now."""
    return datetime.fromisoformat(words[words.index("--now") + 1]) if "--now" in words else None


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This environment without any setting of ours, and with `settings` as AFTERCARE_*."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AFTERCARE_")}
    kept["PYTHONPATH"] = str(ROOT)
    return kept | {f"AFTERCARE_{name.upper()}": value for name, value in settings.items()}


@dataclass(frozen=True)
class Copy:
    """One accepted message, as the relay's log has it. at: when its dot was taken."""

    address: str
    message_id: str
    data: str
    at: datetime


def accepted(log: Path) -> list[Copy]:
    """The relay's log in order. A line still being written is left for the next look."""
    copies = []
    for line in log.read_text("utf-8").splitlines(keepends=True) if log.exists() else []:
        if line.endswith("\n"):
            row: dict[str, Any] = json.loads(line)
            assert len(row["rcpt_to"]) == 1, "one message, one recipient"
            at = datetime.fromisoformat(row["at"])
            copies.append(Copy(row["rcpt_to"][0], row["message_id"], row["data"], at))
    return copies


@dataclass
class Lines:
    """How many whole lines a growing file has; each look reads only what is new."""

    path: Path
    number: int = 0
    _read: int = 0

    def count(self) -> int:
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._read)
                new = file.read()
            self._read += len(new)
            self.number += new.count(b"\n")
        return self.number


@contextmanager
def relay_process(log: Path, *options: str, under: tuple[str, ...] = ()) -> Iterator[int]:
    """The scripted relay as a program; its port. Options as `python -m tests.support.scripted_relay --help` names.

    under: a program that runs it.
    """
    command = [*under, sys.executable, "-m", "tests.support.scripted_relay", "--log", str(log), *options]
    with subprocess.Popen(command, env=environment({}), cwd=ROOT, stdout=subprocess.PIPE, text=True) as relay:
        assert relay.stdout is not None
        try:
            yield int(relay.stdout.readline())
        finally:
            relay.kill()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    assert isinstance(port, int)
    return port


def kill_pid(pid: int) -> None:
    """SIGKILL by id; nothing if it is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
