from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from service.domain.reminder import State
from service.errors import BadInput, NotFound
from service.store import clients
from service.store.clinics import Clinic
from service.store.engine import Store
from service.store.tables import suppressions
from tests.support.builders import (
    DUE,
    build_client,
    build_clinic,
    build_email,
    build_treatment,
    wait_until_somebody_waits,
)


@pytest.fixture
def clinic(store: Store) -> Clinic:
    with store.write() as connection:
        return build_clinic(connection)


@pytest.fixture
def connection(store: Store, clinic: Clinic) -> Iterator[sa.Connection]:
    with store.write() as opened:
        yield opened


def suppress(connection: sa.Connection, clinic: Clinic, address: str, **fields: Any) -> None:
    row = {"clinic_id": clinic.id, "email_folded": address, "reason": "dead", "created_at": DUE}
    connection.execute(sa.insert(suppressions).values(row | fields))


def test_a_clients_one_word_is_the_gravest_thing_true(connection: sa.Connection, clinic: Clinic) -> None:
    client_id = build_client(connection, clinic)

    def state() -> str:
        return str(clients.get(connection, clinic.id, client_id)["state"])

    found = [state()]
    for change in ({"paused_at": DUE}, {"consent_on": None}):
        clients.change(connection, client_id, change)
        found.append(state())
    suppress(connection, clinic, "sam@example.com")
    found.append(state())
    for change in ({"stopped_at": DUE}, {"erased_at": DUE}):
        clients.change(connection, client_id, change)
        found.append(state())
    assert found == ["active", "paused", "no_consent", "suppressed", "stopped", "erased"]
    assert clients.listed(connection, clinic.id)[0]["state"] == "erased"


def test_a_client_of_another_clinic_is_as_unknown_as_one_that_never_was(
    connection: sa.Connection, clinic: Clinic
) -> None:
    other = build_clinic(connection)
    foreign = build_client(connection, other)
    treatment = build_treatment(connection, other, foreign)
    for known, unknown in ((foreign, foreign + 1), (treatment, treatment + 1)):
        said = []
        for one in (known, unknown):
            find = clients.get if known is foreign else clients.get_treatment
            with pytest.raises(NotFound) as refusal:
                find(connection, clinic.id, one)
            error = refusal.value
            said.append((error.message.replace(str(one), "ID"), error.field, error.next_step, error.code))
        assert said[0] == said[1]
    assert clients.listed(connection, clinic.id) == []
    assert clients.list_treatments(connection, clinic.id) == []
    assert clients.find(connection, clinic.id, {"email_folded": "sam@example.com", "name_folded": "sam"}) is None


def test_the_same_person_has_the_same_reference_else_the_same_address_and_name(
    connection: sa.Connection, clinic: Clinic
) -> None:
    sam = build_client(connection, clinic, client_ref="A1")
    kim = build_client(connection, clinic, "kim", email_folded="sam@example.com")

    def find(**who: str) -> int | None:
        known = clients.find(connection, clinic.id, who)
        return known["id"] if known else None

    assert find(client_ref="A1", email_folded="new@example.com", name_folded="someone") == sam
    assert find(client_ref="A2", email_folded="sam@example.com", name_folded="sam") is None
    assert find(client_ref="", email_folded="sam@example.com", name_folded="sam") == sam
    assert find(client_ref="", email_folded="sam@example.com", name_folded="kim") == kim
    clients.change(connection, kim, {"erased_at": DUE})
    assert find(client_ref="", email_folded="sam@example.com", name_folded="kim") is None


@pytest.mark.parametrize(
    "fields", [{}, {"client_ref": "A1", "email_folded": "other@example.com"}, {"client_ref": "A1"}]
)
def test_the_database_refuses_the_same_person_twice(store: Store, clinic: Clinic, fields: dict[str, str]) -> None:
    with store.write() as connection:
        build_client(connection, clinic, client_ref=fields.get("client_ref", ""))
        build_client(connection, build_clinic(connection), **fields)

    def again() -> None:
        with store.write() as connection:
            build_client(connection, clinic, **fields)

    with pytest.raises(BadInput, match="just been registered"):
        again()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_of_two_who_register_one_person_at_once_the_second_is_told(store: Store, clinic: Clinic) -> None:
    def second() -> None:
        with store.write() as connection:
            build_client(connection, clinic)

    with ThreadPoolExecutor(1) as thread:
        with store.write() as first:
            build_client(first, clinic)
            registering = thread.submit(second)
            wait_until_somebody_waits(first)
        with pytest.raises(BadInput, match="just been registered"):
            registering.result()


