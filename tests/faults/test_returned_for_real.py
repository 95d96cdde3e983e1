"""What comes back by itself: a real Postfix writes the report, a real Dovecot hands it out, a worker acts on it."""

from __future__ import annotations

import email
import email.policy
import imaplib
import json
import smtplib
import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.faults.judging import Tally
from tests.faults.test_postfix import DAYS, outbox, register, settings
from tests.support.postfix import PASSWORD, USER, Postfix, postfix
from tests.support.processes import Program, wait_for

Told = Callable[[str, Tally], None]


@pytest.fixture
def servers() -> Iterator[Postfix]:
    with postfix(("sam",)) as running:
        yield running


def reading(servers: Postfix, folder: Path) -> dict[str, str]:
    """The settings of an installation whose mail may come back."""
    returning = {
        "relay_port": str(servers.late),
        "bounce_domain": "bounce.example.org",
        "mailbox_url": f"imaps://{USER}:{quote(PASSWORD)}@127.0.0.1:{servers.imaps}/INBOX",
        "mailbox_ca_file": str(servers.ca_file),
    }
    return settings(servers, "plain", folder) | returning


def lines(program: Program, *words: str) -> list[Any]:
    return [json.loads(line) for line in program.run(*words, "--json", "--now", DAYS[0]).splitlines()]


def flags(servers: Postfix) -> list[str]:
    """Of each message in the mailbox, as its staff see them."""
    context = ssl.create_default_context(cafile=servers.ca_file)
    with imaplib.IMAP4_SSL("127.0.0.1", servers.imaps, ssl_context=context) as staff:
        staff.login(USER, PASSWORD)
        staff.select("INBOX", readonly=True)
        _, found = staff.fetch("1:*", "(FLAGS)")
        return ["seen" if b"\\Seen" in line else "unread" for line in found if isinstance(line, bytes)]


@pytest.mark.slow
def test_a_dead_address_comes_back_and_a_worker_makes_a_call_of_it(
    servers: Postfix, tmp_path: Path, told: Told
) -> None:
    with Program(tmp_path, reading(servers, tmp_path)) as program:
        register(program, "nobody@patients.example.org")
        program.run("tick", "--until-idle", "--now", DAYS[0])
        assert outbox(tmp_path)[0].state == "sent"
        wait_for(servers.returned, "the report in the mailbox", 20)
        worker = program.start("worker").says('"bounce": 1')
        worker.stop()
        assert "nobody@" not in worker.log.read_text("utf-8")
        rows = outbox(tmp_path)
        assert [(row.state, row.reason) for row in rows] == [
            ("sent", None),
            ("cancelled", "suppressed"),
            ("cancelled", "suppressed"),
        ]
        assert rows[0].bounce_class == "hard"
        assert [line["address"] for line in lines(program, "suppressions", "list")] == ["nobody@patients.example.org"]
        assert [line["reason"] for line in lines(program, "calls", "list")] == ["bounced"]
        assert flags(servers) == ["seen"]
        assert lines(program, "returned", "--fetch") == []
        found = {item["name"]: item for item in json.loads(program.run("doctor", "--json"))["items"]}
        assert found["returned mail"]["state"] == "green"
        assert json.loads(program.run("check", "--json", "--now", DAYS[0]))["ok"]
    told("a real report, fetched over IMAP (suppressed, call opened)", Tally(1, 1, 0, 0, 0))


def reminder(servers: Postfix) -> EmailMessage:
    (raw,) = wait_for(lambda: servers.mailbox("sam"), "the reminder", 20)
    return email.message_from_bytes(raw, policy=email.policy.default)


def write(servers: Postfix, sender: str, to: str, **fields: str) -> None:
    """As a client's mail program does. fields: headers with _ for -, and text."""
    letter = EmailMessage()
    letter["From"], letter["To"] = "Sam Reed <sam@patients.example.org>", to
    letter.set_content(fields.pop("text", ""))
    for name, value in fields.items():
        letter[name.replace("_", "-")] = value
    before = len(servers.returned())
    with smtplib.SMTP("127.0.0.1", servers.plain) as line:
        line.send_message(letter, sender, [to])
    wait_for(lambda: len(servers.returned()) == before + 1, "the letter in the mailbox", 20)


@pytest.mark.slow
def test_a_vacation_a_question_and_a_wish_are_told_apart(servers: Postfix, tmp_path: Path, told: Told) -> None:
    with Program(tmp_path, reading(servers, tmp_path)) as program:
        client = register(program, "sam@patients.example.org")
        program.run("tick", "--until-idle", "--now", DAYS[0])
        sent = reminder(servers)
        envelope = str(sent["Return-Path"]).strip("<>")
        assert envelope.endswith("@bounce.example.org")

        write(servers, "", envelope, Subject="Away", Auto_Submitted="auto-replied", text="Back on Monday.")
        (line,) = lines(program, "returned", "--fetch")
        assert (line["kind"], line["does"], line["client_id"]) == ("auto_reply", [], client)
        assert (lines(program, "calls", "list"), flags(servers)) == ([], ["seen"])

        sam, about = "sam@patients.example.org", str(sent["Message-ID"])
        write(servers, sam, str(sent["Reply-To"]), Subject="Re: you", In_Reply_To=about, text="My head is red.")
        (line,) = lines(program, "returned", "--fetch")
        assert (line["kind"], line["does"], line["found_by"]) == ("human", ["call"], "message_id")
        assert [call["reason"] for call in lines(program, "calls", "list")] == ["reply"]
        assert flags(servers) == ["seen", "unread"]
        assert outbox(tmp_path)[1].state == "planned"

        address = str(sent["List-Unsubscribe"]).partition("mailto:")[2].partition("?")[0]
        assert address.endswith("@bounce.example.org")
        write(servers, sam, address, Subject="unsubscribe me")
        (line,) = lines(program, "returned", "--fetch")
        assert (line["kind"], line["does"], line["verified"]) == ("stop", ["stop", "call"], True)
        assert [row.reason for row in outbox(tmp_path)] == [None, "stopped", "stopped"]
        assert flags(servers) == ["seen", "unread", "seen"]
        assert sorted(call["reason"] for call in lines(program, "calls", "list")) == ["reply", "stopped"]
        assert json.loads(program.run("check", "--json", "--now", DAYS[0]))["ok"]
    told("a vacation, a question and a stop over IMAP", Tally(1, 1, 0, 0, 0))
