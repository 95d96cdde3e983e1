"""A worker that begins while another looks who is alive takes its lock and begins."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

from service.actions.upkeep import WorkerLock, is_held
from tests.support.processes import wait_for


def test_a_look_at_a_fresh_lock_keeps_no_worker_from_beginning(tmp_path: Path) -> None:
    path = tmp_path / "w.lock"
    path.touch()
    taken: list[WorkerLock] = []
    beginning = threading.Thread(target=lambda: taken.append(WorkerLock(tmp_path, "w")))
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        beginning.start()
        beginning.join(0.2)
    beginning.join(10)
    wait_for(lambda: taken, "the worker's lock", 10)
    assert is_held(path)
    taken[0].close()
    assert not is_held(path)
