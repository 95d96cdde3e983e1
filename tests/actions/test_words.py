from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from service.actions import clinic_setup, words
from service.actions.words import Approval, TextKey
from service.domain.reminder import Reason, State
from service.errors import BadInput, BadText, NotAllowed, NotFound
from service.mail.catalogue import Catalogue
from service.store import texts
from service.store.engine import Store
from service.store.tables import audit as audit_lines
from service.store.tables import emails
from service.store.tables import texts as text_rows
from service.store.texts import TextVersion
from tests.support.world import SMP, TATTOO, World, another_clinic, at, make_world

DAY_1 = TextKey(SMP, "day-01", "en")
NOW = "2026-11-20 16:00"
NEXT_YEAR = date(2027, 11, 20)
ANN = {"email": "ann@northgate-clinic.org", "name": "Ann Lee", "role": "clinician"}


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


@pytest.fixture
def clinician(world: World) -> str:
    with world.store.write() as connection:
        clinic_setup.add_staff(connection, world.clinic, ANN, world.who(NOW))
    return ANN["email"]


def catalogue(world: World) -> Catalogue:
    return world.service.catalogue


def shipped(world: World, key: TextKey = DAY_1) -> str:
    return catalogue(world).sources[key.protocol, key.name, key.language]


def save(world: World, source: str, key: TextKey = DAY_1) -> TextVersion:
    with world.store.write() as connection:
        return words.save(connection, catalogue(world), world.clinic, (key, source), world.who(NOW))


def approve(world: World, by: str, key: TextKey = DAY_1, **more: Any) -> TextVersion:
    approval = Approval(by, **({"review_by": NEXT_YEAR} | more))
    with world.store.write() as connection:
        return words.approve(connection, catalogue(world), world.clinic, (key, approval), world.who(NOW))


def unapproved(world: World) -> list[tuple[str, str]]:
    with world.store.read() as connection:
        found = words.unapproved(connection, catalogue(world), world.clinic)
    return [(key.protocol, key.name) for key in found]


def hold(world: World, reason: Reason) -> None:
    with world.store.write() as connection:
        connection.execute(sa.update(emails).values(state=State.HELD, reason=reason))


def test_a_new_clinic_has_every_shipped_text_as_a_draft_and_importing_again_adds_nothing(world: World) -> None:
    with world.store.write() as connection:
        have = texts.versions(connection, [world.clinic.id])
        assert {(v.protocol, v.name, v.language) for v in have} == set(catalogue(world).sources)
        assert all(v.approved_at is None and v.version == 1 for v in have)
        assert words.import_shipped(connection, catalogue(world), world.clinic, world.who(NOW)) == 0
        assert texts.versions(connection, [world.clinic.id]) == have


def test_a_newly_shipped_source_becomes_a_draft_beside_the_approved_one(world: World, clinician: str) -> None:
    approve(world, clinician)
    with world.store.write() as connection:
        connection.execute(
            sa.update(text_rows).where(text_rows.c.name == "day-01").values(sha256="that of an older release")
        )
        assert words.import_shipped(connection, catalogue(world), world.clinic, world.who(NOW)) == 2
        found = [v for v in texts.versions(connection, [world.clinic.id]) if (v.protocol, v.name) == (SMP, "day-01")]
    assert [(v.version, v.approved_by) for v in found] == [(2, None), (1, clinician)]


def test_an_edited_text_is_a_new_draft_of_its_author(world: World) -> None:
    version = save(world, shipped(world) + "\n")
    assert (version.version, version.created_by, version.approved_at) == (2, "test", None)
    with world.store.read() as connection:
        assert texts.source(connection, version.id) == shipped(world) + "\n"
        line = connection.execute(sa.select(audit_lines).order_by(audit_lines.c.id.desc()).limit(1)).one()
    assert (line.action, line.subject) == ("text edited", f"text {version.id}")


def test_a_text_that_lost_a_red_flag_or_breaks_is_refused_and_nothing_is_saved(world: World) -> None:
    source = shipped(world)
    lost = "\n".join(line for line in source.splitlines() if "breathe" not in line)
    assert lost != source.rstrip("\n")
    for broken in (lost, source + "\n{{ client.nmae }}\n", "", source + "\n{{ ''.__class__ }}\n"):
        with pytest.raises(BadText) as refusal:
            save(world, broken)
        assert refusal.value.next_step is not None
    with world.store.read() as connection:
        assert texts.find(connection, world.clinic.id, DAY_1.as_dict()).version == 1


@pytest.mark.parametrize("key", [TextKey("no-such", "day-01", "en"), TextKey(SMP, "day-02", "en")])
def test_a_text_that_no_protocol_uses_cannot_be_saved(world: World, key: TextKey) -> None:
    with pytest.raises(BadInput, match="there is no text"):
        save(world, shipped(world), key)


