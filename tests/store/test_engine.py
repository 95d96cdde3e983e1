from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.errors import BadConfiguration, Unavailable
from service.store import clients
from service.store.connecting import take_time
from service.store.engine import Store, database_clock, make_private
from service.store.tables import clinics
from tests.support.builders import at, build_client, build_clinic


def names(connection: sa.Connection) -> list[str]:
    return list(connection.execute(sa.select(clinics.c.name).order_by(clinics.c.id)).scalars())


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (datetime(2026, 11, 20, 16, 0, tzinfo=UTC), "2026-11-20T16:00:00+00:00"),
        (datetime(2026, 11, 20, 16, 0, 0, 123456, tzinfo=UTC), "2026-11-20T16:00:00.123456+00:00"),
        (datetime(2026, 11, 20, 16, 0, tzinfo=timezone(timedelta(hours=5, minutes=45))), "2026-11-20T10:15:00+00:00"),
    ],
)
def test_an_instant_comes_back_as_the_same_instant_in_utc(store: Store, said: datetime, meant: str) -> None:
    with store.write() as connection:
        added = sa.insert(clinics).values(name="a", timezone="Europe/London", created_at=said)
        connection.execute(added)
        assert connection.execute(sa.select(clinics.c.created_at)).scalar_one().isoformat() == meant


def test_an_instant_without_a_zone_is_refused(store: Store) -> None:
    naive = datetime(2026, 11, 20, 16, 0)  # noqa: DTZ001 - what is refused
    with store.write() as connection, pytest.raises(sa.exc.StatementError, match="without a zone"):
        connection.execute(sa.insert(clinics).values(name="a", timezone="Europe/London", created_at=naive))


def test_instants_sort_by_time_whatever_their_fractions(store: Store) -> None:
    moments = [at("2026-11-20 16:00") + timedelta(microseconds=n) for n in (999_999, 0, 1, 10, 100_000)]
    with store.write() as connection:
        for moment in moments:
            connection.execute(sa.insert(clinics).values(name="a", timezone="Europe/London", created_at=moment))
        found = connection.execute(sa.select(clinics.c.created_at).order_by(clinics.c.created_at)).scalars().all()
    assert found == sorted(moments)


def test_what_a_writing_block_did_stays_and_what_a_failed_one_did_goes(store: Store) -> None:
    with store.write() as connection:
        build_clinic(connection, name="kept")
    with pytest.raises(ZeroDivisionError), store.write() as connection:
        _ = build_clinic(connection, name="lost").id / 0
    with store.read() as connection:
        assert names(connection) == ["kept"]


def test_the_databases_clock_moves_by_seconds_and_is_an_instant(store: Store) -> None:
    with store.read() as connection:
        earlier, now, later = connection.execute(
            sa.select(database_clock(-60), database_clock(), database_clock(90))
        ).one()
    assert now.tzinfo is UTC
    assert timedelta(seconds=59) < now - earlier < timedelta(seconds=61)
    assert timedelta(seconds=89) < later - now < timedelta(seconds=91)
    assert store.now() >= now


def test_async_code_gets_whole_transactions_and_what_they_raise(store: Store) -> None:
    def add(connection: sa.Connection, name: str, *, fail: bool = False) -> str:
        build_clinic(connection, name=name)
        if fail:
            raise ZeroDivisionError
        return threading.current_thread().name

    async def both() -> str:
        done = await store.in_thread(add, "kept")
        with pytest.raises(ZeroDivisionError):
            await store.in_thread(add, "lost", fail=True)
        return done

    assert asyncio.run(both()).startswith("store")
    with store.read() as connection:
        assert names(connection) == ["kept"]


def thread_of(connection: sa.Connection, name: str, *, fail: bool = False) -> str:
    build_clinic(connection, name=name)
    if fail:
        raise ZeroDivisionError
    return threading.current_thread().name


def test_a_brief_transaction_of_sqlite_changes_no_thread(store: Store) -> None:
    async def both() -> str:
        done = await store.in_brief(thread_of, "kept")
        with pytest.raises(ZeroDivisionError):
            await store.in_brief(thread_of, "lost", fail=True)
        return done

    assert asyncio.run(both()).startswith("store") is not store.is_sqlite
    with store.read() as connection:
        assert names(connection) == ["kept"]


def test_the_event_loop_waits_for_no_other_writer(store: Store) -> None:
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with store.write() as connection:
            build_clinic(connection, name="a")
            held.set()
            assert go_on.wait(5)

    async def meanwhile() -> str:
        waiting = asyncio.create_task(store.in_brief(thread_of, "b"))
        await asyncio.sleep(0)
        go_on.set()
        return await waiting

    with ThreadPoolExecutor(1) as other:
        holding = other.submit(hold)
        held.wait(5)
        assert asyncio.run(meanwhile()).startswith("store")
        holding.result()
    with store.read() as connection:
        assert sorted(names(connection)) == ["a", "b"]


