"""The metrics in a monitoring system's eyes: the format, the numbers, and nobody's name."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from service.clock import SteppedClock
from service.store import outages, watch
from service.store.engine import Store
from service.web.app import WebParts, create_app
from service.web.ops import Metric, metrics_routes, written
from tests.support.scripted_relay import Reply, ScriptedRelay
from tests.support.scripted_relay import at as script_at
from tests.support.world import World, at, make_world

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf'({NAME})(?:\{{({NAME})="((?:[^"\\\n]|\\["\\n])*)"\}})? (\+Inf|[0-9]+(?:\.[0-9]+)?)')
PROMISED = {
    "aftercare_emails",
    "aftercare_due_waiting",
    "aftercare_oldest_due_seconds",
    "aftercare_sent_24h",
    "aftercare_missed_24h",
    "aftercare_failed_24h",
    "aftercare_bounced_24h",
    "aftercare_calls_open",
    "aftercare_calls_overdue",
    "aftercare_call_oldest_seconds",
    "aftercare_last_tick_seconds",
    "aftercare_alerts_open",
    "aftercare_outage_open",
    "aftercare_build_info",
}


def scraper(store: Store, clock: Callable[[], datetime]) -> TestClient:
    app = create_app(WebParts(None, is_ready=lambda: (True, ""), live_check=lambda: True))
    app.include_router(metrics_routes(store.read, clock))
    return TestClient(app, base_url="http://127.0.0.1:8025")


def scrape(http: TestClient) -> dict[str, float]:
    """`name` or `name{value of its label}` -> value; fails for a line that is not of the format."""
    answer = http.get("/metrics")
    assert answer.status_code == 200
    assert answer.text.endswith("\n")
    found = {}
    for line in answer.text.splitlines():
        if not line.startswith("# "):
            sample = SAMPLE.fullmatch(line)
            assert sample, line
            key = f"{sample[1]}{{{sample[3]}}}" if sample[2] else sample[1]
            assert key not in found
            found[key] = float(sample[4])
    return found


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(at("2026-11-21 10:00"))


def test_an_empty_database_has_every_metric_with_its_help_and_type(store: Store, clock: SteppedClock) -> None:
    http = scraper(store, clock)
    answer = http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    helped = {line.split(" ", 3)[2] for line in lines if line.startswith("# HELP ") and len(line.split(" ", 3)) == 4}
    typed = {line.split(" ")[2] for line in lines if re.fullmatch(rf"# TYPE {NAME} gauge", line)}
    assert helped == typed == PROMISED
    found = scrape(http)
    assert {name.partition("{")[0] for name in found} == PROMISED
    assert found.pop("aftercare_last_tick_seconds") == float("inf")
    assert [name for name, value in found.items() if value] == [next(n for n in found if "build_info" in n)]


def test_the_numbers_move_as_the_day_goes_on(world: World, clock: SteppedClock) -> None:
    world.treat(world.client(), "2026-11-20")
    world.treat(world.client("Ana Ruiz"), "2026-11-20")
    http = scraper(world.store, clock)
    clock.set(at("2026-11-20 18:00"))
    early = scrape(http)
    assert (early["aftercare_emails{planned}"], early["aftercare_due_waiting"]) == (2, 0)
    clock.set(at("2026-11-21 10:05"))
    due = scrape(http)
    assert (due["aftercare_due_waiting"], due["aftercare_oldest_due_seconds"]) == (2, 300)
    with ScriptedRelay(script_at("rcpt", Reply(550, "5.1.1 no such user"), only=1)) as relay:
        world.tick(relay, clock)
    clock.advance(timedelta(hours=3))
    sent = scrape(http)
    assert (sent["aftercare_due_waiting"], sent["aftercare_oldest_due_seconds"]) == (0, 0)
    assert (sent["aftercare_sent_24h"], sent["aftercare_emails{sent}"], sent["aftercare_failed_24h"]) == (1, 1, 1)
    assert (sent["aftercare_calls_open{failed}"], sent["aftercare_calls_open{missed}"]) == (1, 0)
    assert (sent["aftercare_calls_overdue"], sent["aftercare_call_oldest_seconds"]) == (1, 3 * 3600)
    clock.advance(timedelta(days=1))
    next_day = scrape(http)
    assert (next_day["aftercare_sent_24h"], next_day["aftercare_failed_24h"]) == (0, 0)


def test_the_age_of_the_last_good_round_the_alerts_and_the_outages_are_told(store: Store, clock: SteppedClock) -> None:
    http = scraper(store, clock)
    with store.write() as connection:
        watch.beat(connection, "desk-1", clock(), "")
        watch.beat(connection, "desk-2", clock() - timedelta(minutes=1), "")
        watch.open_alert(connection, "relay", "The relay does not answer.", clock())
        outages.open_outage(connection, "relay", clock(), "no answer")
    clock.advance(timedelta(seconds=12.5))
    found = scrape(http)
    assert found["aftercare_last_tick_seconds"] == 12.5
    assert found["aftercare_alerts_open"] == 1
    assert (found["aftercare_outage_open{relay}"], found["aftercare_outage_open{down}"]) == (1, 0)
    clock.advance(timedelta(minutes=-5))
    assert scrape(http)["aftercare_last_tick_seconds"] == 0


def test_no_label_names_a_person_a_clinic_or_a_host(world: World, clock: SteppedClock) -> None:
    world.treat(world.client("Karim Haddad", "karim@example.com", phone="01632 960 555"), "2026-11-20")
    with ScriptedRelay(script_at("rcpt", Reply(550, "5.1.1 karim@example.com"))) as relay:
        world.tick(relay, clock)
    with world.store.write() as connection:
        watch.beat(connection, "host-a-1", clock(), "")
        watch.open_alert(connection, "relay", "The relay mail.example.com does not answer.", clock())
    text = scraper(world.store, clock).get("/metrics").text
    labels = set(re.findall(rf'[{{,]({NAME})="', text))
    assert labels == {"state", "reason", "kind", "version"}
    for personal in ("arim", "addad", "@", "960", "orthgate", "host-a", "example"):
        assert personal not in text


def test_a_database_that_does_not_answer_is_a_503_that_says_no_more(tmp_path: Path, clock: SteppedClock) -> None:
    gone = Store(f"sqlite:///{tmp_path / 'no folder' / 'aftercare.db'}")
    answer = scraper(gone, clock).get("/metrics")
    gone.close()
    assert (answer.status_code, answer.text) == (503, "The database did not answer.\n")


def test_only_reading_is_answered(store: Store, clock: SteppedClock) -> None:
    http = scraper(store, clock)
    assert http.head("/metrics").status_code == 200
    assert http.post("/metrics").status_code == 405


def test_the_routes_stand_alone(store: Store, clock: SteppedClock) -> None:
    app = FastAPI()
    app.include_router(metrics_routes(store.read, clock))
    assert TestClient(app).get("/metrics").status_code == 200


def test_values_and_help_are_escaped_as_the_format_says() -> None:
    metric = Metric("a_b", "One\\two\nthree.", {(("reason", 'say "x"\\\n'),): 1.25, (): 2})
    assert written([metric]) == (
        '# HELP a_b One\\\\two\\nthree.\n# TYPE a_b gauge\na_b{reason="say \\"x\\"\\\\\\n"} 1.250\na_b 2\n'
    )
