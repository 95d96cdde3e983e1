"""PostgreSQL under a worker's load: killed, its backends killed, a standby promoted; and when it only does not answer."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from service.store.engine import Store
from service.store.schema import migrate
from tests.faults.conftest import SHORT_LEASE
from tests.faults.judging import Case, Tally, make_case
from tests.support.cluster import Server, cluster
from tests.support.processes import Process, relay_process, wait_for

Told = Callable[[str, Tally], None]
MAILS = 300


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.02") as relay:
        yield relay


def case_on(url: str, folder: Path, port: int) -> Case:
    """A case on a fresh server, for a worker that looks often."""
    store = Store(url)
    migrate(store)
    store.close()
    return make_case(url, folder, MAILS, port, **SHORT_LEASE, tick_seconds="0.2")


def reached(case: Case, copies: int) -> None:
    wait_for(lambda: len(case.copies()) >= copies, f"{copies} mails")


def ends_well(case: Case, worker: Process) -> Tally:
    """The worker goes on by itself; what is in doubt is repeated when its time has come."""

    def done() -> bool:
        assert worker.popen.poll() is None, "the worker has ended"
        try:
            return set(case.states()) <= {"sent", "in_doubt"}
        except Exception:  # noqa: BLE001 - the database is not back yet
            return False

    wait_for(done, "the last mail", 90)
    worker.stop()
    assert "the database refuses what is written" not in worker.log.read_text("utf-8")
    case.program.tick(case.at(45))
    tally = case.judge()
    case.store.close()
    assert tally.sent == MAILS
    return tally


@pytest.mark.slow
def test_an_immediate_stop_of_the_server_in_the_middle_loses_nothing(tmp_path: Path, port: int, told: Told) -> None:
    with cluster() as server:
        case = case_on(server.url(), tmp_path, port)
        with case.program:
            worker = case.program.start("worker")
            for copies in (60, 140, 220):
                reached(case, copies)
                server.stop("immediate")
                down = len(case.copies())
                time.sleep(1.5)
                # Marked ones were being said; without a commit there is no other.
                assert len(case.copies()) <= down + 4
                server.start()
            tally = ends_well(case, worker)
    assert tally.twice <= 3 * 4
    told("PostgreSQL stopped at once and begun again, 3 times", tally)


@pytest.mark.slow
def test_kills_of_single_backends_lose_nothing(tmp_path: Path, port: int, told: Told) -> None:
    chance = random.Random(20261122)
    with cluster() as server:
        case = case_on(server.url(), tmp_path, port)
        with case.program:
            worker = case.program.start("worker")
            kills = 0
            while kills < 6:
                reached(case, min(len(case.copies()) + chance.randint(5, 40), 270))
                kills += server.kill_a_backend()
                wait_for(lambda: answers(server), "the server after its crash")
            tally = ends_well(case, worker)
    assert tally.twice <= 6 * 4
    told("a PostgreSQL backend killed, 6 times", tally)


def answers(server: Server) -> bool:
    try:
        return bool(server.run("SELECT 1"))
    except Exception:  # noqa: BLE001 - it is in recovery
        return False


@pytest.mark.slow
def test_a_promoted_standby_takes_over_and_nothing_committed_is_lost(tmp_path: Path, port: int, told: Told) -> None:
    with cluster(synchronous_standby_names="*", synchronous_commit="on") as primary:
        standby = primary.standby(primary.folder.parent / "second")
        standby.start()
        hosts = f"host=127.0.0.1:{primary.port}&host=127.0.0.1:{standby.port}"
        case = case_on(f"postgresql+psycopg://aftercare@/postgres?{hosts}", tmp_path, port)
        with case.program:
            worker = case.program.start("worker")
            reached(case, 100)
            primary.kill()
            down = len(case.copies())
            standby.ctl("promote", "-w")
            tally = ends_well(case, worker)
            assert len(case.copies()) > down + 4
            assert standby.run("SELECT count(*) FROM emails WHERE state = 'sent'") == [(MAILS,)]
    assert tally.twice <= 4
    told("PostgreSQL killed, its synchronous standby promoted", tally)


@pytest.mark.slow
def test_a_table_that_somebody_locks_holds_up_everything_and_loses_nothing(
    tmp_path: Path, port: int, told: Told
) -> None:
    """Longer than the worker's patience with one lock (15 s)."""
    with cluster() as server:
        case = case_on(server.url(), tmp_path, port)
        with case.program:
            worker = case.program.start("worker")
            reached(case, 60)
            with psycopg.connect(server.url().replace("+psycopg", "")) as administrator:
                administrator.execute("LOCK TABLE emails IN ACCESS EXCLUSIVE MODE")
                locked = len(case.copies())
                wait_for(lambda: "took too long" in worker.log.read_text("utf-8"), "the end of its patience", 60)
                assert len(case.copies()) <= locked + 4
            tally = ends_well(case, worker)
    assert tally.twice <= 4
    told("a table of PostgreSQL's locked for longer than one waits", tally)


@pytest.mark.slow
def test_a_server_process_that_freezes_holds_up_everything_and_loses_nothing(
    tmp_path: Path, port: int, told: Told
) -> None:
    """It answers nothing and closes nothing; the leases pass meanwhile."""
    with cluster() as server:
        case = case_on(server.url(), tmp_path, port)
        with case.program:
            ours = server.backends()
            worker = case.program.start("worker")
            reached(case, 60)
            frozen = [pid for pid in server.backends() if pid not in ours]
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            down = len(case.copies())
            try:
                wait_for(case.leases_are_over, "the end of its leases", 60)
                assert len(case.copies()) <= down + 4
            finally:
                for pid in frozen:
                    os.kill(pid, signal.SIGCONT)
            tally = ends_well(case, worker)
    assert tally.twice <= 8
    told("PostgreSQL's processes frozen past the leases", tally)


@pytest.mark.slow
def test_a_server_without_a_free_connection_holds_up_everything_and_loses_nothing(
    tmp_path: Path, port: int, told: Told
) -> None:
    with cluster() as server:
        server.run("CREATE ROLE clinic LOGIN")
        server.run("CREATE DATABASE clinic OWNER clinic")
        case = case_on(server.url("clinic").replace("aftercare@", "clinic@"), tmp_path, port)
        with case.program:
            worker = case.program.start("worker")
            reached(case, 60)
            server.run("ALTER ROLE clinic CONNECTION LIMIT 0")
            server.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'clinic'")
            wait_for(lambda: "too many connections" in worker.log.read_text("utf-8"), "the refusal")
            down = len(case.copies())
            server.run("ALTER ROLE clinic CONNECTION LIMIT -1")
            tally = ends_well(case, worker)
            assert len(case.copies()) > down
    assert tally.twice <= 4
    told("no connection of PostgreSQL's is free", tally)
