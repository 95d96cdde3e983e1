"""What a reader says through a link: it counts once, ends what it should, and becomes a call."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from service.actions import calls as call_list
from service.actions import revise, suppressing
from service.actions.answer import (
    NOT_ME,
    NOT_THEM,
    STOP,
    clinic_of,
    link_of,
    not_me,
    read_link,
    stop_by_link,
    write_link,
)
from service.domain.reminder import State
from service.errors import NotFound
from service.mail.signing import Signer, new_key
from service.store import audit
from service.store.calls import CALL_WITHIN
from service.store.engine import Store
from service.store.tables import audit as audit_lines
from service.store.tables import calls, emails, metadata, suppressions
from tests.support.builders import wait_until_somebody_waits
from tests.support.world import World, another_clinic, at, make_world

NOW = "2026-11-21 12:00"
SIGNER = Signer([new_key()])


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def stop(world: World, client_id: int, now: str = NOW) -> None:
    with world.store.write() as connection:
        stop_by_link(connection, client_id, clinic_of(connection, client_id).id, at(now))


def say_not_me(world: World, client_id: int, address: str = "sam@example.com", now: str = NOW) -> None:
    with world.store.write() as connection:
        not_me(connection, link_of(client_id, address), clinic_of(connection, client_id).id, at(now))


def reasons(world: World) -> list[tuple[int, str]]:
    with world.store.read() as connection:
        query = sa.select(calls.c.client_id, calls.c.reason).order_by(calls.c.id)
        return [(row.client_id, row.reason) for row in connection.execute(query)]


def everything(world: World) -> dict[str, list[Any]]:
    with world.store.read() as connection:
        return {table.name: sorted(connection.execute(sa.select(table)), key=str) for table in metadata.sorted_tables}


def deeds(world: World) -> list[tuple[str, str]]:
    with world.store.read() as connection:
        assert audit.broken_links(connection, world.clinic.id) == []
        query = sa.select(audit_lines.c.actor, audit_lines.c.action).order_by(audit_lines.c.id)
        return [(row.actor, row.action) for row in connection.execute(query) if row.actor == "client"]


# --- stop


def test_a_stop_ends_what_is_open_opens_one_call_with_a_deadline_and_names_the_client_as_actor(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    stop(world, client)
    assert set(world.states().values()) == {"cancelled: stopped"}
    assert reasons(world) == [(client, "stopped")]
    with world.store.read() as connection:
        assert connection.execute(sa.select(calls.c.due_at)).scalar_one() == at(NOW) + CALL_WITHIN
    assert deeds(world) == [("client", "client stopped")]


def test_a_second_stop_changes_nothing_at_all(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    stop(world, client)
    before = everything(world)
    stop(world, client, "2026-11-22 12:00")
    assert everything(world) == before


def test_two_stops_at_once_are_one(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    both = [threading.Thread(target=stop, args=(world, client)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert reasons(world) == [(client, "stopped")]
    assert deeds(world) == [("client", "client stopped")]


def test_the_promised_call_comes_also_when_nothing_was_planned_any_more(world: World) -> None:
    client = world.client()
    for now in (NOW, "2026-11-22 12:00"):
        stop(world, client, now)
    assert reasons(world) == [(client, "stopped")]
    assert deeds(world) == [("client", "client stopped"), ("client", "call asked for")]


def test_the_promised_call_comes_also_after_a_stop_at_the_desk_that_asked_for_none(world: World) -> None:
    client = world.client()
    with world.store.write() as connection:
        revise.stop(connection, world.clinic, client, world.who(NOW))
    assert reasons(world) == []
    stop(world, client, "2026-11-22 12:00")
    assert reasons(world) == [(client, "stopped")]


def test_a_call_that_was_made_is_not_asked_for_again_until_a_new_stop(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    stop(world, client)
    with world.store.write() as connection:
        call_id = connection.execute(sa.select(calls.c.id)).scalar_one()
        call_list.close(connection, world.clinic, call_id, call_list.Closing("reached"), world.who("2026-11-21 13:00"))
    stop(world, client, "2026-11-22 12:00")
    assert len(reasons(world)) == 1
    with world.store.write() as connection:
        revise.unstop(connection, world.clinic, client, world.who("2026-11-23 09:00"))
    stop(world, client, "2026-11-23 12:00")
    assert len(reasons(world)) == 2


def test_a_stop_concerns_one_client_of_one_clinic(world: World) -> None:
    sam = world.client("Sam Reed", "family@example.com")
    ann = world.client("Ann Reed", "family@example.com")
    there = another_clinic(world, name="Elsewhere")
    same = there.client("Sam Reed", "family@example.com")
    for where, client in ((world, sam), (world, ann), (there, same)):
        where.treat(client, "2026-11-20")
    stop(world, sam)
    open_of = {row.client_id for row in world.rows(emails.c.state == State.PLANNED)}
    assert open_of == {ann, same}


@pytest.mark.parametrize("deed", [stop, say_not_me])
def test_an_erased_client_and_one_who_never_was_are_the_same_nobody(world: World, deed: Any) -> None:
    client = world.client()
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, client, world.who(NOW))
    before, said = everything(world), set()
    for nobody in (client, client + 1):
        with pytest.raises(NotFound) as refused:
            deed(world, nobody)
        said.add(str(refused.value))
    assert len(said) == 1
    assert everything(world) == before


def test_a_client_erased_at_the_same_moment_is_not_stopped_any_more(world: World) -> None:
    client = world.client()
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, client, world.who(NOW))
    before = everything(world)
    with world.store.write() as connection, pytest.raises(NotFound, match="names nobody"):
        stop_by_link(connection, client, world.clinic.id, at(NOW))
    assert everything(world) == before


# --- this is not me


def test_not_me_ends_everything_suppresses_the_address_and_opens_a_call(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    say_not_me(world, client)
    assert set(world.states().values()) == {"cancelled: suppressed"}
    assert reasons(world) == [(client, "wrong_person")]
    with world.store.read() as connection:
        row = connection.execute(sa.select(suppressions)).one()
    assert (row.email_folded, row.reason, row.created_at) == ("sam@example.com", NOT_THEM, at(NOW))
    assert deeds(world) == [("client", "not this person")]


def test_saying_it_again_changes_nothing_until_staff_have_lifted_it(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    say_not_me(world, client)
    before = everything(world)
    say_not_me(world, client, now="2026-11-22 12:00")
    assert everything(world) == before
    with world.store.write() as connection:
        known = connection.execute(sa.select(suppressions.c.id)).scalar_one()
        suppressing.lift(connection, world.clinic, known, "they do know us", world.who("2026-11-22 13:00"))
    say_not_me(world, client, now="2026-11-22 14:00")
    assert reasons(world) == [(client, "wrong_person")] * 2


def test_everybody_of_this_clinic_with_that_address_is_called_and_nobody_of_another(world: World) -> None:
    sam = world.client("Sam Reed", "family@example.com")
    ann = world.client("Ann Reed", "family@example.com")
    old = world.client("Old Reed", "family@example.com")
    there = another_clinic(world, name="Elsewhere")
    same = there.client("Sam Reed", "family@example.com")
    for where, client in ((world, sam), (world, ann), (there, same)):
        where.treat(client, "2026-11-20")
    say_not_me(world, sam, "family@example.com")
    assert reasons(world) == [(sam, "wrong_person"), (ann, "wrong_person")]
    assert {row.client_id for row in world.rows(emails.c.state == State.PLANNED)} == {same}
    say_not_me(world, old, "family@example.com")
    assert reasons(world)[2:] == [(old, "wrong_person")]


def test_two_who_share_an_address_may_both_say_it_at_once(world: World) -> None:
    sam = world.client("Sam Reed", "family@example.com")
    ann = world.client("Ann Reed", "family@example.com")
    for client in (sam, ann):
        world.treat(client, "2026-11-20")
    second = threading.Thread(target=say_not_me, args=(world, ann, "family@example.com"))
    with world.store.write() as connection:
        not_me(connection, link_of(sam, "family@example.com"), world.clinic.id, at(NOW))
        second.start()
        if not world.store.is_sqlite:
            with world.store.read() as watching:
                wait_until_somebody_waits(watching)
    second.join()
    assert reasons(world) == [(sam, "wrong_person"), (ann, "wrong_person")]


def test_a_dead_address_may_also_be_a_wrong_one(world: World) -> None:
    client = world.client()
    row = {"clinic_id": world.clinic.id, "email_folded": "sam@example.com", "reason": "dead"}
    with world.store.write() as connection:
        connection.execute(sa.insert(suppressions).values(**row, created_at=at("2026-11-21 10:00")))
    for _ in range(2):
        say_not_me(world, client)
    assert reasons(world) == [(client, "wrong_person")]
    with world.store.read() as connection:
        assert connection.execute(sa.select(suppressions.c.reason)).scalars().all() == ["dead"]


def test_the_right_address_gets_what_is_still_useful_and_the_wrong_reader_can_no_longer_end_it(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    say_not_me(world, client)
    with world.store.write() as connection:
        revise.change_client(connection, world.clinic, client, {"email": "right@example.com"}, world.who(NOW))
    planned = [row.step for row in world.rows(emails.c.state == State.PLANNED)]
    assert planned == ["day-01", "day-03", "day-10"]
    before = everything(world)
    say_not_me(world, client, "sam@example.com", now="2026-11-22 12:00")
    assert everything(world) == before


def test_a_stop_through_a_link_to_an_earlier_address_still_counts(world: World) -> None:
    client = world.client()
    world.treat(client, "2026-11-20")
    with world.store.write() as connection:
        revise.change_client(connection, world.clinic, client, {"email": "right@example.com"}, world.who(NOW))
    stop(world, client)
    assert set(world.states().values()) == {"cancelled: stopped"}


# --- links


@given(st.integers(1, 2**44 - 1), st.emails())
def test_a_link_comes_back_as_it_was_for_its_own_purpose_only(client_id: int, address: str) -> None:
    link = link_of(client_id, address)
    for purpose, other in ((STOP, NOT_ME), (NOT_ME, STOP)):
        token = write_link(SIGNER, purpose, link)
        assert len(token) == 40
        assert read_link(SIGNER, purpose, token) == link
        assert read_link(SIGNER, other, token) is None


def test_a_token_that_holds_something_else_names_nobody() -> None:
    for subject in ("7", "x" * 17, "0" * 16):
        assert read_link(SIGNER, STOP, SIGNER.token(STOP, subject)) is None
