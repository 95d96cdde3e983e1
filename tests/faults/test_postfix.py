"""A real Postfix takes the mail into Maildirs: with STARTTLS and a password, and on the plain loopback port."""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.store.engine import Store
from service.store.tables import emails
from tests.faults.judging import Tally
from tests.support.postfix import PASSWORD, USER, Postfix, postfix
from tests.support.processes import Program, wait_for

Told = Callable[[str, Tally], None]
# Yesterday: a worker lives by the machine's clock, and must not find the next step due as well.
_TREATED = datetime.now(UTC).date() - timedelta(days=1)
TREATED_ON, TREATED_AT = f"{_TREATED}", f"{_TREATED}T16:00:00Z"
DAYS = tuple(f"{_TREATED + timedelta(days=day)}T10:00:00Z" for day in (1, 3, 10))
CLINIC = (
    *("--clinic", "Northgate Clinic", "--sender-name", "Northgate", "--timezone", "Europe/London"),
    *("--phone", "01632 960 001", "--hours", "mon-fri 09:00-18:00", "--emergency-number", "999"),
    *("--urgent-line-name", "NHS 111", "--urgent-line-number", "111", "--reply-to", "desk@northgate-clinic.org"),
)


@pytest.fixture(scope="module")
def relay() -> Iterator[Postfix]:
    with postfix(("sam", "ann")) as running:
        yield running


def settings(relay: Postfix, kind: str, folder: Path) -> dict[str, str]:
    fixed = {
        "data_dir": str(folder / "data"),
        "relay_host": "127.0.0.1",
        "trial_allow": "patients.example.org",
        "relay_ca_file": str(relay.ca_file),
    }
    if kind == "plain":
        return fixed | {"relay_port": str(relay.plain), "relay_tls": "none"}
    secure = {"relay_port": str(relay.secure), "relay_tls": "starttls"}
    return fixed | secure | {"relay_username": USER, "relay_password": PASSWORD}


def register(program: Program, address: str) -> int:
    """A clinic, a client who agreed to e-mails, and a treatment, as the desk does it."""
    program.run("init", *CLINIC, "--now", TREATED_AT)
    added = program.run("client", "add", "--name", "Sam Reed", "--email", address, "--json", "--now", TREATED_AT)
    client = json.loads(added)["id"]
    words = ("--client", str(client), "--protocol", "scalp-micropigmentation", "--on", TREATED_ON)
    program.run("treatment", "add", *words, "--now", TREATED_AT)
    return int(client)


def outbox(folder: Path) -> list[Any]:
    """The rows as they stand in the installation's own database, by hour."""
    store = Store(f"sqlite:///{folder}/data/aftercare.db")
    with store.read() as connection:
        rows = connection.execute(sa.select(emails).order_by(emails.c.due_at)).all()
    store.close()
    return list(rows)


def without_trace(message: bytes) -> bytes:
    """What Postfix writes on top of a message, taken off again: the rest must be ours, byte for byte."""
    lines = message.split(b"\n")
    while lines[0].startswith((b"Return-Path:", b"X-Original-To:", b"Delivered-To:", b"Received:", b"\t", b" ")):
        del lines[0]
    return b"\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [("secure", "sam"), ("plain", "ann")])
def test_three_mails_reach_a_maildir_as_they_were_written(
    relay: Postfix, tmp_path: Path, told: Told, kind: str, name: str
) -> None:
    with Program(tmp_path, settings(relay, kind, tmp_path)) as program:
        register(program, f"{name}@patients.example.org")
        for number, day in enumerate(DAYS, start=1):
            program.run("tick", "--until-idle", "--now", day)
            wait_for(lambda wanted=number: len(relay.mailbox(name)) == wanted, "the mail in the Maildir", 20)  # type: ignore[misc]
        rows = outbox(tmp_path)
        arrived = relay.mailbox(name)
        assert [row.state for row in rows] == ["sent"] * 3
        digests = [hashlib.sha256(without_trace(one).replace(b"\n", b"\r\n")).hexdigest() for one in arrived]
        assert digests == [row.digest for row in rows]
        ids = [email.message_from_bytes(one, policy=email.policy.default)["Message-ID"] for one in arrived]
        assert ids == [row.message_id for row in rows]
        for one in arrived:
            assert (b"with ESMTPSA" if kind == "secure" else b"with ESMTP ") in one
        assert json.loads(program.run("check", "--json", "--now", DAYS[-1]))["ok"]
    told(f"a real Postfix, {kind}", Tally(3, 3, 0, 0, 0))


@pytest.mark.slow
def test_a_real_550_fails_the_mail_suppresses_the_address_and_asks_for_a_call(
    relay: Postfix, tmp_path: Path, told: Told
) -> None:
    with Program(tmp_path, settings(relay, "plain", tmp_path)) as program:
        register(program, "nobody@patients.example.org")
        program.run("tick", "--until-idle", "--now", DAYS[0])
        rows = outbox(tmp_path)
        assert [(row.state, row.reason) for row in rows] == [
            ("failed", "refused"),
            ("cancelled", "suppressed"),
            ("cancelled", "suppressed"),
        ]
        assert (rows[0].last_code, rows[0].last_enhanced) == (550, "5.1.1")
        calls = [json.loads(line) for line in program.run("calls", "list", "--json").splitlines()]
        assert [call["reason"] for call in calls] == ["failed"]
        assert json.loads(program.run("check", "--json", "--now", DAYS[0]))["ok"]
    told("a real Postfix, unknown user (refused, call opened)", Tally(1, 0, 0, 0, 0))


@pytest.mark.slow
def test_a_wrong_password_fails_nobody(relay: Postfix, tmp_path: Path, told: Told) -> None:
    wrong = settings(relay, "secure", tmp_path) | {"relay_password": "wrong"}
    with Program(tmp_path, wrong) as program:
        register(program, "sam@patients.example.org")
        program.run("tick", "--until-idle", "--now", DAYS[0])
        assert [(row.state, row.attempts) for row in outbox(tmp_path)] == [("planned", 0)] * 3
        assert json.loads(program.run("check", "--json", "--now", DAYS[0]))["ok"]
    told("a real Postfix, wrong password (all still planned)", Tally(0, 0, 0, 0, 0))


@pytest.mark.slow
def test_the_envelope_is_said_in_one_breath(relay: Postfix, tmp_path: Path, told: Told) -> None:
    strace = shutil.which("strace")
    assert strace, "this run needs strace (Debian: apt-get install strace)"
    with Program(tmp_path, settings(relay, "plain", tmp_path)) as program:
        register(program, "ann@patients.example.org")
        seen = tmp_path / "strace"
        under = (strace, "-f", "-qq", "-s", "300", "-o", str(seen), "-e", "trace=sendto,write")
        assert program.start("tick", "--until-idle", "--now", DAYS[0], under=under).ended() == 0
        said = [line for line in seen.read_text("utf-8", "replace").splitlines() if "MAIL FROM" in line]
        assert len(said) == 1
        assert "RCPT TO:<ann@patients.example.org>" in said[0]
        assert "DATA\\r\\n" in said[0]
        assert outbox(tmp_path)[0].state == "sent"
    told("a real Postfix, PIPELINING", Tally(1, 1, 0, 0, 0))
