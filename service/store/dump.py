"""A PostgreSQL database as an archive and back, by the server's own programs: pg_dump and pg_restore of its version.

Passwords go through the environment, never through arguments. The archive lacks the revision of the database: until
whoever loads it has written that, no worker starts on it.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

import sqlalchemy as sa

from service.errors import NotAllowed, Unavailable
from service.store.backup import Contents, may_be_out
from service.store.engine import Store

CHUNK = 1 << 20
_DEBIAN = Path("/usr/lib/postgresql")
_COPY = re.compile(rb'COPY (?:\S+\.)?"?(\w+)"? \((.*)\) FROM stdin;')


@dataclass(frozen=True)
class Programs:
    """The folder of pg_dump and pg_restore, and how they reach the database. secrets: for their environment."""

    folder: Path
    dsn: str
    secrets: dict[str, str]

    def command(self, name: str, *options: str) -> list[str]:
        return [str(self.folder / name), *options]


def programs(store: Store) -> Programs:
    """Raises Unavailable if those of the server's version are not on this machine."""
    with store.read() as connection:
        version = int(connection.execute(sa.text("SHOW server_version_num")).scalar_one()) // 10_000
        info = connection.connection.driver_connection.info  # type: ignore[union-attr]
        dsn, password = str(info.dsn), str(info.password or "")
    for folder in [_DEBIAN / str(version) / "bin", *map(Path, os.get_exec_path())]:
        if all(_is_version(folder / name, version) for name in ("pg_dump", "pg_restore")):
            return Programs(folder, dsn, {"PGPASSWORD": password} if password else {})
    raise Unavailable(
        f"pg_dump and pg_restore of PostgreSQL {version} are not on this machine",
        field="PATH",
        next_step=f"Install them (Debian: postgresql-client-{version}), or add their folder to PATH.",
    )


def _is_version(program: Path, version: int) -> bool:
    if not os.access(program, os.X_OK) or program.is_dir():
        return False
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - see programs
    return re.search(rf"\(PostgreSQL\) {version}\b", said.stdout) is not None


def dump(tools: Programs) -> Iterator[bytes]:
    """One moment of the whole database as an archive, while others go on writing."""
    options = (
        "--format=custom",
        "--compress=0",
        "--no-owner",
        "--no-privileges",
        "--exclude-table-data=alembic_version",
    )
    with _running(tools, tools.command("pg_dump", *options, f"--dbname={tools.dsn}"), writes=False) as process:
        assert process.stdout is not None
        while piece := process.stdout.read(CHUNK):
            yield piece


def scan(tools: Programs, archive: Iterable[bytes], now: datetime) -> Contents:
    """Read an archive to its end without a database. uncertain: as store/backup.hold would find them at `now`."""
    rows: Counter[str] = Counter()
    uncertain = 0
    with _running(tools, tools.command("pg_restore", "--file=-"), writes=True) as process, _fed(process, archive):
        assert process.stdout is not None
        table, state, not_before = "", 0, 0
        for line in process.stdout:
            if table and line == b"\\.\n":
                table = ""
            elif table:
                rows[table] += 1
                if table == "emails":
                    values = line.rstrip(b"\n").split(b"\t")
                    at = datetime.fromisoformat(values[not_before].decode())
                    uncertain += may_be_out(values[state].decode(), at, now)
            elif begins := _COPY.fullmatch(line.rstrip(b"\n")):
                table = begins[1].decode()
                columns = begins[2].decode().split(", ")
                if table == "emails":
                    state, not_before = columns.index("state"), columns.index("not_before")
    return Contents(rows["clients"], rows["emails"], uncertain)


def load(tools: Programs, archive: Iterable[bytes]) -> None:
    """Put an archive in the place of our tables, in one transaction: all of it, or the database stays as it was."""
    options = ("--clean", "--if-exists", "--single-transaction", "--no-owner", "--no-privileges")
    command = tools.command("pg_restore", *options, f"--dbname={tools.dsn}")
    with _running(tools, command, writes=True) as process, _fed(process, archive):
        assert process.stdout is not None
        process.stdout.read()


def require_alone(store: Store) -> None:
    """Raises NotAllowed while anybody else is connected: a worker anywhere would send what it finds."""
    others = sa.text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND usename IS NOT NULL"
    )
    with store.read() as connection:
        number = int(connection.execute(others).scalar_one())
    if number:
        raise NotAllowed(
            f"{number} other connections to the database are open",
            field="AFTERCARE_DATABASE_URL",
            next_step="Stop the workers and pages on every machine, and close psql; then restore again.",
        )


@contextmanager
def _running(tools: Programs, command: Sequence[str], *, writes: bool) -> Iterator[subprocess.Popen[bytes]]:
    """A program until its end. Raises Unavailable with its first complaint; killed if the block raises."""
    into = subprocess.PIPE if writes else subprocess.DEVNULL
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(  # noqa: S603 - a fixed program with options of our own
            command, stdin=into, stdout=subprocess.PIPE, stderr=complaints, env={**os.environ, **tools.secrets}
        )
        try:
            yield process
            if process.wait() != 0:
                raise _failed(Path(command[0]).name, complaints)
        finally:
            process.kill()
            for end in (process.stdout, process.stdin):
                _close(end)
            process.wait()


def _close(end: IO[bytes] | None) -> None:
    try:
        if end is not None:
            end.close()
    except BrokenPipeError:
        pass


def _failed(name: str, complaints: IO[bytes]) -> Unavailable:
    complaints.seek(0)
    # Later lines may quote a row.
    lines = complaints.read(65536).decode("utf-8", "replace").splitlines()
    first = next((line for line in lines if "error:" in line), lines[0] if lines else "no reason")
    return Unavailable(
        f"{name} failed ({first.partition('error:')[2].strip() or first}); nothing was changed",
        field="AFTERCARE_DATABASE_URL",
        next_step="Check that the database runs, that this user owns it, and that its disk is not full.",
    )


@contextmanager
def _fed(process: subprocess.Popen[bytes], archive: Iterable[bytes]) -> Iterator[None]:
    """Hand `archive` to a program that is read meanwhile. What goes wrong with the archive kills it and is raised."""
    with ThreadPoolExecutor(1, thread_name_prefix="archive") as pool:
        feeding = pool.submit(_feed, process, archive)
        whole = False
        try:
            yield
            whole = True
        finally:
            if not whole:
                process.kill()
    feeding.result()


def _feed(process: subprocess.Popen[bytes], archive: Iterable[bytes]) -> None:
    assert process.stdin is not None
    whole = False
    try:
        for piece in archive:
            process.stdin.write(piece)
        process.stdin.close()
        whole = True
    except BrokenPipeError:
        whole = True  # it has ended: its status and words tell why
    finally:
        if not whole:
            process.kill()


def write_revision(connection: sa.Connection, revision: str) -> None:
    """What the archive lacks. From this commit on the database is one that workers start on."""
    connection.execute(sa.text("INSERT INTO alembic_version (version_num) VALUES (:revision)"), {"revision": revision})
