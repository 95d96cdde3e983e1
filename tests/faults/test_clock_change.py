"""The nights on which clocks change, on a machine that keeps London's time: nothing an hour early, nothing twice."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.store.engine import Store
from service.store.watch import last_good
from tests.faults.judging import Tally
from tests.faults.test_clock_jump import Clock
from tests.support.command_line import NORTHGATE, SMP
from tests.support.processes import Program, accepted, relay_process, wait_for
from tests.support.world import at

Told = Callable[[str, Tally], None]
#: On the machine's own clock; there the hour of the change comes twice, or not at all.
LONDON = "TZ=Europe/London"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("treated_on", "changes", "due"),
    [
        ("2026-10-24", "2026-10-25 01:00", "2026-10-25 10:00"),
        ("2027-03-27", "2027-03-28 01:00", "2027-03-28 09:00"),
    ],
    ids=["back", "forward"],
)
def test_a_night_on_which_the_clocks_change(
    tmp_path: Path, told: Told, treated_on: str, changes: str, due: str
) -> None:
    """changes, due: UTC. Day 1 is due at 10:00 of London's new time, an hour later or earlier than the day before."""
    clock, log = Clock(tmp_path), tmp_path / "relay.jsonl"
    with relay_process(log) as port, _installation(tmp_path, port) as program:
        _treat(program, treated_on)
        for moment, sent in ((changes, 0), ((at(due) - timedelta(hours=1)).isoformat(), 0), (due, 1)):
            _through(program, clock, at(moment))
            assert len(accepted(log)) == sent, f"after {moment}"
        row = json.loads(program.run("outbox", "--state", "sent", "--json"))
        assert timedelta(0) <= datetime.fromisoformat(row["sent_at"]) - at(due) < timedelta(seconds=60)
        assert json.loads(program.run("check", "--json", "--now", (at(due) + timedelta(minutes=5)).isoformat()))["ok"]
    told(f"the night of {changes[:10]} on a machine that keeps London's time", Tally(1, 1, 0, 0, 0))


def _installation(folder: Path, port: int) -> Program:
    (folder / "processes").mkdir()
    settings = {
        "data_dir": str(folder / "data"),
        "relay_host": "127.0.0.1",
        "relay_port": str(port),
        "relay_tls": "none",
        "trial_allow": "example.com",
        "tick_seconds": "1",
    }
    return Program(folder / "processes", settings)


def _treat(program: Program, on: str) -> None:
    """One client, registered on the evening before the clocks change."""
    then = ("--now", f"{on}T17:00:00Z")
    program.run("init", *NORTHGATE)
    program.run("client", "add", "--name", "Sam Reed", "--email", "sam@example.com", *then)
    program.run("treatment", "add", "--client", "1", "--protocol", SMP, "--on", on, *then)


def _through(program: Program, clock: Clock, moment: datetime) -> None:
    """A worker begins a few seconds before a moment, and ends when a round well after it has ended."""
    clock.set(f"{moment.timestamp() - time.time() - 4:+.0f}")
    worker = program.start("worker", under=(*clock.under, LONDON))
    worker.says("working")
    store = Store(f"sqlite:///{program.settings['data_dir']}/aftercare.db")
    try:
        wait_for(lambda: _last_round(store) > moment + timedelta(seconds=2), f"rounds after {moment}")
    finally:
        store.close()
    worker.stop()


def _last_round(store: Store) -> datetime:
    with store.read() as connection:
        return last_good(connection) or datetime.min.replace(tzinfo=UTC)
