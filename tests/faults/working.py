"""A worker in this process, so that a fault run can pass hours in seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from service import wiring
from service.actions.deliver import Delivery
from service.clock import Clock, stopped_at
from service.wiring import Service
from tests.faults.judging import Case, settings_of


def worker_of(case: Case, **settings: str) -> Delivery:
    """A worker that has just begun, with the installation's settings and `settings` on top."""
    read = settings_of(case, **settings)
    address = wiring.relay_address(read)
    assert address is not None
    return wiring.delivery(Service(read, case.store), lambda _: address, f"worker{len(settings)}")


def rounds_at(delivery: Delivery, case: Case, minutes: Iterable[float]) -> None:
    """Its rounds at so many minutes after the run began."""
    for one in minutes:
        clock: Clock = stopped_at(wiring.read_instant(case.at(one)))
        case.program.clock.says(clock())
        asyncio.run(delivery.until_idle(clock))
    case.program.clock.says(None)
