"""Thousands of e-mails that cannot be written stand first in line: the good ones behind them go all the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.store.tables import clients, emails
from tests.faults.judging import Case, Tally
from tests.support.processes import relay_process, wait_for

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]
POISON, GOOD = 5_000, 50
#: Seconds until the last good one must have gone (I16).
SOON = 60


def spoil(case: Case) -> dict[str, int]:
    """All but the last GOOD become unwritable, in three ways, and stand first. Returns the good ones."""
    ids = sorted(case.due.values())
    bad = ids[:POISON]
    with case.store.write() as connection:
        first = case.now + timedelta(hours=1)
        connection.execute(sa.update(emails).where(emails.c.id.in_(bad)).values(useful_until=first))
        some = sa.select(emails.c.client_id).where(emails.c.id.in_(bad))
        spoiled = sa.update(clients).where(clients.c.id.in_(some))
        split = "sam@example.com\r\nBcc: victim@example.com"
        connection.execute(spoiled.where(clients.c.id % 3 == 0).values(email=split))
        connection.execute(spoiled.where(clients.c.id % 3 == 1).values(email="two@example.com, three@example.com"))
        strange = emails.c.id.in_(bad) & (emails.c.client_id % 3 == 2)
        connection.execute(sa.update(emails).where(strange).values(step="day-77"))
    return {address: number for address, number in case.due.items() if number not in set(bad)}


@pytest.mark.slow
def test_5000_poison_rows_first_in_line_keep_no_good_one_waiting(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str
) -> None:
    with relay_process(tmp_path / "relay.jsonl") as port:
        case = case_of(POISON + GOOD, port, tick_seconds="1")
        good = spoil(case)
        assert len(good) == GOOD
        with case.program:
            worker = case.program.start("worker")
            wait_for(lambda: len(case.copies()) >= GOOD, "the good ones", SOON)
            wait_for(lambda: case.states() == {"sent": GOOD, "held": POISON}, "all", 15)
            worker.stop()
            assert {copy.address for copy in case.copies()} == set(good)
            assert {row.attempts for row in case.rows() if row.state == "held"} == {0}
            tally = case.judge()
    assert (tally.sent, tally.twice) == (GOOD, 0)
    told(f"5,000 poison rows first (held, listed), {database_url.partition(':')[0]}", tally)
