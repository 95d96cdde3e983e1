"""Back up, restore and answer, with the real commands; what the relay accepted is the truth."""

from __future__ import annotations

import fcntl
import gzip
import io
import json
import os
import resource
import stat
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.actions import backup_file
from service.actions.backup_file import BackupFile, Header
from tests.support.command_line import NORTHGATE, SMP, CommandLine
from tests.support.pg_programs import on_path
from tests.support.scripted_relay import Accepted, Action, Reply, ScriptedRelay

KEY = "a long key that nobody guesses"
BEFORE, BACKUP, DUE, AFTER = (
    f"2026-11-{when}Z" for when in ("20T16:00:00", "21T09:00:00", "21T10:00:00", "21T11:00:00")
)


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch)


@pytest.fixture
def busy() -> set[str]:
    """Addresses that the relay asks to try again later."""
    return set()


@pytest.fixture
def relay(busy: set[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedRelay]:
    """The relay of the installation."""

    def script(stage: str, argument: str, _: int) -> Action | None:
        later = stage == "rcpt" and any(address in argument for address in busy)
        return Reply(451, "4.7.1 try again later") if later else None

    with ScriptedRelay(script) as running:
        monkeypatch.setenv("AFTERCARE_RELAY_HOST", "127.0.0.1")
        monkeypatch.setenv("AFTERCARE_RELAY_PORT", str(running.port))
        monkeypatch.setenv("AFTERCARE_RELAY_TLS", "none")
        monkeypatch.setenv("AFTERCARE_TRIAL_ALLOW", "example.com")
        yield running


def accepted(relay: ScriptedRelay) -> Counter[str]:
    return Counter(message.rcpt_to[0].partition("@")[0] for message in relay.log)


def tick(cli: CommandLine, now: str, **settings: str) -> int:
    """How many e-mails went out."""
    return int(cli.document("tick", "--until-idle", "--now", now, **settings)["sent"])


def postfix_log(messages: list[Accepted]) -> str:
    """What Postfix writes about messages it took."""
    lines = []
    for number, message in enumerate(messages):
        begin, queue = "2026-11-21T10:00:01.123456+00:00 mx", f"4X{number:04d}zzQ"
        lines += [
            f"{begin} postfix/smtpd[812]: {queue}: client=localhost[127.0.0.1]",
            f"{begin} postfix/cleanup[815]: {queue}: message-id={message.message_id}",
            f"{begin} postfix/qmgr[640]: {queue}: from=<{message.mail_from}>, size=7290, nrcpt=1 (queue active)",
            f"{begin} postfix/smtp[816]: {queue}: to=<{message.rcpt_to[0]}>, relay=mx.example.com, status=sent (250 OK)",
        ]
    return "\n".join(lines) + "\n"


def four_clients(cli: CommandLine) -> None:
    """Ann has day 1 behind her; Ben's, Cat's and Dan's is due on Saturday at 10."""
    for name, on in (("Ann", "2026-11-19"), ("Ben", "2026-11-20"), ("Cat", "2026-11-20"), ("Dan", "2026-11-20")):
        cli.treat(cli.client(f"{name} Reed"), on)


def the_story(cli: CommandLine, relay: ScriptedRelay, busy: set[str], **settings: str) -> Path:
    """A backup on Saturday at 9; then Ben and Cat get their e-mails and Dan's provider asks to wait."""
    four_clients(cli)
    assert tick(cli, BEFORE) == 1
    file = cli.folder / "saturday.backup"
    made = cli.document("backup", file, "--now", BACKUP, **settings)
    assert (made["clients"], made["emails"], made["taken_at"]) == (4, 12, BACKUP)
    busy.add("dan@")
    assert tick(cli, DUE) == 2
    busy.clear()
    assert accepted(relay) == {"ann": 1, "ben": 1, "cat": 1}
    return file


def test_a_restored_backup_sends_nothing_until_it_is_answered_and_then_exactly_what_is_missing(
    either: CommandLine, relay: ScriptedRelay, busy: set[str]
) -> None:
    file = the_story(either, relay, busy)
    done = either.document("restore", file, "--force", "--now", AFTER)
    assert (done["uncertain"], done["clients"], done["emails"], done["secret_key_fits"]) == (3, 4, 12, True)
    assert len(done["kept"]) == (1 if done["database"] == "sqlite" else 0)
    assert tick(either, AFTER) == 0
    assert [row["message_id"] for row in either.lines("uncertain", "list", "--now", AFTER)] == [None] * 3

    (log := either.folder / "mail.log").write_text(postfix_log(relay.log))
    told = {"found": 2, "absent": 1, "unsure": []}
    nothing = dict.fromkeys(("sent", "planned", "missed", "unconfirmed"), 0)
    looked = either.document("uncertain", "from-log", log, "--dry-run", "--now", AFTER)
    assert looked == told | nothing | {"dry_run": True}
    assert tick(either, AFTER) == 0
    answered = either.document("uncertain", "from-log", log, "--yes", "--now", AFTER)
    assert answered == told | nothing | {"dry_run": False, "sent": 2, "planned": 1}
    assert either.lines("uncertain", "list", "--now", AFTER) == []

    assert tick(either, AFTER) == 1
    assert accepted(relay) == {"ann": 1, "ben": 1, "cat": 1, "dan": 1}
    assert either.document("check", "--now", AFTER)["ok"]
    ids = {row["message_id"] for row in either.lines("outbox", "--state", "sent")}
    assert ids == {message.message_id for message in relay.log}
    assert tick(either, "2026-11-23T10:00:00Z") == 4
    assert max(Counter((message.rcpt_to, message.message_id) for message in relay.log).values()) == 1


def test_every_answer_and_the_restore_are_in_the_audit(cli: CommandLine, relay: ScriptedRelay, busy: set[str]) -> None:
    cli("restore", the_story(cli, relay, busy), "--force", "--now", AFTER)
    one, other, third = (row["id"] for row in cli.lines("uncertain", "list"))
    assert cli.document("uncertain", "sent", one, "--now", AFTER)["sent"] == 1
    assert cli.document("uncertain", "release", other, third, "--now", AFTER)["planned"] == 2
    deeds = [(deed["action"], json.loads(deed["detail"])) for deed in cli.lines("audit")][-3:]
    by_hand = {"why": "said by hand"}
    assert deeds == [
        ("restored from a backup", {"taken_at": "2026-11-21T09:00:00+00:00", "uncertain": 3}),
        ("uncertain e-mails answered", {"went_out": [one], "went_not_out": [], **by_hand}),
        ("uncertain e-mails answered", {"went_out": [], "went_not_out": [other, third], **by_hand}),
    ]
    assert cli.document("check", "--now", AFTER)["ok"]


def test_what_is_too_late_when_it_is_answered_becomes_a_call(
    either: CommandLine, relay: ScriptedRelay, busy: set[str]
) -> None:
    either("restore", the_story(either, relay, busy), "--force", "--now", AFTER)
    counts = either.document("uncertain", "release", "--all", "--yes", "--now", "2026-11-24T13:00:00Z")
    assert (counts["planned"], counts["missed"]) == (0, 3)
    assert [call["reason"] for call in either.lines("calls", "list", "--state", "open")] == ["missed"] * 3
    assert accepted(relay) == {"ann": 1, "ben": 1, "cat": 1}


def test_all_of_them_can_be_said_to_have_gone_out(cli: CommandLine, relay: ScriptedRelay, busy: set[str]) -> None:
    cli("restore", the_story(cli, relay, busy), "--force", "--now", AFTER)
    assert cli.document("uncertain", "sent", "--all", "--yes", "--now", AFTER)["sent"] == 3
    assert tick(cli, AFTER) == 0


def test_a_message_that_the_relay_began_and_did_not_queue_stays_uncertain(
    cli: CommandLine, relay: ScriptedRelay, busy: set[str]
) -> None:
    cli("restore", the_story(cli, relay, busy), "--force", "--now", AFTER)
    lines = postfix_log(relay.log).splitlines()
    cut = [line for line in lines if not ("qmgr" in line and "4X0002zzQ" in line)]
    (cli.folder / "mail.log").write_text("\n".join(cut))
    with gzip.open(cli.folder / "mail.log.1.gz", "wt") as file:
        file.write("older lines\n")
    answer = cli("uncertain", "from-log", "mail.log", "mail.log.1.gz", "--yes", "--now", AFTER)
    assert "1 e-mails were sent, 1 were not" in answer.err
    assert "1 were begun" in answer.err
    assert len(cli.lines("uncertain", "list")) == 1


@pytest.mark.parametrize("form", ["bare list", "grep"])
def test_any_text_that_names_the_message_ids_answers(
    cli: CommandLine, relay: ScriptedRelay, busy: set[str], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("restore", the_story(cli, relay, busy), "--force", "--now", AFTER)
    text = postfix_log(relay.log)
    if form == "bare list":
        text = "\n".join(message.message_id.strip("<>").upper() for message in relay.log)
    else:
        text = "\n".join(line for line in text.splitlines() if "message-id" in line)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\n" + text.encode())))
    assert cli.document("uncertain", "from-log", "-", "--yes", "--now", AFTER)["found"] == 2


def test_a_log_of_something_else_and_a_foreign_secret_key_are_not_believed(
    cli: CommandLine, relay: ScriptedRelay, busy: set[str]
) -> None:
    file = the_story(cli, relay, busy)
    key_file = cli.folder / "data" / "secret.key"
    key = key_file.read_bytes()
    key_file.unlink()
    done = cli("restore", file, "--force", "--now", AFTER)
    assert "This backup does not hold the secret key that goes with it" in done.err
    (log := cli.folder / "mail.log").write_text(postfix_log(relay.log))
    refused = cli.refusal("uncertain", "from-log", log, "--yes", "--now", AFTER)
    assert refused["field"] == "AFTERCARE_SECRET_KEY"
    key_file.write_bytes(key)
    for content in ("", postfix_log([])):
        log.write_text(content)
        refused = cli.refusal("uncertain", "from-log", log, "--yes", "--now", AFTER)
        assert (refused["code"], "none of this database's e-mails" in refused["message"]) == ("not_allowed", True)
    assert len(cli.lines("uncertain", "list")) == 3


def test_answers_are_asked_for_ids_that_are_uncertain_and_for_a_yes(
    cli: CommandLine, relay: ScriptedRelay, busy: set[str]
) -> None:
    assert "Nothing is uncertain" in cli("uncertain", "list").err
    cli("restore", the_story(cli, relay, busy), "--force", "--now", AFTER)
    table = cli("uncertain", "list", "--now", AFTER).out
    assert "day-01" in table
    for verb in ("release", "sent"):
        assert cli.refusal("uncertain", verb)["field"] == "ids"
        assert cli.refusal("uncertain", verb, 1, "--all")["field"] == "ids"
        assert cli.refusal("uncertain", verb, 1)["code"] == "not_found"
        assert cli.refusal("uncertain", verb, "--all")["field"] == "yes"
    (cli.folder / "log").write_text(postfix_log(relay.log))
    assert cli.refusal("uncertain", "from-log", "log")["field"] == "yes"
    assert len(cli.lines("uncertain", "list")) == 3


def test_a_check_says_what_would_be_held_and_changes_nothing(
    either: CommandLine, relay: ScriptedRelay, busy: set[str]
) -> None:
    file = the_story(either, relay, busy)
    before = either.lines("outbox")
    seen = either.document("restore", file, "--check", "--now", AFTER)
    assert (seen["clients"], seen["emails"], seen["would_hold"]) == (4, 12, 3)
    assert either.document("restore", file, "--check", "--now", BACKUP)["would_hold"] == 0
    assert either.lines("outbox") == before
    assert not list(either.folder.rglob("*restor*"))
    assert "would hold 3 e-mails" in either("restore", file, "--check", "--now", AFTER).err


def moved_to(cli: CommandLine, folder: str) -> dict[str, str]:
    """Settings of an empty machine."""
    return {"data_dir": str(cli.folder / folder), "database_url": ""}


def test_an_encrypted_backup_brings_its_secret_key_to_an_empty_machine(
    cli: CommandLine, relay: ScriptedRelay, busy: set[str]
) -> None:
    file = the_story(cli, relay, busy, backup_key=KEY)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"dan@example.com" not in file.read_bytes()
    there = moved_to(cli, "new")
    done = cli.document("restore", file, "--now", AFTER, backup_key=KEY, **there)
    assert (done["encrypted"], done["secret_key_included"], done["secret_key_fits"]) == (True, True, True)
    assert (cli.folder / "new" / "secret.key").read_bytes() == (cli.folder / "data" / "secret.key").read_bytes()
    assert stat.S_IMODE((cli.folder / "new" / "secret.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((cli.folder / "new" / "aftercare.db").stat().st_mode) == 0o600
    (log := cli.folder / "mail.log").write_text(postfix_log(relay.log))
    assert cli.document("uncertain", "from-log", log, "--yes", "--now", AFTER, **there)["planned"] == 1
    assert tick(cli, AFTER, **there) == 1
    assert accepted(relay) == {"ann": 1, "ben": 1, "cat": 1, "dan": 1}


def test_another_secret_key_is_replaced_only_with_force_and_kept_beside(cli: CommandLine) -> None:
    cli("backup", "b", backup_key=KEY)
    there = moved_to(cli, "new")
    (cli.folder / "new").mkdir()
    own = cli.folder / "new" / "secret.key"
    own.write_bytes(b"x" * 43)
    assert "is not the secret key" in cli.refusal("restore", "b", backup_key=KEY, **there)["message"]
    done = cli.document("restore", "b", "--force", backup_key=KEY, **there)
    assert own.read_bytes() == (cli.folder / "data" / "secret.key").read_bytes()
    (kept,) = done["kept"]
    assert Path(kept).read_bytes() == b"x" * 43


def test_people_are_told_what_the_file_holds_and_what_must_be_kept_elsewhere(cli: CommandLine) -> None:
    four_clients(cli)
    plain = cli("backup", "plain")
    assert plain.err.splitlines()[0].startswith("plain: 4 clients and 12 e-mails as of 2026-11-20T16:00:00Z, ")
    assert "not encrypted" in plain.err
    assert f"Keep {cli.folder / 'data' / 'secret.key'} separately" in plain.err
    closed = cli("backup", "closed", backup_key=KEY)
    assert len(closed.err.splitlines()) == 1
    assert "Keep AFTERCARE_SECRET_KEY separately" in cli("backup", "third", backup_key=KEY, secret_key="y" * 40).err
    restored = cli("restore", "plain", "--force", "--now", AFTER)
    assert "4 e-mails may have gone out since" in restored.err
    assert "after 2026-11-20T16:00:00Z is not in it" in restored.err


def everything(folder: Path) -> dict[str, bytes]:
    """Every file that a failed command must leave as it was; locks and what stands beside an open database are none."""
    passing = (".lock", "-wal", "-shm")
    return {
        str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.name.endswith(passing)
    }


def test_a_file_that_exists_is_not_overwritten_and_never_one_that_is_no_backup(cli: CommandLine) -> None:
    cli("backup", "b")
    assert cli.refusal("backup", "b")["next_step"] == "Name another file, or add --force."
    assert cli.document("backup", "b", "--force")["clients"] == 0
    before = everything(cli.folder)
    for path in ("data/aftercare.db", "data/secret.key"):
        assert "no backup" in cli.refusal("backup", path, "--force")["message"]
    assert cli.refusal("backup", "missing/b")["code"] == "unavailable"
    assert everything(cli.folder) == before


def test_a_filled_database_is_replaced_only_with_force(either: CommandLine) -> None:
    either("backup", "b")
    refused = either.refusal("restore", "b")
    assert (refused["code"], refused["field"]) == ("not_allowed", "force")
    assert either.document("restore", "b", "--force")["uncertain"] == 0


def test_nothing_is_restored_while_a_worker_lives(either: CommandLine) -> None:
    either("backup", "b")
    (either.folder / "data" / "workers").mkdir(exist_ok=True)
    with (either.folder / "data" / "workers" / "other.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = either.refusal("restore", "b", "--force")
        assert either.document("restore", "b", "--check")["would_hold"] == 0
    assert "a worker is running" in refused["message"]


@pytest.mark.parametrize("options", [("--check",), ("--force",)])
def test_a_wrong_key_a_damaged_and_a_short_file_change_nothing(either: CommandLine, options: tuple[str, ...]) -> None:
    either("backup", "good", backup_key=KEY)
    content = (either.folder / "good").read_bytes()
    (either.folder / "flipped").write_bytes(content[:700] + bytes([content[700] ^ 1]) + content[701:])
    (either.folder / "short").write_bytes(content[:-100])
    before = everything(either.folder)
    assert either.refusal("restore", "good", *options, backup_key="x" * 20)["field"] == "AFTERCARE_BACKUP_KEY"
    assert either.refusal("restore", "good", *options)["field"] == "AFTERCARE_BACKUP_KEY"
    for name in ("flipped", "short"):
        refused = either.refusal("restore", name, *options, backup_key=KEY)
        assert (refused["status"], refused["code"], "damaged" in refused["message"]) == (1, "unavailable", True)
    assert either.refusal("restore", "missing", *options)["code"] == "unavailable"
    assert everything(either.folder) == before
    assert either.document("clinic", "show")["name"] == "Northgate Clinic"


def made_by_hand(path: Path, content: bytes, **header: Any) -> None:
    values: dict[str, Any] = {
        "schema": "first_tables",
        "database": "sqlite",
        "taken_at": datetime.now(UTC),
        "signed_by": "",
    } | header
    backup_file.write(path, Header(**values), (b"", [content]), None)


def test_a_backup_of_a_newer_program_or_of_the_other_kind_of_database_is_refused(cli: CommandLine) -> None:
    made_by_hand(cli.folder / "newer", b"", schema="of_the_future")
    made_by_hand(cli.folder / "other", b"", database="postgresql")
    made_by_hand(cli.folder / "nonsense", b"no database at all" * 100)
    before = everything(cli.folder)
    assert "newer than this program" in cli.refusal("restore", "newer", "--force")["message"]
    assert cli.refusal("restore", "other", "--force")["field"] == "AFTERCARE_DATABASE_URL"
    assert "damaged" in cli.refusal("restore", "nonsense", "--force")["message"]
    assert everything(cli.folder) == before


def test_a_database_that_is_not_there_or_a_short_key_makes_no_backup(bare: CommandLine) -> None:
    assert "no Aftercare database" in bare.refusal("backup", "b")["message"]
    bare("init", *NORTHGATE)
    assert bare.refusal("backup", "b", backup_key="short")["field"] == "AFTERCARE_BACKUP_KEY"
    assert not (bare.folder / "b").exists()


def test_a_full_disk_leaves_nothing_half_written(either: CommandLine) -> None:
    four_clients(either)
    made = either.document("backup", "good")
    before = everything(either.folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (made["bytes"] // 2, limits[1]))
        failed = [either.refusal("backup", "second")]
        if made["database"] == "sqlite":  # PostgreSQL's files are the server's business
            resource.setrlimit(resource.RLIMIT_FSIZE, (made["bytes"], limits[1]))
            failed.append(either.refusal("restore", "good", "--force"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {(one["status"], one["code"]) for one in failed} == {(1, "unavailable")}
    assert all("disk is not full" in one["next_step"] for one in failed)
    assert everything(either.folder) == before
    assert not os.path.lexists(either.folder / "second")


def test_an_empty_postgresql_database_takes_a_backup_without_force_and_a_strangers_takes_none(
    either: CommandLine, request: pytest.FixtureRequest
) -> None:
    """On SQLite: a file that is not there yet."""
    url: str = request.getfixturevalue("database_url")
    either.treat(either.client())
    either("backup", "b")
    if url.startswith("sqlite"):
        there = moved_to(either, "new")
    else:
        import sqlalchemy as sa  # noqa: PLC0415

        engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql("DROP SCHEMA public CASCADE")
            connection.exec_driver_sql("CREATE SCHEMA public")
            connection.exec_driver_sql("CREATE TABLE theirs (id integer)")
        engine.dispose()
        assert "theirs" in either.refusal("restore", "b", "--force")["message"]
        with engine.connect() as connection:
            connection.exec_driver_sql("DROP TABLE theirs")
        engine.dispose()
        there = {}
    assert either.document("restore", "b", "--now", BEFORE, **there)["clients"] == 1
    assert [row["state"] for row in either.lines("outbox", **there)] == ["planned"] * 3
    assert either.document("protocols", "show", SMP, **there)


def test_a_backup_can_be_opened_without_the_program_that_made_it_running(cli: CommandLine) -> None:
    cli("backup", "b", backup_key=KEY)
    file = BackupFile(cli.folder / "b", KEY)
    assert b"".join(file.database()).startswith(b"SQLite format 3\0")
