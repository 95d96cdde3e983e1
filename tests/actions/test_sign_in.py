"""Signing in without a browser: how many tries, who is found, what is kept of a token, what the audit says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.actions import clinic_setup, sign_in, staffing, tries
from service.actions.sign_in import Session, Signed, Typed, account_of, digest
from service.errors import BadInput, NotAllowed, NotFound
from service.store import audit, staff
from service.store.audit import Sought
from service.store.engine import Store
from service.store.tables import metadata
from service.store.tables import staff as people
from tests.support.world import World, another_clinic, at, make_world

NOW = at("2026-11-20 12:00")
EMAIL, PASSWORD, ANOTHER = "lee@example.com", "violet anchor biscuit moon", "copper lantern quiet meadow"
HERE = "192.0.2.1"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    made = make_world(store, tmp_path)
    employ(made, EMAIL, "owner")
    return made


def employ(world: World, email: str, role: str = "reception", password: str = PASSWORD) -> int:
    with world.store.write() as connection:
        given = {"email": email, "name": "A Person", "role": role}
        staff_id, token = clinic_setup.invite(connection, world.clinic, given, world.who("2026-11-20 10:00"))
    sign_in.choose_password(world.store, token, password, at("2026-11-20 10:00"))
    return staff_id


def enter(world: World, email: str = EMAIL, password: str = PASSWORD, address: str = HERE) -> Session | None:
    return sign_in.sign_in(world.store, Typed(email, password, address), NOW)


def is_open(world: World, token: str) -> bool:
    with world.store.read() as connection:
        return staff.session(connection, digest(token), NOW) is not None


def me(world: World, session: Session) -> Signed:
    with world.store.read() as connection:
        row = staff.session(connection, digest(session.token), NOW)
    assert row is not None
    return Signed(row["clinic_id"], row["id"], row["session_id"], HERE, NOW)


def deeds(world: World) -> list[str]:
    with world.store.read() as connection:
        return [row["action"] for row in audit.search(connection, world.clinic.id, Sought(subject="staff 1"), 99)]


def test_the_address_is_found_in_any_case_and_with_spaces_around_it(world: World) -> None:
    assert enter(world, " Lee@EXAMPLE.com ") is not None
    assert enter(world, "lee@example.co") is None
    assert enter(world, "%") is None


def test_neither_token_nor_password_is_kept_anywhere(world: World) -> None:
    made = enter(world)
    assert made is not None
    with world.store.write() as connection:
        link = sign_in.make_link(connection, world.clinic.id, 1, world.who("2026-11-20 12:00"))
        rows = str([list(connection.execute(sa.select(table))) for table in metadata.sorted_tables])
    assert not any(secret in rows for secret in (made.token, link, PASSWORD, HERE))
    assert digest(made.token) in rows


def test_a_thousand_tries_at_one_account_check_ten_passwords(world: World) -> None:
    """From as many addresses as they like, and all at once."""
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda number: outcome(world, f"192.0.2.{number % 250}", number), range(60)))
    assert found.count("wrong") == tries.PER_ACCOUNT
    assert set(found) == {"wrong", "too many"}
    assert outcome(world, "203.0.113.1", -1, PASSWORD) == "too many"


def outcome(world: World, address: str, number: int, password: str = "", email: str = EMAIL) -> str:
    try:
        made = enter(world, email, password or f"guess {number}", address)
    except NotAllowed:
        return "too many"
    return "wrong" if made is None else "in"


def test_one_address_tries_ten_times_whatever_the_accounts(world: World) -> None:
    found = [outcome(world, HERE, number, email=f"nobody{number}@example.com") for number in range(12)]
    assert found == ["wrong"] * 10 + ["too many"] * 2
    assert outcome(world, HERE, 0, PASSWORD) == "too many"
    assert outcome(world, "192.0.2.2", 0, PASSWORD) == "in"


def test_the_whole_installation_has_a_limit_too(world: World) -> None:
    with world.store.write() as connection:
        for number in range(tries.IN_ALL):
            staff.note_try(connection, f"account {number}", f"address {number}", NOW)
    assert outcome(world, HERE, 0, PASSWORD) == "too many"


def test_getting_in_costs_no_try_and_what_went_wrong_still_counts(world: World) -> None:
    assert [outcome(world, HERE, 0, PASSWORD) for _ in range(12)] == ["in"] * 12
    assert [outcome(world, HERE, number) for number in range(9)] == ["wrong"] * 9
    assert outcome(world, HERE, 0, PASSWORD) == "in"
    assert [outcome(world, HERE, number) for number in range(2)] == ["wrong", "too many"]


def test_who_has_the_same_address_at_another_clinic_wins_no_tries_by_getting_in_there(world: World) -> None:
    employ(another_clinic(world, name="Southgate"), EMAIL, password=ANOTHER)
    found = []
    for number in range(4):
        found += [outcome(world, HERE, 3 * number + one) for one in range(3)]
        found.append(outcome(world, HERE, 0, ANOTHER))
    assert found.count("wrong") == tries.PER_ACCOUNT
    assert found[-1] == "too many"


def test_what_somebody_types_as_an_address_counts_for_nobodys_second_factor(world: World) -> None:
    with world.store.read() as connection:
        (person,) = staff.active_with(connection, EMAIL)
    assert account_of(f"code of staff {person['id']}") != f"code of staff {person['id']}"


def test_a_password_sealed_with_older_parameters_is_sealed_anew(world: World) -> None:
    from argon2 import PasswordHasher  # noqa: PLC0415

    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    with world.store.write() as connection:
        connection.execute(sa.update(people).values(password=old))
    assert enter(world) is not None
    with world.store.read() as connection:
        assert "m=19456,t=2" in staff.active_with(connection, EMAIL)[0]["password"]
    assert enter(world) is not None


def test_one_address_at_two_clinics_opens_the_one_whose_password_it_is(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    employ(other, EMAIL, password=ANOTHER)
    for password, clinic in ((PASSWORD, world.clinic.id), (ANOTHER, other.clinic.id)):
        made = enter(world, password=password)
        assert made is not None
        assert me(world, made).clinic_id == clinic


def test_of_two_who_open_one_link_at_once_one_gets_in(world: World) -> None:
    with world.store.write() as connection:
        token = sign_in.make_link(connection, world.clinic.id, 1, world.who("2026-11-20 12:00"))
    choices = (PASSWORD, ANOTHER)
    with ThreadPoolExecutor(2) as threads:
        made = list(threads.map(lambda chosen: sign_in.choose_password(world.store, token, chosen, NOW), choices))
    assert [one is None for one in made].count(True) == 1


def test_what_happens_to_an_account_stands_in_the_audit(world: World) -> None:
    made = enter(world)
    assert made is not None
    staffing.change_password(world.store, me(world, made), PASSWORD, ANOTHER)
    with world.store.write() as connection:
        row = staff.session(connection, digest(made.token), NOW)
        assert row is not None
        sign_in.sign_out(connection, row, NOW)
    assert deeds(world) == [
        "signed out",
        "password changed",
        "signed in",
        "signed in",
        "password chosen",
        "sign-in link made",
        "staff added",
    ]
    with world.store.read() as connection:
        assert audit.broken_links(connection, world.clinic.id) == []


# Who works here.


def test_a_clinic_keeps_an_owner(world: World) -> None:
    with pytest.raises(NotAllowed, match="only owner"), world.store.write() as connection:
        staffing.disable_staff(connection, world.clinic, 1, world.who("2026-11-20 12:00"))
    with pytest.raises(NotAllowed, match="only owner"), world.store.write() as connection:
        staffing.change_role(connection, world.clinic, 1, "clinician", world.who("2026-11-20 12:00"))
    second = employ(world, "bo@example.com", "owner")
    with world.store.write() as connection:
        staffing.disable_staff(connection, world.clinic, 1, world.who("2026-11-20 12:00"))
    with pytest.raises(NotAllowed), world.store.write() as connection:
        staffing.disable_staff(connection, world.clinic, second, world.who("2026-11-20 12:00"))


def test_of_two_owners_who_send_each_other_away_at_once_one_stays(world: World) -> None:
    second = employ(world, "bo@example.com", "owner")

    def send_away(staff_id: int) -> bool:
        try:
            with world.store.write() as connection:
                staffing.disable_staff(connection, world.clinic, staff_id, world.who("2026-11-20 12:00"))
        except NotAllowed:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(send_away, (1, second))) == [False, True]


def test_whoever_works_elsewhere_is_as_unknown_as_nobody(world: World) -> None:
    other = another_clinic(world, name="Southgate")
    foreign = employ(other, "bo@example.com", "owner")
    who = world.who("2026-11-20 12:00")
    said = []
    for staff_id in (foreign, 999):
        for act in (
            lambda connection, it: staffing.change_role(connection, world.clinic, it, "ops", who),
            lambda connection, it: staffing.enable_staff(connection, world.clinic, it, who),
            lambda connection, it: staffing.end_sessions(connection, world.clinic, it, who),
            lambda connection, it: staffing.disable_staff(connection, world.clinic, it, who),
            lambda connection, it: sign_in.make_link(connection, world.clinic.id, it, who),
        ):
            with pytest.raises(NotFound) as refused, world.store.write() as connection:
                act(connection, staff_id)
            said.append(str(refused.value.as_document()).replace(str(staff_id), "ID"))
    assert said[:5] == said[5:]


def test_a_role_is_one_of_those_there_are(world: World) -> None:
    with pytest.raises(BadInput, match="'king' is not a role"), world.store.write() as connection:
        staffing.change_role(connection, world.clinic, 1, "king", world.who("2026-11-20 12:00"))


def test_nobody_makes_a_link_for_who_is_disabled(world: World) -> None:
    second = employ(world, "bo@example.com")
    with world.store.write() as connection:
        staffing.disable_staff(connection, world.clinic, second, world.who("2026-11-20 12:00"))
    with pytest.raises(NotAllowed, match="disabled"), world.store.write() as connection:
        sign_in.make_link(connection, world.clinic.id, second, world.who("2026-11-20 12:00"))


def test_ending_somebodys_sessions_leaves_those_of_the_others(world: World) -> None:
    second = employ(world, "bo@example.com")
    own, theirs = enter(world), enter(world, "bo@example.com")
    assert own is not None
    assert theirs is not None
    with world.store.write() as connection:
        staffing.end_sessions(connection, world.clinic, second, world.who("2026-11-20 12:00"))
    assert (is_open(world, own.token), is_open(world, theirs.token)) == (True, False)


def test_the_password_can_be_changed_by_its_owner_until_the_tries_are_used_up(world: World) -> None:
    made = enter(world)
    assert made is not None
    mine = me(world, made)
    for number in range(10):
        with pytest.raises(BadInput) as refused:
            staffing.change_password(world.store, mine, f"guess {number}", ANOTHER)
        assert refused.value.field == "password_old"
    with pytest.raises(NotAllowed):
        staffing.change_password(world.store, mine, PASSWORD, ANOTHER)
    later = Signed(mine.clinic_id, mine.staff_id, mine.session, HERE, NOW + timedelta(minutes=6))
    staffing.change_password(world.store, later, PASSWORD, ANOTHER)
    assert outcome(world, HERE, 0, ANOTHER) == "in"
