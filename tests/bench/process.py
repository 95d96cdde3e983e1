"""One child process and what it cost: wall time, CPU, peak memory.

Run as a script it is the small launcher in between: Linux counts the memory of the process that forks as the child's
own peak, so the fork must come from something small, never from the bench itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PYTHON = sys.executable


@dataclass(frozen=True)
class Cost:
    """wall, cpu (user + system): seconds. rss: peak, bytes. output: standard output."""

    wall: float
    cpu: float
    rss: int
    output: str


class Failed(Exception):
    """A measured command did not do its work: there is no figure."""


def measure(command: Sequence[str], environment: Mapping[str, str], limit: float = 900) -> Cost:
    """Run a command to its end. Raises Failed if it fails or takes longer than `limit` seconds."""
    with tempfile.TemporaryDirectory(prefix="aftercare-bench-") as folder:
        told = Path(folder) / "cost.json"
        launcher = [PYTHON, "-I", "-S", __file__, str(told), *command]
        status, output, problem = _run(launcher, environment, limit)
        if status:
            raise Failed(f"{' '.join(command)} ended with {status}: {problem[-2000:]}")
        cost = json.loads(told.read_text())
    return Cost(cost["wall"], cost["cpu"], cost["rss"], output)


def _run(command: Sequence[str], environment: Mapping[str, str], limit: float) -> tuple[int, str, str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    try:
        output, problem = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        raise Failed(f"{' '.join(command)} took longer than {limit:.0f} seconds") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # the launcher and what it launched
            process.wait()
    return process.returncode, output, problem


@cache
def _compiled() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="aftercare-bench-pyc-")


def clean_environment(**settings: str) -> dict[str, str]:
    """This environment without any setting of ours, and with `settings` as AFTERCARE_*.

    Modules are compiled once, as in an installed program, whatever this environment says.
    """
    ours = ("AFTERCARE_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept["PYTHONPYCACHEPREFIX"] = _compiled().name
    return kept | {f"AFTERCARE_{name.upper()}": value for name, value in settings.items()}


def _launch(told: str, command: Sequence[str]) -> int:
    began = time.perf_counter()
    pid = os.posix_spawnp(command[0], list(command), os.environ)
    _, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    with open(told, "w") as file:  # noqa: PTH123 - the launcher imports as little as it can
        json.dump({"wall": wall, "cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss * 1024}, file)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(abs(_launch(sys.argv[1], sys.argv[2:])))
