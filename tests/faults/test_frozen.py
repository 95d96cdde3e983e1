"""Two workers on one database while one is frozen past its lease and woken: a late 250 counts, nobody gets a third."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.faults.conftest import SHORT_LEASE
from tests.faults.judging import Case, Tally, make_case
from tests.support.processes import relay_process, wait_for

Told = Callable[[str, Tally], None]
on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


_BUSY = sa.text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'"
)


def marked(case: Case) -> set[str]:
    return {row.message_id for row in case.rows() if row.state == "sending"}


def replies_are_on_their_way(case: Case) -> bool:
    """Whether the relay has taken every message that a frozen worker has marked, at least one, and all its transactions
    have ended.

    A mark may be committed before its worker has heard so and written the message: frozen there it has said nothing, and
    when it wakes its time for that is over. Frozen in a transaction it keeps its locks until the server loses patience.
    """
    said = marked(case)
    try:
        wait_for(lambda: said <= {copy.message_id for copy in case.copies()}, "what it had said", seconds=0.5)
    except AssertionError:
        return False
    with case.store.read() as connection:
        is_busy = connection.execute(_BUSY).scalar_one()
    return bool(said) and not is_busy and marked(case) == said


def frozen_while_sending(case: Case, sent: int) -> Callable[[], None]:
    """Freeze a worker that has sent some mails and awaits a reply; gives what wakes it."""
    worker = case.program.start("worker")

    def awaiting() -> bool:
        if len(case.copies()) < sent:
            return False
        worker.freeze()
        if replies_are_on_their_way(case):
            return True
        worker.send(signal.SIGCONT)
        return False

    wait_for(awaiting, "a message whose reply is awaited")

    def wake_and_stop() -> None:
        worker.send(signal.SIGCONT)
        wait_for(lambda: not set(case.states()) - {"sent", "unconfirmed"}, "what the woken worker heard")
        worker.stop()

    return wake_and_stop


@pytest.fixture
def shared(database_url: str, tmp_path: Path) -> Callable[[int], Case]:
    """A case for workers on two machines (so on PostgreSQL): a data folder each, one secret key."""
    settings = SHORT_LEASE | {"secret_key": "a key that both machines know 0123456789", "tick_seconds": "0.2"}
    return lambda port: make_case(database_url, tmp_path, 60, port, **settings)


@pytest.mark.slow
@on_postgresql
def test_a_frozen_worker_wakes_before_the_repeat_and_its_late_250_stops_it(
    shared: Callable[[int], Case], tmp_path: Path, told: Told
) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.1") as port:
        case = shared(port)
        with case.program:
            wake = frozen_while_sending(case, 12)
            wait_for(case.leases_are_over, "the end of its lease")
            case.program.tick(case.at(), data_dir=str(tmp_path / "other"))
            assert set(case.states()) == {"sent", "in_doubt"}
            wake()
            case.program.tick(case.at(45), data_dir=str(tmp_path / "other"))
            tally = case.judge()
        case.store.close()
    assert (tally.sent, tally.twice) == (60, 0)
    told("frozen past its lease, woken before the repeat, postgresql", tally)


@pytest.mark.slow
@on_postgresql
def test_a_frozen_worker_wakes_after_the_repeat_and_nobody_gets_a_third(
    shared: Callable[[int], Case], tmp_path: Path, told: Told
) -> None:
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.1") as port:
        case = shared(port)
        with case.program:
            wake = frozen_while_sending(case, 12)
            wait_for(case.leases_are_over, "the end of its lease")
            for minutes in (0, 45):
                case.program.tick(case.at(minutes), data_dir=str(tmp_path / "other"))
            assert set(case.states()) == {"sent"}
            wake()
            tally = case.judge()
        case.store.close()
    assert tally.sent == 60
    assert 1 <= tally.twice <= 4
    told("frozen past its lease, woken after the repeat, postgresql", tally)
