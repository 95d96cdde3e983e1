"""Ten thousand e-mails due at once after an outage: all go, the soonest deadline first, none twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions.sending import BATCH
from service.store.tables import emails
from tests.faults.judging import Case, Tally
from tests.support.processes import relay_process, wait_for

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]
WORKERS, MAILS = 4, 10_000


def give_deadlines(case: Case) -> dict[int, int]:
    """Every due e-mail gets a deadline of its own, in an order that is not that of the ids; its rank by deadline."""
    ranks = {email: (number * 7919) % MAILS for number, email in enumerate(sorted(case.due.values()))}
    with case.store.write() as connection:
        for email, rank in ranks.items():
            until = case.now + timedelta(hours=2, seconds=rank)
            connection.execute(sa.update(emails).where(emails.c.id == email).values(useful_until=until))
    return ranks


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_10000_due_at_once_go_through_4_workers_in_the_order_of_their_deadlines(
    case_of: Cases, tmp_path: Path, told: Told
) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.02") as port:
        case = case_of(MAILS, port, relay_connections="8", lease_seconds="1200", relay_session_timeout="900")
        ranks = give_deadlines(case)
        with case.program:
            began = time.monotonic()
            workers = [case.program.start("worker") for _ in range(WORKERS)]
            wait_for(lambda: case.states()["sent"] == MAILS, "all to be sent", seconds=900)
            seconds = time.monotonic() - began
            for worker in workers:
                worker.stop()
        tally = case.judge()
    assert (tally.sent, tally.twice) == (MAILS, 0)
    order = [ranks[case.due[copy.address]] for copy in case.copies()]
    # Each worker holds a batch and claims the next one early: so far may two mails be out of order, and no further.
    ahead = max(abs(rank - place) for place, rank in enumerate(order))
    assert ahead <= 3 * WORKERS * BATCH
    told(f"{MAILS:,} due at once, {WORKERS} workers, {seconds:.0f} s, at most {ahead} places off", tally)
