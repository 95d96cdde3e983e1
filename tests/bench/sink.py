"""The yardstick: Postfix's smtp-sink takes every mail, smtp-source sends prebuilt ones as fast as it can.

Both on loopback, ended by the bench by their process id. Postfix itself is neither needed nor started.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.bench.process import Cost, clean_environment, measure

HOST = "127.0.0.1"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_MISSING = "{} is not installed: it comes with Postfix (Debian: apt-get install postfix; Postfix need not run)."


class Missing(Exception):
    """A tool the bench measures against is not on this machine."""


def tool(name: str) -> str:
    """The path of one of Postfix's tools. Raises Missing."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise Missing(_MISSING.format(name))
    return found


@contextmanager
def smtp_sink(*options: str) -> Iterator[int]:
    """The port of a running smtp-sink."""
    port = _free_port()
    # It refuses to run as root; any other user will do.
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [tool("smtp-sink"), *user, *options, f"{HOST}:{port}", "1024"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def smtp_source(port: int, message: Path, mails: int, connections: int) -> Cost:
    """Send the message in `message` (LF line ends) so many times, connections kept open (-d)."""
    command = [tool("smtp-source"), "-d", "-s", str(connections), "-m", str(mails), "-F", str(message)]
    ends = ["-f", "desk@northgate.example.com", "-t", "client1@example.com", f"{HOST}:{port}"]
    return measure([*command, *ends], clean_environment())


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        if process.poll() is not None:
            raise Missing(f"smtp-sink ended at once with status {process.returncode}")
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise Missing("smtp-sink does not answer")
