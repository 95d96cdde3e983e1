"""What a tick does before it sends: rescue, expire, plan the catch-up notes that are owed, forget old uploads."""

from __future__ import annotations

import fcntl
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
import structlog

from service.actions.register import entry_row
from service.domain.protocol import FollowUpProtocol
from service.domain.schedule import catch_up
from service.errors import BadConfiguration
from service.store import clients, clinics, outbox, uploads
from service.store.engine import Store
from service.store.locking import lock_clients
from service.store.owed import Owed, has_step, owed_catch_ups
from service.store.rescue import holders, rescue

log = structlog.get_logger()
#: No protocol plans a catch-up later than this after a missed step.
OWED_WITHIN = timedelta(days=21)
#: So many e-mails or clients share a commit: some tenths of a second.
AT_ONCE = 500


@dataclass(frozen=True)
class Upkeep:
    """lost_workers: of the names given, those known to be gone (their file lock is free); on PostgreSQL none."""

    protocols: dict[str, FollowUpProtocol]
    doubt_cap: int
    lost_workers: Callable[[Sequence[str]], Sequence[str]]

    async def keep_up(self, store: Store, now: datetime) -> Counter[str]:
        """As `run`, in many transactions: who waits for a client must not hold that client's e-mails meanwhile, and
        what an outage has left behind must not keep everybody else waiting for one long commit.
        """
        counts = await store.in_thread(self._free, now)
        ended = AT_ONCE
        while ended >= AT_ONCE:
            some = await store.in_thread(outbox.expire, now, AT_ONCE)
            ended = sum(some.values())
            counts.update(some)
        for some_clients in _batches(await store.in_thread(self._owing, now)):
            counts["catch_ups"] += await store.in_thread(self._catch_ups, some_clients, now)
        return counts

    def run(self, connection: sa.Connection, now: datetime) -> Counter[str]:
        """Where nobody else writes. Returns rows by new state (`missed`, `in_doubt`, …) and `catch_ups` planned."""
        counts = self._free(connection, now)
        counts.update(outbox.expire(connection, now))
        for some_clients in _batches(self._owing(connection, now)):
            counts["catch_ups"] += self._catch_ups(connection, some_clients, now)
        return counts

    def _free(self, connection: sa.Connection, now: datetime) -> Counter[str]:
        lost = self.lost_workers(holders(connection))
        return Counter(rescue(connection, lost, self.doubt_cap, now))

    def _owing(self, connection: sa.Connection, now: datetime) -> list[int]:
        """The clients to whom we owe a note, each once."""
        uploads.forget_old(connection, now)
        return list(dict.fromkeys(owed.client_id for owed in owed_catch_ups(connection, now, OWED_WITHIN)))

    def _catch_ups(self, connection: sa.Connection, owing: Sequence[int], now: datetime) -> int:
        # Asked again under the clients' locks: another worker's round may have planned the same notes.
        lock_clients(connection, owing)
        found = owed_catch_ups(connection, now, OWED_WITHIN, owing)
        given: set[int] = set()
        for owed in found:
            if owed.client_id not in given and self._catch_up(connection, owed, now):
                given.add(owed.client_id)
        return len(given)

    def _catch_up(self, connection: sa.Connection, owed: Owed, now: datetime) -> bool:
        """Plan one note if it is right now. Whether it was."""
        protocol = self.protocols.get(owed.protocol)
        if protocol is None:
            return False
        try:
            times = clinics.get(connection, owed.clinic_id).time
        except BadConfiguration as error:
            # The open call stays with its people; the other clinics' notes go on.
            log.warning("no catch-up note", problem=error.message)
            return False
        entry = catch_up(protocol, owed.treated_on, times, now, owed.next_due)
        if entry is None:
            return False
        client = clients.get(connection, owed.clinic_id, owed.client_id)
        if client["state"] != "active":
            return False  # a row born cancelled makes up for nothing: every round would plan another
        newest = clients.live_treatments(connection, owed.client_id, protocol.area)
        if not newest or newest[-1]["id"] != owed.treatment_id:
            return False  # P7: a newer treatment of the same area speaks now
        # False: today's note went out before the treatment's day was corrected.
        is_new = not has_step(connection, owed.treatment_id, entry.step)
        if is_new:
            outbox.add(connection, [entry_row(client, (owed.treatment_id, protocol), entry, now)])
        return is_new


def _batches(owing: Sequence[int]) -> list[Sequence[int]]:
    return [owing[begin : begin + AT_ONCE] for begin in range(0, len(owing), AT_ONCE)]


class WorkerLock:
    """A worker's file lock: held while it lives, free the moment its process is gone, however it went."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{name}.lock"
        self._file = self._path.open("w")
        # The name is ours alone: another may hold it only for the instant in which it looks who is alive.
        fcntl.flock(self._file, fcntl.LOCK_EX)

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        self._file.close()


def free_locks(folder: Path, names: Sequence[str]) -> list[str]:
    """Those of `names` that no living process holds."""
    return [name for name in names if not is_held(folder / f"{name}.lock")]


def is_held(path: Path) -> bool:
    try:
        with path.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
