"""The SQLite file is held by another process, or its disk is full: nothing goes out without a commit, nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.faults.judging import Case, Tally, make_case
from tests.support.processes import relay_process, wait_for
from tests.support.relay_script import Action
from tests.support.scripted_relay import ScriptedRelay

Told = Callable[[str, Tally], None]
CONNECTIONS = 4
HOLD = """
import sqlite3, sys, time
held = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
held.execute("ROLLBACK")
"""


@pytest.mark.slow
def test_another_process_that_holds_the_file_only_delays(sqlite_template: Path, tmp_path: Path, told: Told) -> None:
    path = tmp_path / "aftercare.db"
    shutil.copy(sqlite_template, path)
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.02") as port:
        case = make_case(f"sqlite:///{path}", tmp_path, 200, port, tick_seconds="0.2")
        with case.program:
            worker = case.program.start("worker")
            wait_for(lambda: len(case.copies()) >= 60, "some mails")
            command = [sys.executable, "-c", HOLD, str(path), "15"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
                assert holder.stdout is not None
                assert holder.stdout.readline() == "held\n"
                before = len(case.copies())
                assert holder.wait(30) == 0
                # What was marked was being said; its answers wait in hand for a commit.
                assert len(case.copies()) <= before + CONNECTIONS
            wait_for(lambda: set(case.states()) == {"sent"}, "the last mail")
            worker.stop()
            tally = case.judge()
        case.store.close()
    assert (tally.sent, tally.twice) == (200, 0)
    told("SQLite: another process holds BEGIN EXCLUSIVE for 15 s", tally)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own in memory. Needs root, and a machine that lets it mount."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "aftercare", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@dataclass
class Filler:
    """A relay's script that fills the disk when the n-th message has come, before its 250."""

    disk: Path
    nth: int
    filled: threading.Event = field(default_factory=threading.Event)

    def __call__(self, stage: str, _argument: str, count: int) -> Action | None:
        if stage == "dot" and count == self.nth:
            fill(self.disk)
            self.filled.set()
        return None

    def make_room(self) -> None:
        (self.disk / "filler").unlink()


def fill(disk: Path) -> None:
    """To the last byte."""
    with (disk / "filler").open("wb", buffering=0) as filler:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    filler.write(b"\0" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


@contextmanager
def filled_at(
    nth: int, sqlite_template: Path, tmp_path: Path, mails: int
) -> Iterator[tuple[Case, Filler, ScriptedRelay]]:
    """A case whose database and data folder lie on a disk that is full from the n-th message on."""
    assert os.geteuid() == 0, "this run needs root: it mounts a small disk"
    with small_disk(tmp_path / "disk", 24) as disk:
        shutil.copy(sqlite_template, disk / "aftercare.db")
        filler = Filler(disk, nth)
        with ScriptedRelay(filler, log_file=tmp_path / "relay.jsonl") as relay:
            settings = {"tick_seconds": "0.2", "data_dir": str(disk / "data"), "relay_connections": "1"}
            case = make_case(f"sqlite:///{disk}/aftercare.db", tmp_path, mails, relay.port, **settings)
            with case.program:
                yield case, filler, relay
            case.store.close()


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 25, 60])
def test_a_disk_full_at_the_commit_of_sent_sends_nothing_more_and_repeats_nothing(
    sqlite_template: Path, tmp_path: Path, told: Told, nth: int
) -> None:
    with filled_at(nth, sqlite_template, tmp_path, 80) as (case, filler, relay):
        worker = case.program.start("worker")
        assert filler.filled.wait(60)
        worker.says("nothing can be committed, so nothing is sent")
        wait_for(lambda: worker.log.read_text("utf-8").count("nothing can be committed") >= 3, "more tries")
        assert len(relay.log) <= nth + 1
        filler.make_room()
        wait_for(lambda: set(case.states()) == {"sent"}, "the last mail")
        worker.stop()
        tally = case.judge()
    assert (tally.sent, tally.twice) == (80, 0)
    told(f"disk full when the relay has mail {nth}, room made later", tally)


@pytest.mark.slow
def test_a_worker_killed_on_a_full_disk_repeats_only_what_it_could_not_write_down(
    sqlite_template: Path, tmp_path: Path, told: Told
) -> None:
    with filled_at(25, sqlite_template, tmp_path, 80) as (case, filler, _relay):
        worker = case.program.start("worker")
        worker.says("nothing can be committed, so nothing is sent").kill()
        tick = case.program.start("tick", "--until-idle", "--now", case.at())
        assert tick.ended() != 0
        assert "Traceback" not in tick.log.read_text("utf-8")
        filler.make_room()
        for minutes in (0, 45):
            case.program.tick(case.at(minutes))
        tally = case.judge()
    assert tally.sent == 80
    assert tally.twice <= 2
    told("disk full, worker killed, room made later", tally)