def test_a_slow_disk_sends_the_next_transaction_to_the_thread(store: Store) -> None:
    slow = Store(store.url.render_as_string(hide_password=False), brief=0.0)

    async def twice() -> list[str]:
        return [await slow.in_brief(thread_of, name) for name in ("a", "b")]

    assert asyncio.run(twice())[1].startswith("store")
    slow.close()


def test_four_threads_that_read_and_write_forty_times_each_lose_no_update(store: Store) -> None:
    with store.write() as connection:
        clinic = build_clinic(connection)
        client_id = build_client(connection, clinic, phone="0")

    def forty_times() -> None:
        for _ in range(40):
            with store.write() as connection:
                count = int(clients.get(connection, clinic.id, client_id, lock=True)["phone"])
                clients.change(connection, client_id, {"phone": str(count + 1)})

    with ThreadPoolExecutor(4) as threads:
        for running in [threads.submit(forty_times) for _ in range(4)]:
            running.result()
    with store.read() as connection:
        assert clients.get(connection, clinic.id, client_id)["phone"] == "160"


def test_a_reader_is_not_kept_waiting_by_a_writer_and_sees_only_what_is_committed(store: Store) -> None:
    with store.write() as writing:
        build_clinic(writing)
        with store.read() as reading:
            assert names(reading) == []
    with store.read() as reading:
        assert names(reading) == ["Northgate"]


def test_a_row_that_points_nowhere_is_refused(store: Store) -> None:
    with store.write() as connection:
        clinic = build_clinic(connection)
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        build_client(connection, clinic, clinic_id=clinic.id + 1)


def test_sqlite_is_opened_so_that_power_loss_and_threads_do_no_harm(sqlite_template: Path) -> None:
    store = Store(f"sqlite:///{sqlite_template}")
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10000}
    for transaction in (store.read, store.write):
        with transaction() as connection:
            found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted}
        assert found == wanted
    store.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    with pytest.raises(BadConfiguration, match="would forget every reminder"):
        Store(url)


def test_a_database_this_program_does_not_know_is_refused() -> None:
    with pytest.raises(BadConfiguration, match="mysql is not a database"):
        Store("mysql://localhost/aftercare")


def test_a_file_that_cannot_be_opened_says_what_to_do(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")
    with pytest.raises(Unavailable, match="did not answer") as trouble, store.read():
        pass
    assert trouble.value.next_step is not None
    store.close()


def test_the_password_of_the_database_is_never_said(tmp_path: Path) -> None:
    store = Store(f"postgresql+psycopg://sam:swordfish@/none?host={tmp_path}")
    with pytest.raises(Unavailable) as trouble, store.read():
        pass
    assert "swordfish" not in str(trouble.value)
    store.close()


def test_a_server_that_has_become_read_only_is_trouble_not_a_bug(postgres_template: sa.URL) -> None:
    store = Store(postgres_template.render_as_string(hide_password=False))

    def write_after_a_failover() -> None:
        with store.write() as connection:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            build_clinic(connection)

    with pytest.raises(Unavailable, match="read-only transaction"):
        write_after_a_failover()
    store.close()


def test_a_postgresql_that_hangs_on_a_lock_is_trouble_and_nobody_waits_for_ever(postgres_template: sa.URL) -> None:
    store = Store(postgres_template.render_as_string(hide_password=False))
    patience = {"statement_timeout": "30s", "lock_timeout": "15s", "idle_in_transaction_session_timeout": "30s"}
    with store.read() as connection:
        assert {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in patience} == patience

    def ask(hurry: str) -> None:
        with store.read() as connection:
            connection.exec_driver_sql(f"SET LOCAL {hurry} = '20ms'")
            names(connection)

    with store.write() as blocking:
        blocking.exec_driver_sql("LOCK TABLE clinics IN ACCESS EXCLUSIVE MODE")
        for hurry in ("statement_timeout", "lock_timeout"):
            with pytest.raises(Unavailable, match="took too long"):
                ask(hurry)
    store.close()


def test_what_takes_minutes_has_its_own_time_and_only_in_its_own_transaction(postgres_template: sa.URL) -> None:
    store = Store(postgres_template.render_as_string(hide_password=False))
    with store.write() as connection:
        take_time(connection)
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "1h"
    with store.read() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar_one() == "30s"
    store.close()


def test_a_private_folder_is_open_to_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "deep"
    make_private(folder)
    make_private(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear Sam, this is not a database at all, but it is long enough to be looked at.\n" * 20)
    store = Store(f"sqlite:///{path}")
    with pytest.raises(Unavailable, match="is not a database"), store.read() as connection:
        connection.execute(sa.text("SELECT 1 FROM sqlite_master"))
    store.close()