def test_a_change_of_nothing_changes_nothing(connection: sa.Connection, clinic: Clinic) -> None:
    client_id = build_client(connection, clinic)
    before = clients.get(connection, clinic.id, client_id)
    clients.change(connection, client_id, {})
    assert clients.get(connection, clinic.id, client_id) == before


def test_treatments_are_found_by_client_protocol_and_day_until_cancelled(
    connection: sa.Connection, clinic: Clinic
) -> None:
    client_id = build_client(connection, clinic)
    later = build_treatment(connection, clinic, client_id, protocol="tattoo", treated_on=date(2026, 11, 22))
    first = build_treatment(connection, clinic, client_id)
    elsewhere = build_treatment(connection, clinic, client_id, area="brow", treated_on=date(2026, 11, 21))
    found = clients.find_treatment(connection, client_id, "tattoo", date(2026, 11, 22))
    assert found is not None
    assert found["id"] == later
    assert [row["id"] for row in clients.live_treatments(connection, client_id, "scalp")] == [first, later]
    assert [row["id"] for row in clients.list_treatments(connection, clinic.id)] == [first, elsewhere, later]
    assert [row["id"] for row in clients.list_treatments(connection, clinic.id, client_id, limit=1)] == [first]
    clients.change_treatment(connection, later, {"cancelled_at": DUE})
    assert clients.find_treatment(connection, client_id, "tattoo", date(2026, 11, 22)) is None
    assert [row["id"] for row in clients.live_treatments(connection, client_id, "scalp")] == [first]


def test_the_same_treatment_twice_is_refused_until_the_first_is_cancelled(store: Store, clinic: Clinic) -> None:
    with store.write() as connection:
        client_id = build_client(connection, clinic)
        first = build_treatment(connection, clinic, client_id)
    with pytest.raises(sa.exc.IntegrityError), store.write() as connection:
        build_treatment(connection, clinic, client_id)
    with store.write() as connection:
        clients.change_treatment(connection, first, {"cancelled_at": DUE})
        build_treatment(connection, clinic, client_id)


def test_an_address_is_dead_since_after_the_marks_that_were_under_way(
    connection: sa.Connection, clinic: Clinic
) -> None:
    """Whoever ends an address waits for the clients' locks, and for a mark that holds them."""
    later = DUE + timedelta(seconds=2)
    twin = build_client(connection, clinic, "twin", email_folded="sam@example.com")
    build_email(connection, clinic, twin, state=State.SENT, marked_at=later)
    dead = clients.Dead(clinic.id, "sam@example.com", "no such person")
    assert clients.suppress(connection, dead, DUE) == later
    assert clients.suppress(connection, dead, DUE + timedelta(hours=1)) == later
    alone = clients.Dead(clinic.id, "lou@example.com", "no such person")
    assert clients.suppress(connection, alone, DUE) == DUE


def test_an_address_is_suppressed_in_its_clinic_until_lifted(connection: sa.Connection, clinic: Clinic) -> None:
    other = build_clinic(connection)
    suppress(connection, clinic, "dead@example.com")
    suppress(connection, clinic, "lifted@example.com", lifted_at=DUE)
    assert clients.suppressed(connection, clinic.id, "dead@example.com")
    assert not clients.suppressed(connection, clinic.id, "lifted@example.com")
    assert not clients.suppressed(connection, other.id, "dead@example.com")


def test_an_erased_clients_address_is_forgotten_there_too_unless_somebody_else_has_it(
    connection: sa.Connection, clinic: Clinic
) -> None:
    suppress(connection, clinic, "sam@example.com")
    kim = build_client(connection, clinic, "kim", email_folded="sam@example.com")
    clients.forget_suppressed(connection, clinic.id, "sam@example.com", "erased-1")
    assert clients.suppressed(connection, clinic.id, "sam@example.com")
    clients.change(connection, kim, {"email_folded": "erased-2"})
    clients.forget_suppressed(connection, clinic.id, "sam@example.com", "erased-2")
    assert not clients.suppressed(connection, clinic.id, "sam@example.com")
    assert clients.suppressed(connection, clinic.id, "erased-2")
