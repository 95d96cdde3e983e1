"""Three hosts: a database and two workers. The line between one worker and the database is cut while it is sending."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.store.engine import Store
from service.store.schema import migrate
from service.store.tables import emails
from tests.faults.conftest import SHORT_LEASE
from tests.faults.judging import Case, Tally, make_case
from tests.support.cluster import Server, cluster
from tests.support.hosts import Host, hosts
from tests.support.processes import Lines, Process, relay_process, wait_for

Told = Callable[[str, Tally], None]
MAILS, CONNECTIONS, LATER = 300, 4, 30


@dataclass
class Place:
    """One host with its worker and a relay beside it, which it reaches whatever happens to the cable."""

    host: Host
    worker: Process
    log: Path
    seen: Lines = field(init=False)

    def __post_init__(self) -> None:
        self.seen = Lines(self.log)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that other hosts may reach."""
    with cluster(listen_addresses="*") as running:
        with (running.folder / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 198.18.0.0/15 trust\n")
        running.ctl("reload")
        yield running


@contextmanager
def working_on(case: Case, server: Server, host: Host, folder: Path) -> Iterator[Place]:
    log = folder / f"{host.name}.jsonl"
    url = f"postgresql+psycopg://aftercare@{host.here}:{server.port}/postgres"
    with relay_process(log, "--delay-dot", "0.1", under=host.under) as port:
        own = {"database_url": url, "relay_port": str(port), "data_dir": str(folder / host.name)}
        yield Place(host, case.program.start("worker", under=host.under, **own).says("working"), log)


def keep_for_later(case: Case, number: int, later: timedelta) -> None:
    """The last so many e-mails may go only then."""
    mine = emails.c.id.in_(sorted(case.due.values())[-number:])
    with case.store.write() as connection:
        connection.execute(sa.update(emails).where(mine).values(not_before=case.now + later))


def all_but(case: Case, waiting: int) -> bool:
    states = case.states()
    return states["planned"] == waiting and not states["claimed"] + states["sending"]


@pytest.mark.slow
def test_a_worker_cut_off_from_the_database_sends_nothing_and_goes_on_when_the_line_is_mended(
    server: Server, tmp_path: Path, told: Told
) -> None:
    store = Store(server.url())
    migrate(store)
    store.close()
    both = {"secret_key": "a key that both machines know 0123456789", "tick_seconds": "0.2"}
    case = make_case(server.url(), tmp_path, MAILS, 1, **SHORT_LEASE, **both, relay_connections=str(CONNECTIONS))
    keep_for_later(case, LATER, timedelta(hours=1))
    with hosts(2) as (near, far), case.program:
        with working_on(case, server, near, tmp_path) as cut, working_on(case, server, far, tmp_path) as other:
            wait_for(lambda: cut.seen.count() > 20 and other.seen.count() > 20, "both at work")
            near.cut()
            before = cut.seen.count()
            cut.worker.says("did not answer")
            wait_for(lambda: all_but(case, LATER), "what the other one can do", seconds=120)
            # Those whose mark was committed were being said; without a commit there is no other.
            assert cut.seen.count() <= before + CONNECTIONS
            other.worker.stop()
            near.heal()
            during = cut.seen.count()
            keep_for_later(case, LATER, timedelta(0))
            wait_for(lambda: all_but(case, 0), "the worker that was cut off")
            assert cut.seen.count() >= during + LATER
            cut.worker.stop()
        case.log.write_text(cut.log.read_text("utf-8") + other.log.read_text("utf-8"), "utf-8")
        with relay_process(case.log, "--delay-dot", "0") as port:
            case.program.tick(case.at(45), relay_port=str(port))
        tally = case.judge()
        case.store.close()
    assert tally.sent == MAILS
    told("three hosts, one worker cut off from PostgreSQL while sending, mended", tally)
