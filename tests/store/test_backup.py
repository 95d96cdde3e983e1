from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.domain.reminder import State
from service.errors import NotAllowed, Unavailable
from service.store import backup, dump, uncertain
from service.store.backup import Contents
from service.store.engine import Store
from service.store.tables import beats, duties, emails, paces
from service.store.uncertain import Proof
from tests.support.builders import DUE, all_calls, build_client, build_clinic, build_email, claim, mark, the_email
from tests.support.pg_programs import on_path

NOW = DUE + timedelta(hours=3)
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def sqlite(tmp_path: Path, sqlite_template: Path) -> Path:
    """A migrated SQLite file."""
    path = tmp_path / "aftercare.db"
    path.write_bytes(sqlite_template.read_bytes())
    return path


def rows_of_every_state(store: Store) -> dict[str, int]:
    """Name -> id of a row; `later` is due after NOW."""
    with store.write() as connection:
        clinic = build_clinic(connection)
        client_id = build_client(connection, clinic)
        other = sorted(set(State) - {State.CLAIMED, State.SENDING})
        ids = {str(state): build_email(connection, clinic, client_id, state=state) for state in other}
        ids["on hold"] = build_email(connection, clinic, client_id, state=State.HELD, reason="unapproved")
        ids["later"] = build_email(connection, clinic, client_id, not_before=LATER)
        ids["held later"] = build_email(connection, clinic, client_id, state=State.HELD, not_before=LATER)
        ids["claimed"], ids["sending"] = (build_email(connection, clinic, client_id) for _ in range(2))
        (sending,) = claim(connection, [ids["sending"]])
        claim(connection, [ids["claimed"]])
        mark(connection, sending)
    return ids


def test_what_may_have_gone_out_since_the_copy_is_held_and_the_rest_stays(store: Store) -> None:
    ids = rows_of_every_state(store)
    with store.read() as connection:
        before = {name: the_email(connection, row_id) for name, row_id in ids.items()}
    with store.write() as connection:
        assert list(backup.hold(connection, NOW).values()) == [6]
    with store.read() as connection:
        after = {name: the_email(connection, row_id) for name, row_id in ids.items()}
    held = {name for name, row in after.items() if (row.state, row.reason) == ("held", "restored")}
    assert held == {"planned", "claimed", "sending", "in_doubt", "held", "on hold"}
    assert {after[name].lease_token for name in held} == {None}
    assert all(after[name] == before[name] for name in set(ids) - held)
    assert after["sending"].doubt_since == DUE, "its message was being said: a copy may be out from the mark on"
    assert after["claimed"].doubt_since is None


def test_what_waited_long_before_the_copy_may_have_gone_out_too(store: Store) -> None:
    with store.write() as connection:
        clinic = build_clinic(connection)
        fields: dict[str, Any] = {"due_at": NOW - timedelta(days=20), "useful_until": NOW + timedelta(days=1)}
        build_email(connection, clinic, build_client(connection, clinic), **fields)
        assert backup.hold(connection, NOW) == {clinic.id: 1}


def test_the_count_before_is_what_the_hold_finds(store: Store) -> None:
    rows_of_every_state(store)
    counted = backup.contents(store, NOW)
    assert counted == Contents(clients=1, emails=13, uncertain=6)
    with store.read() as connection:
        rows = connection.execute(sa.select(emails.c.state, emails.c.not_before)).all()
    assert sum(backup.may_be_out(state, not_before, NOW) for state, not_before in rows) == counted.uncertain


def test_workers_of_the_old_life_are_forgotten_and_a_duty_done_stays_done(store: Store) -> None:
    with store.write() as connection:
        connection.execute(sa.insert(beats).values(worker="w1", began_at=DUE, tried_at=DUE))
        connection.execute(sa.insert(paces).values(at=DUE))
        lease = {"lease_token": "t", "lease_until": DUE}
        connection.execute(sa.insert(duties).values(name="digest", done_for="2026-11-21", **lease))
        backup.hold(connection, NOW)
        assert connection.execute(sa.select(beats)).all() == connection.execute(sa.select(paces)).all() == []
        assert connection.execute(sa.select(duties)).all() == [("digest", "2026-11-21", None, None)]


def restored(connection: sa.Connection, **fields: Any) -> int:
    clinic = build_clinic(connection)
    row_id = build_email(connection, clinic, build_client(connection, clinic), **fields)
    backup.hold(connection, NOW)
    return row_id


