"""What the desk saves in one go: nothing twice, nothing unseen, and back within three minutes."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions import desk
from service.actions.calls import reopen
from service.actions.desk import Page, Saved
from service.actions.foresee import Given, foresee
from service.actions.register import NewClient
from service.domain.reminder import State
from service.errors import BadInput, NotAllowed, NotFound
from service.store import clients
from service.store.engine import Store
from service.store.tables import Kind, audit, calls, emails
from service.store.tables import clients as people
from tests.support.scripted_relay import Reply, ScriptedRelay, recipients
from tests.support.world import SMP, World, another_clinic, at, make_world

FRIDAY = "2026-11-20 16:40"
KARIM = NewClient("Karim Haddad", "karim@example.com", "020 7946 0001", consent_words=1)
NONCE = "n" * 22


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def given_for(world: World, client: NewClient = KARIM, on: str = "2026-11-20", client_id: int = 0) -> Given:
    protocol = world.service.catalogue.protocols[SMP]
    return Given(protocol, date.fromisoformat(on), client_id, client.name, client.email, client.consent_words)


def save(
    world: World, client: NewClient = KARIM, on: str = "2026-11-20", now: str = FRIDAY, nonce: str = NONCE
) -> Saved:
    what = given_for(world, client, on)
    with world.store.write() as connection:
        looked_at = foresee(connection, world.clinic, what, at(now)).digest
        saved = desk.register_visit(connection, world.clinic, Page(what, looked_at, nonce), client, world.who(now))
    assert saved is not None
    return saved


def counted(world: World) -> tuple[int, int]:
    """(clients, e-mails)"""
    with world.store.read() as connection:
        clients_now, emails_now = (
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in (people, emails)
        )
    return clients_now, emails_now


def deeds(world: World) -> list[str]:
    with world.store.read() as connection:
        lines = connection.execute(
            sa.select(audit.c.action).where(audit.c.actor == "test", audit.c.at >= at("2026-11-20 00:00"))
        )
        return list(lines.scalars())


def hellos(world: World) -> list[str]:
    return [row.state for row in world.rows(emails.c.kind == Kind.HELLO)]


def test_client_treatment_plan_and_hello_are_saved_together(world: World) -> None:
    saved = save(world)
    assert (saved.created, counted(world)) == (True, (1, 4))
    with world.store.read() as connection:
        client = clients.get(connection, world.clinic.id, saved.client_id)
    assert (client["consent_on"], client["consent_by"], client["consent_words"]) == (date(2026, 11, 20), "test", 1)


def test_the_same_page_saved_again_leads_to_the_same_whatever_was_changed_on_it(world: World) -> None:
    first = save(world)
    assert save(world) == replace(first, created=False)
    assert save(world, replace(KARIM, name="Karim Hadad")) == replace(first, created=False)
    assert counted(world) == (1, 4)


def test_the_same_visit_from_another_page_adds_nothing(world: World) -> None:
    first = save(world)
    assert save(world, nonce="m" * 22) == replace(first, created=False)
    assert counted(world) == (1, 4)


def test_an_invented_nonce_is_nobodys(world: World) -> None:
    save(world, nonce="x")
    assert save(world, replace(KARIM, name="Ada Lane"), nonce="x").created
    assert counted(world)[0] == 2


def test_a_nonce_of_another_clinic_leads_nowhere(world: World) -> None:
    save(world)
    assert save(another_clinic(world, name="Southgate")).created


def test_nothing_is_saved_that_nobody_has_looked_at(world: World) -> None:
    what = given_for(world)
    with world.store.write() as connection:
        page = Page(what, "0" * 32, NONCE)
        assert desk.register_visit(connection, world.clinic, page, KARIM, world.who(FRIDAY)) is None
        late = Page(what, foresee(connection, world.clinic, what, at(FRIDAY)).digest, NONCE)
        too_late = world.who("2026-11-22 12:30")
        assert desk.register_visit(connection, world.clinic, late, KARIM, too_late) is None
    assert counted(world) == (0, 0)


def test_a_known_person_gets_one_more_treatment_and_keeps_what_is_stored(world: World) -> None:
    first = save(world, on="2026-11-13", now="2026-11-13 16:00")
    second = save(world, replace(KARIM, phone="999 999"), nonce="m" * 22)
    assert (second.client_id, counted(world)) == (first.client_id, (1, 7))
    with world.store.read() as connection:
        assert clients.get(connection, world.clinic.id, first.client_id)["phone"] == "020 7946 0001"


def test_who_had_said_no_and_agrees_now_is_written_to(world: World) -> None:
    client_id = world.client("Karim Haddad", "karim@example.com", consent=False)
    save(world)
    with world.store.read() as connection:
        client = clients.get(connection, world.clinic.id, client_id)
    assert (client["state"], client["consent_words"]) == ("active", 1)
    assert hellos(world) == ["planned"]
    assert "client agreed" in deeds(world)


def test_one_hello_an_address_that_took_it(world: World) -> None:
    save(world)
    with ScriptedRelay() as relay:
        world.tick(relay, FRIDAY)
    save(world, replace(KARIM, name="Kim Haddad"), nonce="m" * 22)
    save(world, on="2026-11-19", nonce="o" * 22)
    assert hellos(world) == ["sent"]


def test_a_hello_that_is_still_under_way_is_not_said_twice(world: World) -> None:
    save(world)
    save(world, on="2026-11-19", nonce="m" * 22)
    assert hellos(world) == ["planned"]


def test_a_dead_address_is_mended_and_everything_is_planned_for_the_new_one(world: World) -> None:
    saved = save(world)
    with ScriptedRelay(recipients({KARIM.email: Reply(550, "5.1.1 no such user")})) as relay:
        world.tick(relay, FRIDAY)
    assert hellos(world) == ["failed"]
    assert {row.state for row in world.rows(emails.c.kind == Kind.REMINDER)} == {"cancelled"}
    with world.store.write() as connection:
        desk.mend_address(connection, world.clinic, saved.client_id, "karim.h@example.com", world.who(FRIDAY))
    live = world.rows(emails.c.state == State.PLANNED)
    assert [row.kind for row in live] == ["hello", "reminder", "reminder", "reminder"]


@pytest.mark.parametrize("address", ["karim@example.com", "KARIM@EXAMPLE.COM", "nonsense", ""])
def test_the_address_that_failed_is_not_taken_again(world: World, address: str) -> None:
    saved = save(world)
    with world.store.write() as connection, pytest.raises(BadInput):
        desk.mend_address(connection, world.clinic, saved.client_id, address, world.who(FRIDAY))


def undo(world: World, saved: Saved, now: str = "2026-11-20 16:42") -> None:
    protocol = world.service.catalogue.protocols[SMP]
    with world.store.write() as connection:
        desk.undo(connection, world.clinic, saved.treatment_id, protocol, world.who(now))


def test_undo_leaves_no_mail_no_name_and_one_line_in_the_audit(world: World) -> None:
    saved = save(world)
    before = deeds(world)
    undo(world, saved)
    undo(world, saved)
    assert {row.state for row in world.rows()} == {"cancelled"}
    assert deeds(world)[len(before) :] == ["registration undone"]
    with world.store.read() as connection:
        assert clients.get(connection, world.clinic.id, saved.client_id)["state"] == "erased"
    assert save(world).client_id != saved.client_id


def test_undo_of_a_second_visit_gives_back_what_it_had_replaced(world: World) -> None:
    first = save(world, on="2026-11-13", now="2026-11-13 16:00")
    second = save(world, nonce="m" * 22)
    before = deeds(world)
    undo(world, second)
    assert deeds(world)[len(before) :] == ["treatment cancelled"]
    live = world.rows(emails.c.state == State.PLANNED, emails.c.kind == Kind.REMINDER)
    assert [(row.treatment_id, row.day) for row in live] == [(first.treatment_id, 10)]
    with world.store.read() as connection:
        assert clients.get(connection, world.clinic.id, first.client_id)["state"] == "active"


def test_undo_of_one_of_two_fresh_visits_keeps_the_client(world: World) -> None:
    first, second = save(world), save(world, on="2026-11-19", nonce="m" * 22)
    undo(world, second)
    with world.store.read() as connection:
        assert clients.get(connection, world.clinic.id, first.client_id)["state"] == "active"
    undo(world, first)
    with world.store.read() as connection:
        assert clients.get(connection, world.clinic.id, first.client_id)["state"] == "erased"


def test_undo_of_a_visit_keeps_a_client_whom_somebody_else_added_at_that_very_moment(world: World) -> None:
    client_id = world.client(KARIM.name, KARIM.email, now=FRIDAY)
    saved = save(world)
    assert saved.client_id == client_id
    undo(world, saved)
    with world.store.read() as connection:
        client = clients.get(connection, world.clinic.id, client_id)
    assert (client["name"], client["state"]) == (KARIM.name, "active")
    assert {row.state for row in world.rows(emails.c.treatment_id == saved.treatment_id)} == {"cancelled"}


def test_undo_settles_the_call_about_a_visit_that_was_not_and_says_why(world: World) -> None:
    saved = save(world, on="2026-11-17")
    undo(world, saved)
    with world.store.read() as connection:
        row = connection.execute(sa.select(calls)).one()
    assert (row.state, row.outcome, row.closed_by, row.closed_at) == (
        "closed",
        "undone",
        "test",
        at("2026-11-20 16:42"),
    )
    with world.store.write() as connection, pytest.raises(NotAllowed, match="registration was undone"):
        reopen(connection, world.clinic, row.id, world.who("2026-11-20 16:43"))


@pytest.mark.parametrize("now", ["2026-11-20 16:43:01", "2026-11-21 16:40"])
def test_after_three_minutes_it_is_over(world: World, now: str) -> None:
    saved = save(world)
    with pytest.raises(NotAllowed, match="three minutes"):
        undo(world, saved, now)


def test_what_has_gone_out_is_not_undone(world: World) -> None:
    saved = save(world, on="2026-11-19")
    with ScriptedRelay() as relay:
        world.tick(relay, FRIDAY)
    assert "sent" in [row.state for row in world.rows(emails.c.kind == Kind.REMINDER)]
    with pytest.raises(NotAllowed, match="gone out"):
        undo(world, saved)


def test_a_hello_that_has_gone_out_is_no_reason_against_undo(world: World) -> None:
    saved = save(world)
    with ScriptedRelay() as relay:
        world.tick(relay, FRIDAY)
    undo(world, saved)
    assert {row.state for row in world.rows(emails.c.kind == Kind.REMINDER)} == {"cancelled"}


def test_another_clinic_can_neither_undo_nor_mend(world: World) -> None:
    saved = save(world)
    other = another_clinic(world, name="Southgate")
    with pytest.raises(NotFound):
        undo(other, saved)
    with world.store.write() as connection, pytest.raises(NotFound):
        desk.mend_address(connection, other.clinic, saved.client_id, "a@example.com", world.who(FRIDAY))
