"""P10: nothing personal in a log line, whatever goes wrong and however much is logged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

from service.logs import without_addresses
from service.store.engine import Store
from service.store.schema import migrate
from service.store.tables import emails
from tests.support.scripted_relay import Reply, ScriptedRelay, recipients
from tests.support.world import make_world

CANARIES = ("Zebedee", "Quillfeather", "zebedee.q", "01632 960 077", "Ottoline", "ottoline")


def test_addresses_are_taken_out_at_any_depth() -> None:
    event = {"a": "to <sam@example.com>", "b": {"c": ["x jo.b+t@example.org,"]}, "n": 3}
    assert without_addresses(None, "info", event) == {"a": "to <<address>>", "b": {"c": ["x <address>,"]}, "n": 3}


def test_a_round_with_every_kind_of_trouble_logs_no_name_address_phone_or_body(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'aftercare.db'}")
    migrate(store)
    world = make_world(store, tmp_path)
    world.treat(world.client("Zebedee Quillfeather", "zebedee.q@example.com", phone="01632 960 077"), "2026-11-20")
    world.treat(world.client("Ottoline Reed", "ottoline@example.com"), "2026-11-20")
    with store.write() as connection:
        # A kind this program cannot write yet: a bug met by one row, logged with its traceback.
        broken = (emails.c.client_id == 2) & (emails.c.step == "day-01")
        connection.execute(sa.update(emails).where(broken).values(kind="notice"))
    store.close()
    refused = Reply(550, "5.1.1 <zebedee.q@example.com>: Zebedee is unknown: user unknown")
    with ScriptedRelay(recipients({"zebedee.q@example.com": refused})) as relay:
        environment = os.environ | {
            "AFTERCARE_DATA_DIR": str(tmp_path),
            "AFTERCARE_RELAY_HOST": "127.0.0.1",
            "AFTERCARE_RELAY_PORT": str(relay.port),
            "AFTERCARE_RELAY_TLS": "none",
            "AFTERCARE_TRIAL_ALLOW": "example.com",
            "AFTERCARE_LOG_LEVEL": "debug",
        }
        command = [sys.executable, "-m", "service", "tick", "--now", "2026-11-21T10:00:00Z", "--until-idle"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "failed" in told
    assert "could not be delivered" in told
    assert [canary for canary in CANARIES if canary in told] == []