@pytest.mark.parametrize(
    ("fields", "cap", "becomes", "call"),
    [
        ({}, 1, ("planned", None), None),
        ({"useful_until": NOW}, 1, ("missed", "too_late"), "missed"),
        ({"doubt_since": DUE}, 1, ("planned", None), None),
        ({"doubt_since": DUE, "doubt_retries": 1}, 1, ("unconfirmed", "reply_lost"), "unconfirmed"),
        ({"doubt_since": DUE}, 0, ("unconfirmed", "reply_lost"), "unconfirmed"),
        ({"doubt_since": DUE, "useful_until": NOW}, 1, ("unconfirmed", "too_late"), "unconfirmed"),
    ],
)
def test_what_did_not_go_out_is_planned_again_or_called(
    store: Store, fields: dict[str, Any], cap: int, becomes: tuple[str, str | None], call: str | None
) -> None:
    with store.write() as connection:
        row_id = restored(connection, **fields)
        assert uncertain.went_not_out(connection, [row_id], cap, NOW) == Counter({becomes[0]: 1})
        row = the_email(connection, row_id)
        assert (row.state, row.reason, row.doubt_since) == (*becomes, fields.get("doubt_since"))
        assert [(email, reason) for email, reason, _ in all_calls(connection)] == ([(row_id, call)] if call else [])


def test_only_a_row_that_a_restore_held_is_released(store: Store) -> None:
    with store.write() as connection:
        clinic = build_clinic(connection)
        row_id = build_email(connection, clinic, build_client(connection, clinic), state=State.HELD, reason="paused")
        assert uncertain.listed(connection) == []
        assert not uncertain.went_not_out(connection, [row_id], 1, NOW).total()
        assert the_email(connection, row_id).reason == "paused"


def test_more_rows_than_one_statement_takes_are_released(store: Store) -> None:
    with store.write() as connection:
        clinic = build_clinic(connection)
        client_id = build_client(connection, clinic)
        ids = [build_email(connection, clinic, client_id) for _ in range(uncertain.CHUNK + 1)]
        backup.hold(connection, NOW)
        assert uncertain.went_not_out(connection, ids, 1, NOW) == Counter(planned=len(ids))


def test_what_did_go_out_is_sent_with_its_evidence(store: Store) -> None:
    with store.write() as connection:
        row_id = restored(connection)
        (row,) = uncertain.listed(connection)
        uncertain.went_out(connection, [(row, "<abc@example.com>")], Proof("cli:ops", "the log", NOW))
        sent = the_email(connection, row_id)
        assert (sent.state, sent.reason, sent.sent_at, sent.message_id) == ("sent", None, NOW, "<abc@example.com>")
        assert sent.marked_at == DUE
        assert uncertain.listed(connection) == []


