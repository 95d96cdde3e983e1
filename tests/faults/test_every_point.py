"""A worker killed at every point of a run of 20 mails: at each step the relay sees, at each answer of PostgreSQL, and
inside each commit of SQLite.
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

import pytest

from tests.faults.conftest import Fresh
from tests.faults.judging import Case, Tally, make_case
from tests.faults.working import rounds_at, worker_of
from tests.support.database_line import DatabaseLine
from tests.support.processes import PATIENCE, Process, kill_pid, wait_for
from tests.support.relay_script import Action, Delay, Drop, Each, Read
from tests.support.scripted_relay import ScriptedRelay

Told = Callable[[str, Tally], None]
Freshly = Callable[[], AbstractContextManager[Fresh]]
MAILS = 20
NOTHING = Tally(0, 0, 0, 0, 0)
#: More than a run of 20 mails over four connections shows: connect, EHLO, five steps a mail, QUIT.
MOST_STEPS = 160


@dataclass
class Killer:
    """A relay's script that kills a worker at the n-th step it sees. moment:

    heard: before the answer; answered: a few milliseconds after it; half: in the middle of the message, which is then
    forgotten; the kill waits until the mark is committed.
    """

    nth: int
    moment: Literal["heard", "answered", "half"]
    case: Case | None = None
    pid: int = 0
    steps: int = 0
    struck: str = ""
    known: threading.Event = field(default_factory=threading.Event)

    def __call__(self, stage: str, _argument: str, _count: int) -> Action | None:
        if self.moment == "half" and stage != "body":
            return None
        self.steps += 1
        if self.steps != self.nth:
            return None
        self.known.wait(PATIENCE)
        self.struck = stage
        if self.moment == "answered":
            threading.Timer(0.001 * (self.nth % 8), kill_pid, (self.pid,)).start()
            return None
        if self.moment == "half":
            case = self.case
            assert case is not None
            wait_for(lambda: case.states()["sending"], "the mark")
            kill_pid(self.pid)
            return Each((Read(2000), Drop()))
        kill_pid(self.pid)
        # The dot: the message counts as accepted although nobody hears the 250.
        return Delay(0.0)


def recover(case: Case, relay_port: int) -> None:
    """What the next rounds do, at once and when rows in doubt may be repeated; in this process, for speed."""
    for minutes in (0, 31):
        if not case.store.is_sqlite:
            case.let_leases_end()
        rounds_at(worker_of(case, relay_port=str(relay_port)), case, (minutes,))


def killed_run(made: Fresh, killer: Killer) -> Tally:
    """One run of 20 mails, killed at one step, and its recovery."""
    with ScriptedRelay(killer) as relay:
        case = killer.case = make_case(made.url, made.folder, MAILS, relay.port)
        relay.log_file = case.log
        relay._file = case.log.open("a", encoding="utf-8")  # the log's place is known only with the case
        with case.program:
            worker: Process = case.program.start("tick", "--until-idle", "--now", case.at())
            killer.pid = worker.pid
            killer.known.set()
            worker.ended()
            relay.wait_until_alone()
            recover(case, relay.port)
            tally = case.judge(here=killer.nth % 20 != 1)
        case.store.close()
    return tally


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["heard", "answered", "half"])
def test_a_kill_at_every_step_that_the_relay_sees(
    fresh: Freshly, told: Told, database_url: str, moment: Literal["heard", "answered", "half"]
) -> None:
    kind = database_url.partition(":")[0]
    total, struck = NOTHING, []
    for nth in range(1, MOST_STEPS):
        killer = Killer(nth, moment)
        with fresh() as made:
            total += killed_run(made, killer)
        if not killer.struck:
            break
        struck.append(killer.struck)
    assert total.sent == total.planned
    assert len(struck) >= MAILS
    if moment != "half":
        assert {"connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "quit"} <= set(struck)
    told(f"kill at step n = 1 … {nth - 1} of 20 mails, {moment}, {kind}", total)


#: A run of 20 mails asks PostgreSQL this often, at least; so many parts may run beside each other.
LEAST_QUESTIONS, PARTS = 150, 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_kill_at_every_question_that_postgresql_has_just_answered(fresh: Freshly, told: Told, part: int) -> None:
    total, struck, nth = NOTHING, Counter[bool](), 1 + part
    while True:
        with fresh() as made, ScriptedRelay(log_file=made.folder / "relay.jsonl") as relay:
            case = make_case(made.url, made.folder, MAILS, relay.port, relay_connections="1")
            with case.program, DatabaseLine(case.store.url, nth, lambda: kill_pid(worker.pid)) as line:  # noqa: B023
                worker = case.program.start("tick", "--until-idle", "--now", case.at(), database_url=line.url)
                worker.ended()
                relay.wait_until_alone()
                recover(case, relay.port)
                total += case.judge(here=nth % 20 != 1)
            case.store.close()
        if not line.struck:
            break
        struck[b"COMMIT" in line.struck] += 1
        nth += PARTS
    assert struck.total() > LEAST_QUESTIONS // PARTS
    assert struck[True] > 0  # how many of this part's questions are commits depends on where a round begins
    assert total.sent == total.planned
    words = f"kill at PostgreSQL's n-th answer, n = {1 + part}, {1 + part + PARTS} … {nth - PARTS}"
    told(f"{words}, {struck[True]} of them commits", total)


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_kill_in_every_commit(fresh: Freshly, told: Told) -> None:
    strace = shutil.which("strace")
    assert strace, "this run needs strace (Debian: apt-get install strace)"
    total, nth = NOTHING, 0
    while True:
        nth += 1
        with fresh() as made, ScriptedRelay(log_file=made.folder / "relay.jsonl") as relay:
            case = make_case(made.url, made.folder, MAILS, relay.port, relay_connections="1")
            with case.program:
                rule = f"inject=fdatasync:signal=SIGKILL:when={nth}"
                log = str(made.folder / "strace")
                under = (strace, "-f", "-qq", "-o", log, "-e", "trace=fdatasync", "-e", rule)
                status = case.program.start("tick", "--until-idle", "--now", case.at(), under=under).ended()
                relay.wait_until_alone()
                recover(case, relay.port)
                total += case.judge(here=nth % 10 != 1)
            case.store.close()
        if status == 0:
            break
        assert status in (-signal.SIGKILL, 128 + signal.SIGKILL), f"kill {nth}: ended with {status}"
    assert nth > MAILS, "it was hardly ever killed: are commits written with fdatasync?"
    assert total.sent == total.planned
    told(f"kill in the n-th fdatasync, n = 1 … {nth - 1}", total)
