"""What a monitoring system reads: /metrics in the Prometheus text format 0.0.4, written by hand.

Numbers only: no label holds a name, an address or a host. Reads the database, changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse

from service.clock import Clock
from service.errors import AftercareError
from service.store.gauges import NEWEST_CALLS, Snapshot, snapshot

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: Opens a reading transaction: Store.read.
Read = Callable[[], AbstractContextManager[Any]]
Labels = tuple[tuple[str, str], ...]
Samples = Mapping[Labels, float]

_OUTAGES = ("down", "relay")
_BY_CALLS = f"counted by their calls, among the newest {NEWEST_CALLS} calls"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, what it says, and a value for each set of labels. All are gauges."""

    name: str
    says: str
    samples: Samples


def metrics_routes(read: Read, clock: Clock) -> APIRouter:
    """GET /metrics over a store's reading transactions. clock: business time."""
    router = APIRouter()

    @router.api_route("/metrics", methods=["GET", "HEAD"])
    def metrics() -> PlainTextResponse:
        try:
            now = clock()
            with read() as connection:
                found = snapshot(connection, now)
        except AftercareError:
            # Its words name the database's host.
            return PlainTextResponse("The database did not answer.\n", 503)
        return PlainTextResponse(written(measured(found, now)), media_type=CONTENT_TYPE)

    return router


def measured(found: Snapshot, now: datetime) -> list[Metric]:
    """The metrics of one snapshot, taken at `now`."""
    return [*_of_emails(found, now), *_of_calls(found, now), *_of_the_work(found, now)]


def _of_emails(found: Snapshot, now: datetime) -> list[Metric]:
    return [
        Metric(
            "aftercare_emails",
            "E-mails by state: planned and in_doubt if they may go within 24 hours, all claimed, sending and held,"
            " sent and unconfirmed if handed over in the last 24 hours.",
            _by("state", found.states),
        ),
        Metric("aftercare_due_waiting", "E-mails that may go out now and wait for it.", _one(found.waiting)),
        Metric(
            "aftercare_oldest_due_seconds",
            "How long ago the first of the waiting e-mails fell due; 0 if none waits.",
            _one(_age(found.oldest_due_at, now)),
        ),
        Metric(
            "aftercare_sent_24h",
            "E-mails handed over in the last 24 hours that the relay took.",
            _one(found.states.get("sent", 0)),
        ),
        Metric("aftercare_missed_24h", f"Reminders missed in the last 24 hours, {_BY_CALLS}.", _one(found.missed)),
        Metric("aftercare_failed_24h", f"Reminders refused in the last 24 hours, {_BY_CALLS}.", _one(found.failed)),
        Metric(
            "aftercare_bounced_24h",
            "E-mails handed over in the last 24 hours that have come back.",
            _one(found.bounced),
        ),
    ]


def _of_calls(found: Snapshot, now: datetime) -> list[Metric]:
    calls = found.calls
    return [
        Metric("aftercare_calls_open", "Calls to make, by reason.", _by("reason", calls.by_reason)),
        Metric("aftercare_calls_overdue", "Open calls past their deadline.", _one(calls.overdue)),
        Metric(
            "aftercare_call_oldest_seconds",
            "Age of the oldest open call; 0 if there is none.",
            _one(_age(calls.oldest_at, now)),
        ),
    ]


def _of_the_work(found: Snapshot, now: datetime) -> list[Metric]:
    never = float("inf")
    return [
        Metric(
            "aftercare_last_tick_seconds",
            "Seconds since a worker's last good round; +Inf if there never was one.",
            _one(_age(found.last_good_at, now) if found.last_good_at else never),
        ),
        Metric("aftercare_alerts_open", "Alerts that are open.", _one(found.alerts)),
        Metric(
            "aftercare_outage_open",
            "1 while nothing can be sent: down if nobody works, relay if the mail relay does not take mail.",
            _by("kind", {kind: int(kind in found.outages) for kind in _OUTAGES}),
        ),
        Metric(
            "aftercare_build_info", "The version of this program; always 1.", _by("version", {program_version(): 1})
        ),
    ]


def program_version() -> str:
    try:
        return version("aftercare")
    except PackageNotFoundError:
        return "source"


def _one(value: float) -> Samples:
    return {(): value}


def _by(label: str, values: Mapping[str, float]) -> Samples:
    return {((label, name),): number for name, number in sorted(values.items())}


def _age(since: datetime | None, now: datetime) -> float:
    """Seconds; 0 for none, and for what another machine's clock put into the future."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0


def written(metrics: Iterable[Metric]) -> str:
    """The text format: each metric's HELP and TYPE, then its samples; those without samples too."""
    lines = []
    for metric in metrics:
        lines += [f"# HELP {metric.name} {_escaped(metric.says)}", f"# TYPE {metric.name} gauge"]
        lines += [f"{metric.name}{_label_set(labels)} {_number(value)}" for labels, value in metric.samples.items()]
    return "\n".join(lines) + "\n"


def _label_set(labels: Labels) -> str:
    told = [f'{name}="{_escaped(value).replace(chr(34), chr(92) + chr(34))}"' for name, value in labels]
    return f"{{{','.join(told)}}}" if told else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if float(value).is_integer() else f"{value:.3f}"