def add_client(path: Path, name: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE IF NOT EXISTS names (name TEXT)")
        connection.execute("INSERT INTO names VALUES (?)", (name,))


def names(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM names ORDER BY rowid")]


def test_a_copy_waits_for_no_writer_and_holds_what_is_committed(sqlite: Path, tmp_path: Path) -> None:
    add_client(sqlite, "committed")
    with closing(sqlite3.connect(sqlite, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO names VALUES ('not yet')")
        backup.copy_sqlite(sqlite, tmp_path / "copy.db")
        writer.execute("COMMIT")
    assert names(tmp_path / "copy.db") == ["committed"]
    backup.require_sound(tmp_path / "copy.db")


def test_a_long_copy_of_a_busy_database_is_one_moment_and_does_not_begin_anew(sqlite: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(sqlite)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
    for _ in range(5):
        add_client(sqlite, "x" * 4096 * backup.STEP)
    left: list[int] = []

    def meanwhile(_: int, remaining: int, __: int) -> None:
        left.append(remaining)
        add_client(sqlite, "later")

    backup.copy_sqlite(sqlite, tmp_path / "copy.db", meanwhile)
    assert len(left) > 5
    assert left == sorted(left, reverse=True)
    assert "later" not in names(tmp_path / "copy.db")
    assert names(sqlite).count("later") == len(left)


def test_a_file_with_a_fault_is_not_sound(sqlite: Path, tmp_path: Path) -> None:
    content = bytearray(sqlite.read_bytes())
    content[4096:8192] = bytes(4096)
    (tmp_path / "damaged.db").write_bytes(content)
    (tmp_path / "other.db").write_bytes(b"something else" * 1000)
    for name in ("damaged.db", "other.db"):
        with pytest.raises(Unavailable, match="damaged"):
            backup.require_sound(tmp_path / name)
    with pytest.raises(Unavailable, match=r"missing"):
        backup.copy_sqlite(tmp_path / "missing" / "a.db", tmp_path / "b.db")


def test_a_file_takes_the_place_of_a_database_and_the_old_one_is_whole(sqlite: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    add_client(new, "new")
    crashed = sqlite3.connect(sqlite)
    crashed.execute("PRAGMA journal_mode=WAL")
    add_client(sqlite, "old, in the log only")
    log = Path(f"{sqlite}-wal").read_bytes()
    crashed.close()
    Path(f"{sqlite}-wal").write_bytes(log)
    kept = backup.replace_sqlite(new, sqlite, "before")
    assert kept == tmp_path / "aftercare.db.before"
    assert names(sqlite) == ["new"]
    assert names(kept) == ["old, in the log only"]
    add_client(new, "newer")
    assert backup.replace_sqlite(new, sqlite, "before") == tmp_path / "aftercare.db.before-2"
    assert not Path(f"{sqlite}-wal").exists()


def test_a_database_that_somebody_has_open_is_not_replaced(sqlite: Path, tmp_path: Path) -> None:
    add_client(tmp_path / "new.db", "new")
    with closing(sqlite3.connect(sqlite)) as reader:
        reader.execute("PRAGMA journal_mode=WAL")
        reader.execute("SELECT count(*) FROM clinics").fetchone()
        with pytest.raises(NotAllowed, match="another process"):
            backup.replace_sqlite(tmp_path / "new.db", sqlite, "before")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["aftercare.db", "new.db"]


def test_a_damaged_database_is_replaced_with_its_log_out_of_the_way(sqlite: Path, tmp_path: Path) -> None:
    sqlite.write_bytes(b"no database" * 1000)
    Path(f"{sqlite}-wal").write_bytes(b"a log")
    assert backup.look(f"sqlite:///{sqlite}").filled, "it may have held a clinic: only --force replaces it"
    add_client(tmp_path / "new.db", "new")
    kept = backup.replace_sqlite(tmp_path / "new.db", sqlite, "before")
    assert names(sqlite) == ["new"]
    assert kept is not None
    assert kept.read_bytes() == b"no database" * 1000


def test_looking_tells_an_empty_database_from_a_filled_one(store: Store, tmp_path: Path) -> None:
    url = store.url.render_as_string(hide_password=False)
    assert not backup.look(url).filled
    with store.write() as connection:
        build_clinic(connection)
        connection.execute(sa.text("CREATE TABLE theirs (id integer)"))
    found = backup.look(url)
    assert (found.filled, found.revision, found.strangers) == (True, "first_tables", ("theirs",))
    assert not backup.look(f"sqlite:///{tmp_path / 'nothing.db'}").filled
    assert not (tmp_path / "nothing.db").exists()


@pytest.fixture
def postgresql(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The PostgreSQL one of `store`; with its programs on PATH."""
    on_path(monkeypatch)
    return store


on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@on_postgresql
def test_an_archive_is_read_without_a_database_and_counts_as_a_database_does(postgresql: Store) -> None:
    rows_of_every_state(postgresql)
    tools = dump.programs(postgresql)
    archive = b"".join(dump.dump(tools))
    assert dump.scan(tools, [archive], NOW) == backup.contents(postgresql, NOW) == Contents(1, 13, 6)
    with pytest.raises(Unavailable, match="pg_restore failed"):
        dump.scan(tools, [archive[:-300]], NOW)


@on_postgresql
def test_an_archive_is_loaded_whole_or_not_at_all_and_is_no_database_until_its_revision_stands(
    postgresql: Store,
) -> None:
    rows_of_every_state(postgresql)
    tools = dump.programs(postgresql)
    archive = b"".join(dump.dump(tools))
    with postgresql.write() as connection:
        clinic = build_clinic(connection)
        build_client(connection, clinic, "kim")
    with pytest.raises(Unavailable, match="nothing was changed"):
        dump.load(tools, [archive[:-300]])

    def breaks_off() -> Any:
        yield archive[:-300]
        raise OSError(5, "the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        dump.load(tools, breaks_off())
    assert backup.contents(postgresql, NOW).clients == 2
    dump.load(tools, [archive])
    url = postgresql.url.render_as_string(hide_password=False)
    assert backup.look(url).revision is None, "a worker would refuse it"
    assert backup.contents(postgresql, NOW) == Contents(1, 13, 6)
    with postgresql.write() as connection:
        dump.write_revision(connection, "first_tables")
        row_id = build_email(connection, build_clinic(connection), build_client(connection, build_clinic(connection)))
        assert row_id == 14, "ids go on where they were"
    assert backup.look(url).revision == "first_tables"


@on_postgresql
def test_nobody_restores_while_others_are_connected(postgresql: Store) -> None:
    dump.require_alone(postgresql)
    other = sa.create_engine(postgresql.url)
    with other.connect() as connection:
        connection.execute(sa.text("SELECT 1"))
        with pytest.raises(NotAllowed, match="1 other connection"):
            dump.require_alone(postgresql)
    other.dispose()


@on_postgresql
def test_passwords_stay_out_of_the_arguments(postgresql: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    url = postgresql.url.set(password="hush hush").render_as_string(hide_password=False)
    with_password = Store(url)
    tools = dump.programs(with_password)
    with_password.close()
    assert tools.secrets == {"PGPASSWORD": "hush hush"}
    assert "hush" not in tools.dsn