def test_only_an_active_clinician_of_this_clinic_approves(world: World, clinician: str) -> None:
    other = another_clinic(world, name="Southgate")
    with world.store.write() as connection:
        elsewhere = {"email": "eve@example.com", "name": "Eve", "role": "clinician"}
        owner = {"email": "bo@example.com", "name": "Bo", "role": "owner"}
        clinic_setup.add_staff(connection, other.clinic, elsewhere, world.who(NOW))
        clinic_setup.add_staff(connection, world.clinic, owner, world.who(NOW))
    for by in ("eve@example.com", "bo@example.com", "nobody@example.com"):
        with pytest.raises(NotAllowed, match="is not a clinician of this clinic"):
            approve(world, by)
    version = approve(world, clinician)
    assert (version.approved_by, version.approved_at, version.review_by) == (clinician, at(NOW), NEXT_YEAR)
    with world.store.read() as connection:
        line = connection.execute(sa.select(audit_lines).order_by(audit_lines.c.id.desc()).limit(1)).one()
    assert (line.actor, line.action) == (clinician, "text approved")
    assert version.sha256 in line.detail


@pytest.mark.parametrize("review_by", [date(2026, 11, 20), date(2020, 1, 1)])
def test_a_review_is_in_the_future(world: World, clinician: str, review_by: date) -> None:
    with pytest.raises(BadInput, match="is not in the future"):
        approve(world, clinician, review_by=review_by)


def test_a_version_that_does_not_exist_or_was_withdrawn_cannot_be_approved(world: World, clinician: str) -> None:
    with pytest.raises(NotFound, match="version 9"):
        approve(world, clinician, version=9)
    with world.store.write() as connection:
        connection.execute(sa.update(text_rows).values(withdrawn_at=at(NOW)))
    with pytest.raises(NotAllowed, match="was withdrawn"):
        approve(world, clinician)


def test_a_draft_that_no_longer_fits_its_protocol_cannot_be_approved(world: World, clinician: str) -> None:
    with world.store.write() as connection:
        connection.execute(sa.update(text_rows).where(text_rows.c.name == "day-01").values(source="words"))
    with pytest.raises(BadText):
        approve(world, clinician)


def test_an_older_version_may_be_approved(world: World, clinician: str) -> None:
    save(world, shipped(world) + "\n")
    assert approve(world, clinician, version=1).version == 1
    with world.store.read() as connection:
        assert texts.find(connection, world.clinic.id, DAY_1.as_dict()).approved_at is None


@pytest.mark.parametrize("reason", [Reason.UNAPPROVED, Reason.RENDER_ERROR])
def test_an_approval_frees_what_was_held_for_want_of_it(world: World, clinician: str, reason: Reason) -> None:
    world.treat(world.client(), "2026-11-20")
    other = another_clinic(world, name="Southgate")
    other.treat(other.client(), "2026-11-20")
    hold(world, reason)
    approve(world, clinician)
    states = {(row.clinic_id == world.clinic.id, row.state, row.reason) for row in world.rows()}
    assert states == {(True, "planned", None), (False, "held", reason)}


def test_an_edit_frees_what_could_not_be_written_an_approval_frees_nothing_paused(world: World, clinician: str) -> None:
    world.treat(world.client(), "2026-11-20")
    hold(world, Reason.PAUSED)
    approve(world, clinician)
    save(world, shipped(world) + "\n")
    assert {row.state for row in world.rows()} == {"held"}
    hold(world, Reason.RENDER_ERROR)
    save(world, shipped(world) + "\n\n")
    assert {row.state for row in world.rows()} == {"planned"}


def test_unapproved_are_the_texts_of_protocols_in_use_until_a_clinician_has_signed_each(
    world: World, clinician: str
) -> None:
    assert unapproved(world) == []
    world.treat(world.client(), "2026-11-20")
    names = ["day-01", "day-03", "day-10", "catch-up"]
    assert unapproved(world) == [(SMP, name) for name in names]
    for name in names[:3]:
        approve(world, clinician, TextKey(SMP, name, "en"))
    assert unapproved(world) == [(SMP, "catch-up")]
    approve(world, clinician, TextKey(SMP, "catch-up", "en"))
    assert unapproved(world) == []
    world.treat(world.client("Kim Lee"), "2026-11-20", protocol=TATTOO)
    assert {protocol for protocol, _ in unapproved(world)} == {TATTOO}


def test_words_of_the_page_that_nobody_has_signed_are_told_apart_from_e_mails(world: World, clinician: str) -> None:
    def silent() -> list[str]:
        with world.store.read() as connection:
            return [key.name for key in words.unapproved_pages(connection, catalogue(world), world.clinic)]

    assert silent() == []
    world.treat(world.client(), "2026-11-20")
    assert silent() == ["today-00", "today-03", "today-08", "today-15"]
    approve(world, clinician, TextKey(SMP, "today-03", "en"))
    assert silent() == ["today-00", "today-08", "today-15"]
    assert "today-00" not in [name for _, name in unapproved(world)]


def test_a_withdrawn_approval_is_none(world: World, clinician: str) -> None:
    world.treat(world.client(), "2026-11-20")
    approve(world, clinician)
    with world.store.write() as connection:
        connection.execute(sa.update(text_rows).where(text_rows.c.name == "day-01").values(withdrawn_at=at(NOW)))
    assert (SMP, "day-01") in unapproved(world)


def test_another_clinics_texts_are_not_found(world: World, clinician: str) -> None:
    other = another_clinic(world, name="Southgate")
    save(world, shipped(world) + "\n")
    with other.store.read() as connection:
        assert texts.find(connection, other.clinic.id, DAY_1.as_dict()).version == 1
    assert approve(world, clinician).clinic_id == world.clinic.id
