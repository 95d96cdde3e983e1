"""A worker killed at every point of a run of 20 mails: at each step the relay sees, and inside each commit."""

from __future__ import annotations

import asyncio
import shutil
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from service import wiring
from service.clock import stopped_at
from service.settings import Settings
from service.wiring import Service
from tests.faults.judging import Case, Tally, make_case
from tests.support.processes import PATIENCE, Process, kill_pid, wait_for
from tests.support.relay_script import Action, Delay, Drop, Each, Read
from tests.support.scripted_relay import ScriptedRelay

Told = Callable[[str, Tally], None]
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
    names = Settings.model_fields
    given = {name: value for name, value in case.program.settings.items() if name in names}
    settings = Settings(**(given | {"relay_port": relay_port}))  # type: ignore[arg-type]
    service = Service(settings, case.store)
    address = wiring.relay_address(settings)
    assert address is not None
    for minutes in (0, 31):
        if not case.store.is_sqlite:
            wait_for(case.leases_are_over, "the end of the dead worker's lease")
        clock = stopped_at(wiring.read_instant(case.at(minutes)))
        asyncio.run(wiring.delivery(service, lambda _: address, f"rescuer{minutes}").until_idle(clock))


def killed_run(folder: Path, killer: Killer) -> Tally:
    """One run of 20 mails in `folder`, killed at one step, and its recovery."""
    with ScriptedRelay(killer) as relay:
        case = killer.case = make_case(f"sqlite:///{folder}/aftercare.db", folder, MAILS, relay.port)
        relay.log_file = case.log
        relay._file = case.log.open("a", encoding="utf-8")  # the log's place is known only with the case
        with case.program:
            worker: Process = case.program.start("tick", "--until-idle", "--now", case.at())
            killer.pid = worker.pid
            killer.known.set()
            worker.ended()
            relay.wait_until_alone()
            recover(case, relay.port)
            tally = case.judge(check=False)
            if killer.nth % 20 == 1:
                case.judge(check=True)
        case.store.close()
    return tally


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["heard", "answered", "half"])
def test_a_kill_at_every_step_that_the_relay_sees(
    sqlite_template: Path, tmp_path: Path, told: Told, moment: Literal["heard", "answered", "half"]
) -> None:
    total, struck, nth = NOTHING, [], 1
    while nth < MOST_STEPS:
        folder = tmp_path / str(nth)
        folder.mkdir()
        shutil.copy(sqlite_template, folder / "aftercare.db")
        killer = Killer(nth, moment)
        tally = killed_run(folder, killer)
        shutil.rmtree(folder)
        total += tally
        if not killer.struck:
            break
        struck.append(killer.struck)
        nth += 1
    assert total.sent == total.planned
    assert len(struck) >= MAILS
    if moment != "half":
        assert {"connect", "ehlo", "mail", "rcpt", "data", "body", "dot", "quit"} <= set(struck)
    told(f"kill at step n = 1 … {len(struck)} of 20 mails, {moment}", total)


@pytest.mark.slow
def test_a_kill_in_every_commit(sqlite_template: Path, tmp_path: Path, told: Told) -> None:
    strace = shutil.which("strace")
    assert strace, "this run needs strace (Debian: apt-get install strace)"
    total, nth = NOTHING, 0
    while True:
        nth += 1
        folder = tmp_path / str(nth)
        folder.mkdir()
        shutil.copy(sqlite_template, folder / "aftercare.db")
        with ScriptedRelay(log_file=folder / "relay.jsonl") as relay:
            case = make_case(f"sqlite:///{folder}/aftercare.db", folder, MAILS, relay.port, relay_connections="1")
            with case.program:
                rule = f"inject=fdatasync:signal=SIGKILL:when={nth}"
                under = (strace, "-f", "-qq", "-o", str(folder / "strace"), "-e", "trace=fdatasync", "-e", rule)
                status = case.program.start("tick", "--until-idle", "--now", case.at(), under=under).ended()
                relay.wait_until_alone()
                recover(case, relay.port)
                total += case.judge(check=nth % 10 == 1)
            case.store.close()
        shutil.rmtree(folder)
        if status == 0:
            break
        assert status in (-signal.SIGKILL, 128 + signal.SIGKILL), f"kill {nth}: ended with {status}"
    assert nth > MAILS, "it was hardly ever killed: are commits written with fdatasync?"
    assert total.sent == total.planned
    told(f"kill in the n-th fdatasync, n = 1 … {nth - 1}", total)
