"""What matters most: messages a second, CPU and memory of `aftercare tick --until-idle`, beside smtp-source."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from service.actions.prepare import Preparer
from service.actions.shelf import Shelf
from service.actions.writing import Writer, Written
from service.mail.catalogue import Catalogue
from service.mail.relay import Conversation, Parcel, RelayAddress
from service.mail.signing import Signer, new_key
from service.store import outbox
from service.store.engine import Store
from service.store.outbox import Lease
from service.store.tables import attempts
from tests.bench.figures import Column, heading, table
from tests.bench.process import PYTHON, Cost, Failed, clean_environment, measure
from tests.bench.sink import HOST, smtp_sink, smtp_source
from tests.bench.stock import Database, Databases, fill


@dataclass(frozen=True)
class Load:
    """How much is sent, into what, how often."""

    mails: int
    connections: int
    database: str
    rounds: int


@dataclass(frozen=True)
class Worked:
    """One run of the worker. sending: seconds from its first claim to the relay's last reply, by its own records."""

    cost: Cost
    sending: float


def tick(database: Database, port: int, connections: int) -> Cost:
    """`aftercare tick --until-idle` as a user runs it: another process, configured by its environment."""
    environment = clean_environment(
        data_dir=str(database.folder),
        database_url=database.url,
        relay_host=HOST,
        relay_port=str(port),
        relay_tls="none",
        relay_connections=str(connections),
        trial_allow="example.com",
    )
    return measure([PYTHON, "-m", "service", "tick", "--until-idle", "--json"], environment)


def deliver(database: Database, port: int, load: Load) -> Worked:
    """Send all that is due. Raises Failed unless every mail was sent: a figure of a failing run is none."""
    cost = tick(database, port, load.connections)
    sent = json.loads(cost.output)["sent"]
    if sent != load.mails:
        raise Failed(f"{sent} of {load.mails} mails were sent: {cost.output}")
    store = Store(database.url)
    with store.read() as connection:
        ends = sa.select(sa.func.min(attempts.c.claimed_at), sa.func.max(attempts.c.ended_at))
        first, last = connection.execute(ends).one()
    store.close()
    return Worked(cost, (last - first).total_seconds())


def sample(databases: Databases) -> Written:
    """One real message, written by the product for a made-up client; nothing is kept."""
    now = datetime.now(UTC)
    with databases.fresh("sqlite") as database:
        store = Store(database.url)
        fill(store, now, due=1, future=0)
        preparer = Preparer(Shelf(Catalogue.load(), drafts_count=True), Writer(Signer([new_key()])))
        with store.write() as connection:
            ids = outbox.due_ids(connection, now, 1)
            row = preparer.claim(connection, ids, Lease("bench", "token", 60), now)[0]
            written = preparer.write(row, now)
        store.close()
    if not isinstance(written, Written):
        raise Failed(f"the sample was not written: {written}")
    return written


def end_to_end(databases: Databases, load: Load, message: Path) -> None:
    """Rounds of smtp-source, then the worker, then a worker with nothing to do, into the same smtp-sink."""
    heading(f"End to end, {load.database}, {load.mails:,} mails, {load.connections} connections (smtp-source = 1)")
    columns = (
        *(Column("smtp-source/s"), Column("sending/s"), Column("ratio", 3), Column("process/s")),
        *(Column("ratio", 3), Column("CPU s/1000", 3), Column("RSS MB", 1), Column("start-up s", 2)),
    )
    rounds = []
    for _ in range(load.rounds):
        with smtp_sink() as port, databases.fresh(load.database) as database:
            tick(database, port, load.connections)  # modules compiled, files in the cache
            store = Store(database.url)
            fill(store, datetime.now(UTC), due=load.mails, future=0)
            store.close()
            yardstick = load.mails / smtp_source(port, message, load.mails, load.connections).wall
            worked = deliver(database, port, load)
            idle = tick(database, port, load.connections)
        sending = load.mails / worked.sending
        process = load.mails / (worked.cost.wall - idle.wall)
        cpu = (worked.cost.cpu - idle.cpu) / load.mails * 1000
        ratios = (sending / yardstick, process, process / yardstick)
        rounds.append((yardstick, sending, *ratios, cpu, worked.cost.rss / 1e6, idle.wall))
    table(columns, rounds)
    print("  sending/s: first claim to last reply. process/s: the whole process without an idle one's time (start-up).")


def memory(databases: Databases, load: Load, futures: tuple[int, ...]) -> None:
    """Peak memory of the worker with few and with many rows planned for later."""
    heading(f"Peak memory of the worker, {load.database}, {load.mails:,} mails sent")
    for future in futures:
        with smtp_sink() as port, databases.fresh(load.database) as database:
            store = Store(database.url)
            fill(store, datetime.now(UTC), due=load.mails, future=future)
            store.close()
            worked = deliver(database, port, load)
        rate = load.mails / worked.sending
        print(f"  {future:>9,} planned rows: {worked.cost.rss / 1e6:6.1f} MB   ({rate:,.0f} mails/s)", flush=True)


def raw(load: Load, written: Written, message: Path) -> None:
    """The send layer alone: real conversations, one prebuilt message, a mark that costs nothing."""
    heading(f"Send layer alone, {load.mails:,} mails, {load.connections} connections (smtp-source = 1)")
    rounds = []
    for _ in range(load.rounds):
        with smtp_sink() as port:
            yardstick = load.mails / smtp_source(port, message, load.mails, load.connections).wall
            address = RelayAddress(host=HOST, port=port, username=None, password=None, tls="none", ca_file=None)
            cpu, began = time.process_time(), time.perf_counter()
            asyncio.run(_send(address, written, load))
            rate = load.mails / (time.perf_counter() - began)
            used = (time.process_time() - cpu) / load.mails * 1000
        rounds.append((yardstick, rate, rate / yardstick, used))
    table((Column("smtp-source/s"), Column("mails/s"), Column("ratio", 3), Column("CPU s/1000", 3)), rounds)


async def _send(address: RelayAddress, written: Written, load: Load) -> None:
    left = iter(range(load.mails))

    async def mark() -> bool:
        return True

    async def line() -> None:
        conversation = await Conversation.open(address)
        for _ in left:
            parcel = Parcel(written.mail_from, written.row.address, written.message)
            heard = await conversation.send(parcel, mark)
            if heard.code != 250:
                raise Failed(f"smtp-sink answered {heard}")
        await conversation.close()

    await asyncio.gather(*(line() for _ in range(load.connections)))
