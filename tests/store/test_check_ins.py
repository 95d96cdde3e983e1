"""Check-ins as they are kept: whole, in order, the corrected ones marked, one clinic's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from service.store import check_ins
from service.store.check_ins import CORRECTED_WITHIN, QUIET_AFTER
from service.store.clinics import Clinic
from service.store.engine import Store
from tests.support.builders import DUE, build_client, build_clinic, build_email, build_treatment

WITH_LINK = '{"check_in_url": "https://notes.example/c/1", "to_address": "sam@example.com"}'


@pytest.fixture
def connection(store: Store) -> Iterator[sa.Connection]:
    with store.write() as opened:
        yield opened


@pytest.fixture
def clinic(connection: sa.Connection) -> Clinic:
    return build_clinic(connection)


def build_check_in(connection: sa.Connection, clinic: Clinic, whose: tuple[int, int], **fields: Any) -> int:
    """whose: client, treatment."""
    values = {
        "clinic_id": clinic.id,
        "client_id": whose[0],
        "treatment_id": whose[1],
        "day": 1,
        "answers": {"q1": ["none"], "q6": ["dots_big", "small_scabs"]},
        "level": "N",
        "rules": ("24", "25"),
        "rules_version": "v1",
        "answered_at": DUE,
    }
    return check_ins.add(connection, values | fields)


def test_a_check_in_comes_back_as_it_was_said(connection: sa.Connection, clinic: Clinic) -> None:
    client = build_client(connection, clinic)
    treatment = build_treatment(connection, clinic, client)
    assert check_ins.newest(connection, clinic.id, treatment, client) is None
    new_id = build_check_in(connection, clinic, (client, treatment))
    found = check_ins.newest(connection, clinic.id, treatment, client)
    assert found is not None
    assert (found.id, found.answered_at, found.corrected) == (new_id, DUE, False)
    assert (found.answers, found.rules) == ({"q1": ["none"], "q6": ["dots_big", "small_scabs"]}, ["24", "25"])
    assert check_ins.newest(connection, clinic.id + 1, treatment, client) is None


def test_only_a_later_answer_about_the_same_visit_corrects_one_and_only_soon(
    connection: sa.Connection, clinic: Clinic
) -> None:
    client = build_client(connection, clinic)
    first, second = (
        build_treatment(connection, clinic, client, protocol=protocol) for protocol in ("scalp-tattoo", "other")
    )
    late = DUE + CORRECTED_WITHIN
    for treatment, answered_at in ((first, DUE), (second, DUE), (first, late), (first, late + 2 * CORRECTED_WITHIN)):
        build_check_in(connection, clinic, (client, treatment), answered_at=answered_at)
    assert [one.corrected for one in check_ins.listed(connection, clinic.id)] == [True, False, False, False]
    assert [one.id for one in check_ins.listed(connection, clinic.id, client, limit=2)] == [3, 4]


def test_an_unsent_a_cancelled_and_an_unlinked_e_mail_wait_for_no_answer(
    connection: sa.Connection, clinic: Clinic
) -> None:
    after = DUE + QUIET_AFTER
    for who, state, facts, cancelled_at in (
        ("sam", "sent", WITH_LINK, None),
        ("kim", "planned", WITH_LINK, None),
        ("lou", "sent", '{"to_address": "check_in_url@example.com"}', None),
        ("max", "sent", None, None),
        ("ann", "sent", WITH_LINK, DUE),
    ):
        client = build_client(connection, clinic, who)
        treatment = build_treatment(connection, clinic, client, cancelled_at=cancelled_at)
        fields = {"state": state, "facts": facts, "treatment_id": treatment, "marked_at": DUE}
        email_id = build_email(connection, clinic, client, **fields)
        linked = who in ("sam", "ann")
        assert check_ins.asked_by(connection, clinic.id, treatment) == (email_id if linked else None)
    assert [one.name for one in check_ins.unanswered(connection, clinic.id, after)] == ["sam"]
    assert check_ins.unanswered(connection, clinic.id, after - timedelta(seconds=1)) == []
