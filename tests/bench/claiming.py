"""How long the store takes to find and claim what is due, and how that grows with what is planned for later."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from service.actions.deliver import LISTED
from service.actions.prepare import Preparer
from service.actions.sending import BATCH
from service.actions.shelf import Shelf
from service.actions.upkeep import Upkeep
from service.actions.writing import Writer
from service.mail.catalogue import Catalogue
from service.mail.signing import Signer, new_key
from service.store import outbox
from service.store.engine import Store
from service.store.outbox import Lease
from tests.bench.figures import heading, p50_p95
from tests.bench.stock import Databases, fill

R = TypeVar("R")


def claims(databases: Databases, kind: str, futures: tuple[int, ...], batches: int) -> None:
    """For each number of planned rows: the parts of a tick before it sends, each as one committed transaction."""
    heading(f"Finding and claiming, {kind}, batches of {BATCH}, ms (p50 / p95 of {batches})")
    heads = ("upkeep", f"list {LISTED:,} due", "claim rows", "claim + words")
    print("  " + "planned".rjust(9) + "".join(head.rjust(20) for head in heads))
    for future in futures:
        with databases.fresh(kind) as database:
            now = datetime.now(UTC)
            store = Store(database.url)
            fill(store, now, due=2 * (batches + 1) * BATCH, future=future)
            parts = _measure(store, now, batches)
            store.close()
        cells = ["{:.2f} / {:.2f}".format(*p50_p95(part)).rjust(20) for part in parts]
        print(f"  {future:>9,}" + "".join(cells), flush=True)


def _measure(store: Store, now: datetime, batches: int) -> tuple[list[float], ...]:
    catalogue = Catalogue.load()
    preparer = Preparer(Shelf(catalogue, drafts_count=True), Writer(Signer([new_key()])))
    upkeep = Upkeep(dict(catalogue.protocols), 1, lambda _: [])
    spent: tuple[list[float], ...] = ([], [], [], [])
    for number in range(batches + 1):
        _timed(store, upkeep.run, spent[0], now)
        ids = _timed(store, outbox.due_ids, spent[1], now, LISTED)
        lease = Lease("bench", f"token-{number}", 1200)
        for claim, part in ((outbox.claim, 2), (preparer.claim, 3)):
            batch, ids = ids[:BATCH], ids[BATCH:]
            rows = _timed(store, partial(claim, ids=batch, lease=lease, now=now), spent[part])
            assert len(rows) == BATCH
    return tuple(part[1:] for part in spent)  # the first compiled the words and the statements


def _timed(store: Store, work: Callable[..., R], spent: list[float], *arguments: object) -> R:
    began = time.perf_counter()
    with store.write() as connection:
        result = work(connection, *arguments)
    spent.append(time.perf_counter() - began)
    return result
