"""Finding clients: by beginnings in every script, by address, phone and day; never an erased one or another clinic's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import revise
from service.actions.csv_rows import CsvOptions, read_rows
from service.actions.importing import ImportJob, import_file
from service.domain.finding import found_by, read_sought
from service.store import search
from service.store.engine import Store
from service.store.tables import client_words, clients
from tests.support.world import World, another_clinic, at, make_world

NOW = at("2026-11-20 16:00")
TODAY = date(2026, 11, 20)


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def found(world: World, typed: str) -> list[str]:
    with world.store.read() as connection:
        answer = search.find(connection, world.clinic.id, read_sought(typed, TODAY), NOW)
    return [one.name for one in answer.people]


def change(world: World, client_id: int, **given: str) -> None:
    with world.store.write() as connection:
        revise.change_client(connection, world.clinic, client_id, given, world.who("2026-11-20 17:00"))


def words_kept(world: World) -> dict[int, set[str]]:
    kept: dict[int, set[str]] = {}
    with world.store.read() as connection:
        for row in connection.execute(sa.select(client_words)):
            kept.setdefault(row.client_id, set()).add(row.word)
    return kept


def words_due(world: World) -> dict[int, set[str]]:
    with world.store.read() as connection:
        rows = connection.execute(sa.select(clients).where(clients.c.erased_at.is_(None))).all()
    return {row.id: set(found_by(row.name, row.phone)) for row in rows}


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("Sam Reed", "ree sa"),
        ("Sam Reed", "REED"),
        ("Zoë O’Neill", "zoe one"),
        ("Zoë O’Neill", "o'neill"),
        ("Jürgen Groß", "gross jurg"),
        ("Anne-Marie Lee", "marie"),
        ("Łukasz Żak", "zak luk"),
        ("Nguyễn Thị Ánh", "anh nguyen"),
        ("Γιώργος Παπαδόπουλος", "παπαδ γιω"),
        ("Андрей Иванов", "ИВА анд"),
        ("محمد أحمد", "احم"),
        ("שָׁרָה כהן", "שרה"),
        ("王小明", "王小"),
        ("王小明", "小明"),
        ("田中さくら", "さく"),
        ("김민수", "민수"),
        ("สมชาย ใจดี", "ใจ"),
        ("सुनील कुमार", "कुमा"),
        ("გიორგი მელაძე", "მელ"),
        ("Արամ Խաչատրյան", "խաչ"),
    ],
)
def test_beginnings_of_words_find_a_name_in_any_order_and_script(world: World, name: str, typed: str) -> None:
    world.client(name, "one@example.com")
    world.client("Somebody Else", "else@example.com")
    assert found(world, typed) == [name]


def test_whole_words_come_first_then_names_by_the_alphabet(world: World) -> None:
    for number, name in enumerate(("Samuel Ash", "Zed Sam", "Samira Ash", "Abe Sam", "Sam Sam")):
        world.client(name, f"c{number}@example.org")
    assert found(world, "sam") == ["Abe Sam", "Sam Sam", "Zed Sam", "Samira Ash", "Samuel Ash"]


def test_all_the_beginnings_are_wanted(world: World) -> None:
    world.client("Sam Reed", "a@example.com")
    world.client("Sam Lee", "b@example.com")
    assert found(world, "sam ree") == ["Sam Reed"]
    assert found(world, "sam xyz") == []
    assert found(world, "am") == []
    assert found(world, "%") == []
    assert found(world, "_am") == []


@pytest.mark.parametrize("typed", ["Sam.Reed@example.com", "sam.reed@exa", "sam.r"])
def test_an_address_is_found_by_its_beginning(world: World, typed: str) -> None:
    world.client("Karim Haddad", "sam.reed@example.com")
    world.client("Lou Day", "sam-reed@example.com")
    assert found(world, typed) == ["Karim Haddad"]


@pytest.mark.parametrize(
    "typed", ["01632 960001", "01632960001", "(01632) 960-001", "+44 1632 960001", "0163", "960001", "001"]
)
def test_a_phone_number_is_found_however_it_is_written_and_by_its_last_digits(world: World, typed: str) -> None:
    world.client("Sam Reed", "a@example.com", phone="01632 960 001")
    world.client("Lou Day", "b@example.com", phone="01999 960 002 ext 001")
    expected = ["Sam Reed"]
    assert found(world, typed) == expected


def test_a_day_finds_who_was_treated_then_and_not_cancelled(world: World) -> None:
    for number, (name, on) in enumerate((("Zed Ash", "2026-11-19"), ("Abe Ash", "2026-11-19"), ("Lou", "2026-11-18"))):
        world.treat(world.client(name, f"c{number}@example.com"), on)
    gone = world.treat(world.client("Kim", "kim@example.com"), "2026-11-19")
    with world.store.write() as connection:
        protocol = world.service.catalogue.protocols["scalp-micropigmentation"]
        revise.cancel_treatment(connection, world.clinic, gone.treatment_id, protocol, world.who("2026-11-20 17:00"))
    assert found(world, "2026-11-19") == ["Abe Ash", "Zed Ash"]
    assert found(world, "19.11.") == ["Abe Ash", "Zed Ash"]
    assert found(world, "19 nov") == ["Abe Ash", "Zed Ash"]
    assert found(world, "17.11.") == []


def test_an_erased_client_is_never_found_again(world: World) -> None:
    client_id = world.client("Sam Reed", phone="01632 960 001")
    world.treat(client_id, "2026-11-20")
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, client_id, world.who("2026-11-20 17:00"))
    for typed in ("sam", "reed", "sam@example.com", "01632", "001", "erased", "2026-11-20"):
        assert found(world, typed) == [], typed
    with world.store.read() as connection:
        assert search.lately(connection, world.clinic.id, NOW).people == []
    assert words_kept(world) == {}


def test_another_clinics_clients_are_never_found(world: World) -> None:
    other = another_clinic(world, name="Southgate Clinic")
    other.treat(other.client("Sam Reed", phone="01632 960 001"), "2026-11-20")
    for typed in ("sam", "sam reed", "sam@example.com", "01632", "2026-11-20"):
        assert found(world, typed) == [], typed
        assert found(other, typed) == ["Sam Reed"], typed


def test_words_follow_a_new_name_and_a_new_number(world: World) -> None:
    client_id = world.client("Sam Reed", phone="01632 960 001")
    change(world, client_id, name="Sam O'Neill", phone="01632 960 999")
    assert (found(world, "reed"), found(world, "001")) == ([], [])
    assert found(world, "neill sam") == found(world, "999") == ["Sam O'Neill"]
    change(world, client_id, phone="")
    assert found(world, "999") == []
    assert words_kept(world) == words_due(world)


def test_imported_clients_are_found_like_any_other(world: World, tmp_path: Path) -> None:
    file = tmp_path / "clients.csv"
    file.write_text(
        "name,email,phone,treatment,treatment_date\n"
        "Zoë Reed,zoe@example.com,01632 960 001,scalp-micropigmentation,2026-11-20\n"
        "王小明,wang@example.com,,scalp-micropigmentation,2026-11-20\n",
        encoding="utf-8",
    )
    protocols = world.service.catalogue.protocols
    options = CsvOptions(TODAY, {key: one.title for key, one in protocols.items()}, None, None, None)
    import_file(
        world.store, read_rows(file, options), ImportJob(world.clinic, protocols, world.who("2026-11-20 16:00"))
    )
    assert found(world, "ree zo") == found(world, "001") == ["Zoë Reed"]
    assert found(world, "小明") == ["王小明"]
    assert words_kept(world) == words_due(world)


def test_one_letter_is_answered_with_the_first_and_says_that_there_are_more(world: World) -> None:
    for number in range(30):
        world.client(f"Sam{number:02} Reed", f"c{number}@example.com")
    with world.store.read() as connection:
        answer = search.find(connection, world.clinic.id, read_sought("s", TODAY), NOW)
    assert (len(answer.people), answer.more) == (search.SHOWN, True)
    assert answer.people[0].name == "Sam00 Reed"


def test_where_not_everybody_could_be_looked_at_it_says_that_there_may_be_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        world.client(f"Sam Reed{number}", f"c{number}@example.com")
    monkeypatch.setattr(search, "SCANNED", 3)
    with world.store.read() as connection:
        answer = search.find(connection, world.clinic.id, read_sought("sam ree", TODAY), NOW)
    assert (len(answer.people), answer.more) == (3, True)


def test_a_line_says_the_last_treatment_and_the_next_email(world: World) -> None:
    client_id = world.client("Sam Reed")
    world.treat(client_id, "2026-11-18")
    world.treat(client_id, "2026-11-20")
    with world.store.read() as connection:
        one = search.find(connection, world.clinic.id, read_sought("sam", TODAY), NOW).people[0]
    assert (one.treated_on, one.state, one.next_at) == (date(2026, 11, 20), "active", at("2026-11-21 10:00"))


def index_steps(connection: sa.Connection, work: Callable[[], Any]) -> list[str]:
    """The plan of each statement of `work`, as text."""
    asked: list[tuple[str, Any]] = []

    def listen(_: object, __: object, statement: str, parameters: Any, ___: object, ____: object) -> None:
        asked.append((statement, parameters))

    sa.event.listen(connection, "before_cursor_execute", listen)
    work()
    sa.event.remove(connection, "before_cursor_execute", listen)
    how = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    plans = []
    for statement, parameters in asked:
        rows = connection.exec_driver_sql(f"{how} {statement}", parameters).all()
        plans.append("\n".join(str(row[-1]) for row in rows))
    return plans


@pytest.mark.parametrize("typed", ["s", "sa re", "sam@exa", "001", "2026-11-20"])
def test_every_question_is_a_stretch_of_an_index(world: World, typed: str) -> None:
    world.client("Sam Reed", phone="01632 960 001")
    with world.store.write() as connection:
        if connection.dialect.name == "postgresql":
            # A table of one row is read whole, however good its indexes are.
            connection.execute(sa.text("SET LOCAL enable_seqscan = off"))
            connection.execute(sa.text("SET LOCAL enable_bitmapscan = off"))

        def ask() -> None:
            search.find(connection, world.clinic.id, read_sought(typed, TODAY), NOW)

        for plan in index_steps(connection, ask):
            assert "Seq Scan on" not in plan
            assert not any(f"SCAN {table}" in plan for table in ("clients", "client_words", "treatments", "emails"))
