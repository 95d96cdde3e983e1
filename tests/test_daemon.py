"""The daemon as a process: it starts, says when it is ready, and stops between two messages."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
import structlog

from service.actions.watch import Watch
from service.clock import Clock
from service.store.engine import Store
from service.store.tables import attempts, emails
from service.store.waits import Waits
from service.wiring.rounds import BUG, Bell, Rounds
from tests.faults.judging import Case, make_case
from tests.support.processes import Program, free_port, relay_process, wait_for
from tests.support.scripted_relay import ScriptedRelay
from tests.support.webhook import a_webhook
from tests.support.world import make_world

NOW = "2026-11-21T10:00:00Z"


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    path = tmp_path / "aftercare.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture
def program(sqlite_url: str, tmp_path: Path) -> Iterator[Program]:
    """An installation with an empty database, and no relay: mail would go to the catcher."""
    work = tmp_path / "processes"
    work.mkdir()
    with Program(work, {"database_url": sqlite_url, "data_dir": str(tmp_path / "data")}) as started:
        yield started


def case_on(url: str, folder: Path, mails: int, port: int) -> Case:
    return make_case(url, folder, mails, port, tick_seconds="0.1")


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code
    except OSError:
        return 0


def test_serve_is_live_then_ready_and_ends_at_sigterm(program: Program) -> None:
    port = free_port()
    serving = program.start("serve", bind=f"127.0.0.1:{port}")
    wait_for(lambda: get(f"http://127.0.0.1:{port}/healthz") == 200, "the health page")
    wait_for(lambda: get(f"http://127.0.0.1:{port}/readyz") == 200, "readiness")
    assert get(f"http://127.0.0.1:{port}/inbox") == 200
    serving.stop()
    assert get(f"http://127.0.0.1:{port}/healthz") == 0


def test_a_worker_without_work_ends_at_ctrl_c(program: Program) -> None:
    program.start("worker").says("working").stop(signal.SIGINT, seconds=10)


def test_the_bell_is_rung_in_the_loop_that_hears_it(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ring from another thread may not be heard, and one under way at the stop is logged as an error."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")  # the loop then refuses calls from other threads
    worker = program.start("worker", tick_seconds="0.05").says("working")
    rung = time.monotonic() + 1
    wait_for(lambda: time.monotonic() > rung, "some rings")
    worker.stop()
    assert "Error running job" not in worker.log.read_text("utf-8")


def test_a_tick_on_an_empty_database_has_nothing_to_do(program: Program) -> None:
    assert set(program.tick(NOW).values()) == {0}


def test_a_moved_clock_is_refused_while_a_worker_runs(program: Program) -> None:
    worker = program.start("worker").says("working")
    tick = program.start("tick", "--now", NOW)
    assert tick.ended() != 0
    assert "another worker is running" in tick.log.read_text("utf-8")
    worker.stop()
    assert set(program.tick(NOW).values()) == {0}


def test_a_killed_worker_keeps_nobody_out(program: Program) -> None:
    program.start("worker").says("working").kill()
    assert set(program.tick(NOW).values()) == {0}


def test_sigterm_while_the_relay_thinks_waits_for_its_answer_and_releases_the_rest(
    sqlite_url: str, tmp_path: Path
) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "1") as port:
        case = case_on(sqlite_url, tmp_path, 40, port)
        with case.program:
            worker = case.program.start("worker")
            wait_for(lambda: case.states()["sending"], "a message whose reply is awaited")
            worker.stop()
            sent = {copy.address for copy in case.copies()}
            assert 1 <= len(sent) <= 8
            assert case.states() == {"sent": len(sent), "planned": 40 - len(sent)}
            assert {row.id for row in case.rows() if row.state == "sent"} == {case.due[address] for address in sent}
            assert all(row.lease_token is None and row.worker is None for row in case.rows())
            assert json.loads(case.program.run("check", "--json"))["ok"]
            case.store.close()


def test_two_workers_on_one_file_share_the_work_and_send_each_mail_once(sqlite_url: str, tmp_path: Path) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.05") as port:
        case = case_on(sqlite_url, tmp_path, 250, port)
        mine = emails.c.id.in_(case.due.values())
        with case.store.write() as connection:
            connection.execute(emails.update().where(mine).values(not_before=case.now + timedelta(days=1)))
        with case.program:
            workers = [case.program.start("worker"), case.program.start("worker")]
            for worker in workers:
                worker.says("working")
            with case.store.write() as connection:
                connection.execute(emails.update().where(mine).values(not_before=case.now))
            wait_for(lambda: case.states()["sent"] == 250, "the last mail")
            for worker in workers:
                worker.stop()
            tally = case.judge()
            assert (tally.sent, tally.twice) == (250, 0)
            assert len(case.copies()) == 250
            with case.store.read() as connection:
                assert len(connection.execute(sa.select(attempts.c.worker).distinct()).all()) == 2
            case.store.close()


def test_a_row_that_a_worker_cannot_write_does_not_stop_the_daemon(sqlite_url: str, tmp_path: Path) -> None:
    with relay_process(tmp_path / "relay.jsonl") as port:
        case = case_on(sqlite_url, tmp_path, 10, port)
        poison = min(case.due.values())
        with case.store.write() as connection:
            connection.execute(emails.update().where(emails.c.id == poison).values(step="gone"))
        with case.program:
            worker = case.program.start("worker")
            wait_for(lambda: case.states() == {"sent": 9, "held": 1}, "the nine others")
            worker.stop()
            case.store.close()


class Faulty:
    """In the place of a part of the worker: meets a fault as often as is said, then does what the part does."""

    def __init__(self, part: Any, faults: int) -> None:
        self._part, self._faults = part, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)

    def _fail(self) -> None:
        if self._faults:
            self._faults -= 1
            raise KeyError("Sam Reed")

    async def round(self, clock: Clock) -> Counter[str]:
        self._fail()
        return Counter(await self._part.round(clock))

    async def after_round(self, *given: Any, **more: Any) -> None:
        self._fail()
        await self._part.after_round(*given, **more)


async def rounds_until(work: Rounds, is_done: Callable[[], bool], *, close: bool = True) -> None:
    """Ring and let the worker go on until it has happened."""
    going = asyncio.create_task(work.run())
    while not is_done() and not going.done():
        work.bell.rung.set()
        await asyncio.sleep(0)
    work.bell.stopped.set()
    work.bell.rung.set()
    await going
    if close:
        await work.watch.close()


@pytest.mark.parametrize("where", ["delivery", "watch"])
def test_a_fault_of_ours_fails_its_round_is_told_at_once_and_the_worker_goes_on(
    store: Store, tmp_path: Path, where: str
) -> None:
    world = make_world(store, tmp_path)
    with ScriptedRelay() as relay, a_webhook() as webhook, structlog.testing.capture_logs() as logged:
        delivery, watch = world.delivery(relay), Watch(store, "w1", webhook.url)
        work = Rounds(world.service, delivery, Bell(), watch, None)
        setattr(work, where, Faulty(getattr(work, where), 1))
        seen: list[tuple[bool, str]] = []

        def told() -> bool:
            seen.append(work.bell.is_ready())
            return ("round", "open") in webhook.told and work.bell.is_ready()[0]

        asyncio.run(rounds_until(work, told))
        assert (False, BUG) in seen
        assert seen[-1][0]
        assert "Sam Reed" not in json.dumps(webhook.posts)
        assert any(line.get("exc_info") for line in logged)


class Slow:
    """In the place of a delivery: a round waits for the database, or for the relay, until it is let go."""

    def __init__(self, delivery: Any, store: Store | None) -> None:
        self.breaker = delivery.breaker
        self._store = store
        self.waiting, self.go_on = threading.Event(), threading.Event()

    def _wait(self, _: sa.Connection | None = None) -> None:
        self.waiting.set()
        self.go_on.wait()

    async def round(self, _: Clock) -> Counter[str]:
        await (self._store.in_thread(self._wait) if self._store else asyncio.to_thread(self._wait))
        return Counter()


class Stepped:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def in_a_slow_round(
    work: Rounds, slow: Slow, look: Callable[[], Awaitable[None]], is_over: Callable[[], bool]
) -> None:
    """One good round; then a slow one, in the middle of which `look` is called; then good ones until `is_over`."""
    usual = work.delivery
    await rounds_until(work, lambda: work.bell.is_ready()[0], close=False)
    work.bell.stopped.clear()
    work.delivery = cast("Any", slow)
    going = asyncio.create_task(work.run())
    await asyncio.to_thread(slow.waiting.wait, 20)
    try:
        await look()
    finally:
        work.delivery = usual
        slow.go_on.set()
    while not is_over() and not going.done():
        work.bell.rung.set()
        await asyncio.sleep(0)
    work.bell.stopped.set()
    work.bell.rung.set()
    await going
    await work.watch.close()


def test_a_database_that_hangs_makes_the_worker_unready_and_is_told_once_by_the_webhook(
    store: Store, tmp_path: Path
) -> None:
    world, seconds = make_world(store, tmp_path), Stepped()
    store.waits = Waits(seconds)
    with ScriptedRelay() as relay, a_webhook() as webhook:
        usual = world.delivery(relay)
        work = Rounds(world.service, usual, Bell(), Watch(store, "w1", webhook.url), None)

        async def look() -> None:
            assert work.bell.is_ready()[0]
            seconds.now += 46
            assert work.bell.is_ready() == (False, "the database does not answer, and the round does not end")
            await work.look_at_pulse()
            assert webhook.told == []
            seconds.now += 150
            await work.look_at_pulse()
            await work.look_at_pulse()
            assert webhook.told == [("round", "open")]
            assert "the database does not answer" in webhook.posts[0]["message"]

        asyncio.run(in_a_slow_round(work, Slow(usual, store), look, lambda: ("round", "closed") in webhook.told))
        assert work.bell.is_ready()[0]


def test_a_long_round_at_a_slow_relay_is_honest_work_for_as_long_as_one_message_may_take(
    store: Store, tmp_path: Path
) -> None:
    world, seconds = make_world(store, tmp_path), Stepped()
    store.waits = Waits(seconds)
    with ScriptedRelay() as relay:
        usual = world.delivery(relay)
        work = Rounds(world.service, usual, Bell(), Watch(store, "w1"), None)

        async def look() -> None:
            seconds.now += 900
            assert work.bell.is_ready()[0]
            seconds.now += 46
            assert work.bell.is_ready() == (False, "no round has ended for too long")

        asyncio.run(in_a_slow_round(work, Slow(usual, None), look, lambda: work.bell.is_ready()[0]))


def test_a_worker_whose_rounds_stopped_is_not_ready(store: Store, tmp_path: Path) -> None:
    world, seconds = make_world(store, tmp_path), Stepped()
    store.waits = Waits(seconds)
    with ScriptedRelay() as relay:
        work = Rounds(world.service, world.delivery(relay), Bell(), Watch(store, "w1"), None)
        asyncio.run(rounds_until(work, lambda: work.bell.is_ready()[0]))
    seconds.now += world.service.settings.tick_seconds + 46
    assert work.bell.is_ready() == (False, "no round has ended for too long")


def test_a_stop_that_a_hanging_thread_holds_up_ends_all_the_same() -> None:
    """Python waits at its end for every thread of a pool: the process must end past that."""
    waits = (
        "import threading\nfrom concurrent.futures import ThreadPoolExecutor\nfrom service.daemon import end_within\n"
    )
    hangs = "ThreadPoolExecutor(1).submit(threading.Event().wait)\nend_within(0.1)\n"
    assert subprocess.run([sys.executable, "-c", waits + hangs], timeout=60, check=False).returncode == 1


def test_a_worker_reads_the_mailbox_by_itself(program: Program, tmp_path: Path) -> None:
    box = tmp_path / "returned"
    for part in ("new", "cur"):
        (box / part).mkdir(parents=True)
    (box / "new" / "m1").write_bytes(b"From: sam@example.com\n\nHello.\n")
    worker = program.start("worker", mailbox_url=f"maildir:{box}").says('"human": 1')
    worker.stop()
    assert [path.name for path in (box / "cur").iterdir()] == ["m1:2,"]


def test_trouble_with_the_mailbox_is_logged_and_stops_nothing(program: Program) -> None:
    port = free_port()
    url = f"imaps://returns:hunter2@127.0.0.1:{free_port()}/INBOX"
    serving = program.start("serve", bind=f"127.0.0.1:{port}", mailbox_url=url).says("returned mail was not read")
    assert get(f"http://127.0.0.1:{port}/readyz") == 200
    serving.stop()
    assert "hunter2" not in serving.log.read_text("utf-8")
