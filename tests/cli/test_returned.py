"""The command `returned`."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.actions.answer import link_of, write_links
from service.cli.options import service_for
from service.mail.signing import Signer, load_or_make_key
from service.store import clinics
from tests.support.builders import at, build_email
from tests.support.command_line import CommandLine
from tests.support.reports import delivery_report, letter

KEYS = ["file", "kind", "recipients", "email_id", "verified", "client_id", "found_by", "does", "reason"]


def sent_email(cli: CommandLine) -> tuple[int, str]:
    """An e-mail that went out to Sam, and its signed local part."""
    client_id = cli.client()
    with service_for() as service, service.store.write() as connection:
        clinic = clinics.chosen(connection, None)
        out = {"state": "sent", "marked_at": at("2026-11-20 10:00"), "message_id": "<a@b.example>"}
        email_id = build_email(connection, clinic, client_id, **out)
        return email_id, service.signer.bounce_local_part(str(email_id))


def file(cli: CommandLine, name: str, raw: bytes) -> Path:
    path = cli.folder / name
    path.write_bytes(raw)
    return path


def test_a_line_a_file_in_the_order_given_with_every_key(either: CommandLine) -> None:
    email_id, local_part = sent_email(either)
    bounce = file(either, "bounce.eml", delivery_report(local_part))
    person = file(either, "reply.eml", letter("desk@northgate-clinic.org", "Re: hello", "It hurts."))
    lines = either.lines("returned", bounce, either.folder / "none.eml", either.folder, person, "--dry-run")
    assert [line["file"] for line in lines] == [
        str(bounce),
        str(either.folder / "none.eml"),
        str(either.folder),
        str(person),
    ]
    assert [line["kind"] for line in lines] == ["bounce", "unknown", "unknown", "human"]
    assert all(list(line) == KEYS for line in lines)
    assert (lines[0]["email_id"], lines[0]["verified"], lines[0]["found_by"]) == (email_id, True, "token")
    assert lines[0]["recipients"] == [
        {"address": "sam@example.com", "action": "failed", "status": "5.1.1", "class": "hard", "would_suppress": True}
    ]
    assert "No such file" in lines[1]["reason"]
    assert lines[3]["does"] == ["call"]


def test_a_dry_run_writes_nothing_and_the_next_run_acts_once(either: CommandLine) -> None:
    _, local_part = sent_email(either)
    bounce = file(either, "bounce.eml", delivery_report(local_part))
    either.lines("returned", bounce, "--dry-run")
    assert either.lines("suppressions", "list") == []
    assert either.lines("returned", bounce)[0]["does"] == ["bounced", "call", "suppress"]
    assert [row["address"] for row in either.lines("suppressions", "list")] == ["sam@example.com"]
    assert [row["reason"] for row in either.lines("calls", "list")] == ["bounced"]
    assert either.lines("outbox")[0]["bounce_class"] == "hard"
    assert either.lines("returned", bounce)[0]["does"] == []
    assert len(either.lines("calls", "list")) == 1


def test_a_forged_report_says_so_and_changes_nothing(cli: CommandLine) -> None:
    email_id, _ = sent_email(cli)
    forged = Signer([b"f" * 40]).bounce_local_part(str(email_id))
    (line,) = cli.lines("returned", file(cli, "forged.eml", delivery_report(forged)))
    assert (line["verified"], line["email_id"], line["does"]) == (False, None, [])
    assert [one["would_suppress"] for one in line["recipients"]] == [False]
    assert cli.lines("suppressions", "list") == []


def test_without_a_database_a_dry_run_reads_and_makes_nothing(bare: CommandLine) -> None:
    bounce = file(bare, "bounce.eml", delivery_report("bounces"))
    answer = bare("returned", bounce, "--dry-run", "--json")
    assert (answer.status, answer.document["kind"], answer.document["verified"]) == (0, "bounce", False)
    assert "no database" in answer.err
    assert [path.name for path in bare.folder.iterdir()] == ["bounce.eml"]
    assert bare.refusal("returned", bounce)["code"] == "bad_configuration"


def test_without_a_database_the_key_alone_tells_ours(bare: CommandLine) -> None:
    signer = Signer(load_or_make_key(bare.folder / "data" / "secret.key"))
    bounce = file(bare, "bounce.eml", delivery_report(signer.bounce_local_part("17")))
    (line,) = bare.lines("returned", bounce, "--dry-run")
    assert (line["email_id"], line["verified"], list(line)) == (17, True, KEYS)
    assert not (bare.folder / "data" / "aftercare.db").exists()
    (line,) = bare.lines("returned", bounce, "--dry-run", secret_key="x" * 40)
    assert (line["email_id"], line["verified"]) == (None, False)


def test_people_read_what_it_is_whose_and_what_follows(cli: CommandLine) -> None:
    _, local_part = sent_email(cli)
    answer = cli("returned", file(cli, "bounce.eml", delivery_report(local_part)), "--dry-run")
    assert answer.status == 0
    assert "bounce hard" in answer.out
    assert "client 1" in answer.out
    assert "record it, list a call, write to this address no more" in answer.out
    assert "Nothing was written" in answer.err
    assert "sam@example.com" not in answer.out


@pytest.mark.parametrize("raw", [b"", b"\0\xff" * 1000, b"x" * 6_000_000, b"Content-Type: message/rfc822\n\n" * 1000])
def test_what_nobody_can_read_is_unknown(bare: CommandLine, raw: bytes) -> None:
    (line,) = bare.lines("returned", file(bare, "hostile.eml", raw), "--dry-run")
    assert (line["kind"], line["recipients"], line["does"]) == ("unknown", [], [])


def test_no_file_is_bad_usage(bare: CommandLine) -> None:
    assert bare.refusal("returned")["status"] == 2


def maildir(cli: CommandLine, **messages: bytes) -> dict[str, str]:
    """The setting of a Maildir with these messages."""
    for part in ("new", "cur", "tmp"):
        (cli.folder / "returned" / part).mkdir(parents=True, exist_ok=True)
    for name, raw in messages.items():
        (cli.folder / "returned" / "new" / name).write_bytes(raw)
    return {"mailbox_url": f"maildir:{cli.folder}/returned", "bounce_domain": "bounce.example.org"}


def test_fetch_does_one_round_and_prints_the_lines_of_files(either: CommandLine) -> None:
    email_id, local_part = sent_email(either)
    person = letter("desk@northgate-clinic.org", "Re: hello", "It hurts.")
    settings = maildir(either, m1=delivery_report(local_part), m2=person)
    lines = either.lines("returned", "--fetch", **settings)
    assert [(line["file"], line["kind"], line["does"]) for line in lines] == [
        ("m1", "bounce", ["bounced", "call", "suppress"]),
        ("m2", "human", ["call"]),
    ]
    assert all(list(line) == KEYS for line in lines)
    assert lines[0]["email_id"] == email_id
    assert sorted(path.name for path in (either.folder / "returned/cur").iterdir()) == ["m1:2,S", "m2:2,"]
    again = either("returned", "--fetch", **settings)
    assert (again.status, "Nothing new" in again.err) == (0, True)
    assert [row["actor"].partition(":")[0] for row in either.lines("audit") if row["action"] == "returned mail"] == [
        "cli",
        "cli",
    ]


def test_fetch_needs_a_mailbox_and_stands_alone(cli: CommandLine) -> None:
    assert cli.refusal("returned", "--fetch")["field"] == "AFTERCARE_MAILBOX_URL"
    settings = maildir(cli)
    for words in (["--fetch", "--dry-run"], ["--fetch", "bounce.eml"]):
        assert cli.refusal("returned", *words, **settings)["status"] == 2
    (cli.folder / "returned/new").rmdir()
    error = cli.refusal("returned", "--fetch", **settings)
    assert (error["status"], error["code"], error["field"]) == (1, "unavailable", "AFTERCARE_MAILBOX_URL")


def test_without_a_database_the_key_alone_tells_whose_a_stop_is(bare: CommandLine) -> None:
    signer = Signer(load_or_make_key(bare.folder / "data" / "secret.key"))
    link = write_links(signer, ("", "bounce.example.org"), link_of(17, "sam@example.com"), ["stop_mailto"])[
        "stop_mailto"
    ]
    raw = letter(link.removeprefix("mailto:").partition("?")[0], "Stop")
    (line,) = bare.lines("returned", file(bare, "stop.eml", raw), "--dry-run")
    assert (line["kind"], line["client_id"], line["verified"], list(line)) == ("stop", 17, True, KEYS)
