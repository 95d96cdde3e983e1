"""Hundreds of kills at random moments while several workers empty one outbox."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.domain.reminder import Reason
from service.store.tables import attempts
from tests.faults.conftest import SHORT_LEASE
from tests.faults.evidence import open_second_clinic
from tests.faults.judging import Case, Tally
from tests.support.processes import Lines, Process, relay_process, wait_for

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]
KILLS, WORKERS, MAILS = 300, 4, 2000
#: Fewer conversations than this were cut in the middle of a message: then the kills met idle workers and prove little.
BITES = 60


def kill_again_and_again(case: Case, workers: list[Process], chance: random.Random) -> None:
    """KILLS kills of one worker or another, each after some more mails; what was killed begins anew at once."""
    seen = Lines(case.log)
    for kill in range(KILLS):
        # The mails that are left last until the last kill.
        share = (MAILS - 40 - seen.count()) / (KILLS - kill)
        target = seen.count() + chance.randint(0, max(1, round(2 * share)))
        wait_for(lambda enough=target: seen.count() >= min(enough, MAILS - 40), "progress")  # type: ignore[misc]
        which = chance.randrange(WORKERS)
        workers[which].kill()
        workers[which] = case.program.start("worker")


def bites(case: Case) -> Counter[str]:
    """What the rescue found of killed workers: rows that were being said ("marked"), and rows only held."""
    with case.store.read() as connection:
        found = connection.execute(sa.select(attempts.c.marked_at).where(attempts.c.outcome == Reason.WORKER_LOST))
        return Counter("marked" if marked else "held" for marked in found.scalars())


@pytest.mark.slow
def test_300_random_kills_of_four_workers(case_of: Cases, tmp_path: Path, told: Told, database_url: str) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.2") as port:
        case = case_of(MAILS, port, **SHORT_LEASE, relay_connections="2", tick_seconds="0.2")
        open_second_clinic(case.store, case.now)
        with case.program:
            workers = [case.program.start("worker") for _ in range(WORKERS)]
            kill_again_and_again(case, workers, random.Random(20261121))
            wait_for(lambda: set(case.states()) <= {"sent", "in_doubt"}, "the last row")
            for worker in workers:
                worker.says("working").stop()
            case.program.tick(case.at(45))
        tally = case.judge()
        found = bites(case)
    assert tally.sent == MAILS
    assert found["marked"] >= BITES, f"the kills met {found}"
    assert tally.twice <= found["marked"]
    words = f"{KILLS} random kills of {WORKERS} workers, {found['marked']} amid a message"
    told(f"{words}, {database_url.partition(':')[0]}", tally)
