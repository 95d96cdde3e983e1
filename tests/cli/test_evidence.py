"""Suppressed addresses, the audit, and the doctor."""

from __future__ import annotations

import sqlalchemy as sa

from service.cli.options import service_for
from service.store.engine import Store
from service.store.watch import open_alert
from tests.support.command_line import CommandLine
from tests.support.imap_server import PASSWORD, imap_server
from tests.support.scripted_relay import Reply, ScriptedRelay, recipients


def refused(either: CommandLine) -> int:
    """A client whose address the relay does not know; its suppression's id."""
    either.treat(either.client(), "2026-11-20")
    with ScriptedRelay(recipients({"sam@example.com": Reply(550, "5.1.1 no such user")})) as relay:
        settings = {"relay_host": "127.0.0.1", "relay_port": str(relay.port), "relay_tls": "none"}
        either("tick", "--now", "2026-11-21T10:00:00Z", trial_allow="example.com", **settings)
    (line,) = either.lines("suppressions", "list")
    return int(line["id"])


def test_a_dead_address_is_listed_with_its_reason_and_lifted_with_another(either: CommandLine) -> None:
    suppression = refused(either)
    (line,) = either.lines("suppressions", "list")
    assert (line["address"], line["lifted_at"]) == ("sam@example.com", None)
    assert "does not exist" in line["reason"]
    lifted = either.document("suppressions", "lift", suppression, "--reason", "typo at the desk")
    assert lifted["lifted_reason"] == "typo at the desk"
    assert either.lines("suppressions", "list") == []
    assert len(either.lines("suppressions", "list", "--all")) == 1
    again = either.refusal("suppressions", "lift", suppression, "--reason", "once more")
    assert (again["status"], again["code"]) == (1, "not_allowed")
    assert either.refusal("suppressions", "lift", 99, "--reason", "x")["status"] == 1
    assert either.refusal("suppressions", "lift", suppression, "--reason", " ")["field"] == "reason"


def test_every_deed_is_listed_and_the_seals_hold(either: CommandLine) -> None:
    either.treat(either.client(), "2026-11-20")
    lines = either.lines("audit")
    assert [line["action"] for line in lines][-2:] == ["client added", "treatment added"]
    assert "Sam" not in str(lines)
    assert either.lines("audit", "--limit", 1) == lines[-1:]
    assert either.document("audit", "--verify") == {"ok": True, "broken": []}


def test_a_changed_line_of_the_audit_is_found(cli: CommandLine) -> None:
    cli.client()
    store = Store(f"sqlite:///{cli.folder / 'data' / 'aftercare.db'}")
    with store.write() as connection:
        connection.execute(sa.text("DROP TRIGGER audit_no_update"))
        connection.execute(sa.text("UPDATE audit SET actor = 'nobody' WHERE id = 2"))
    store.close()
    answer = cli("audit", "--verify")
    assert answer.status == 1
    assert "lines 2" in answer.err


def items(answer: CommandLine, *words: str, **settings: str) -> dict[str, str]:
    """What the doctor finds: name -> state."""
    told = answer("doctor", "--json", *words, **settings)
    document = told.document
    assert document["ok"] == (told.status == 0)
    assert all(item["next_step"] for item in document["items"] if item["state"] != "green")
    return {item["name"]: item["state"] for item in document["items"]}


def test_the_doctor_looks_at_everything_around_the_program(either: CommandLine) -> None:
    found = items(either)
    assert {found[name] for name in ("data folder", "disk", "database", "clock", "protocols and texts")} == {"green"}
    assert {found[name] for name in ("mail relay", "alerts", "morning digest")} == {"yellow"}


def test_the_doctor_tells_which_words_a_live_page_would_not_show(cli: CommandLine) -> None:
    cli.treat(cli.client())
    assert items(cli, public_url="https://notes.northgate.org")["page of the day"] == "yellow"
    assert "page of the day" not in items(cli)


def test_the_doctor_says_what_the_relay_says(cli: CommandLine) -> None:
    with ScriptedRelay() as relay:
        port = str(relay.port)
        well = items(cli, relay_host="127.0.0.1", relay_port=port, relay_tls="none")
        in_clear = items(cli, relay_host="127.0.0.1", relay_port=port)
    gone = items(cli, relay_host="127.0.0.1", relay_port=port, relay_tls="none")
    assert [found["mail relay"] for found in (well, in_clear, gone)] == ["green", "red", "red"]


def test_the_doctor_names_what_is_broken(cli: CommandLine) -> None:
    data = cli.folder / "data"
    data.chmod(0o755)
    assert items(cli)["data folder"] == "red"
    data.chmod(0o700)
    (data / "aftercare.db").write_bytes(b"not a database" * 1000)
    assert items(cli)["database"] == "red"
    assert items(cli, database_url="postgresql://127.0.0.1:1/none")["database"] == "red"


def test_the_doctor_looks_into_the_mailbox(either: CommandLine) -> None:
    path = either.folder / "returned"
    settings = {"mailbox_url": f"maildir:{path}", "bounce_domain": "bounce.example.org"}
    assert items(either)["returned mail"] == "yellow"
    assert items(either, **settings)["returned mail"] == "red"
    for part in ("new", "cur"):
        (path / part).mkdir(parents=True)
    assert items(either, **settings)["returned mail"] == "yellow"
    either("returned", "--fetch", **settings)
    assert items(either, **settings)["returned mail"] == "green"
    assert items(either, mailbox_url=settings["mailbox_url"])["returned mail"] == "yellow"


def test_the_doctor_tells_what_workers_told_of_the_mailbox(cli: CommandLine) -> None:
    with imap_server() as imap:
        url = imap.url(password="pa%22ss%5Cw%C3%B6rd")
        settings = {"mailbox_url": url, "bounce_domain": "bounce.example.org"}
        cli("returned", "--fetch", **settings)
        answer = cli("doctor", **settings)
        assert "last read at 2026-11-20 16:00 UTC" in answer.out
        assert imap.commands.count('EXAMINE "INBOX"') == 1
        imap.password = "changed"
        answer = cli("doctor", **settings)
        assert (answer.status, "refuses the log-in" in answer.out) == (1, True)
        assert "returns@" not in answer.out + answer.err
        imap.password = PASSWORD
        with service_for() as service, service.store.write() as connection:
            open_alert(connection, "mailbox", "Returned mail does not come in.", service.now())
        assert items(cli, **settings)["returned mail"] == "red"
