"""The words at the desk: read, edited, previewed, signed."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from threading import Thread

import pytest
import sqlalchemy as sa

from service.actions.answer import STOP, read_link
from service.mail.caught import caught, read_caught
from service.store import texts
from service.store.engine import Store
from service.store.tables import Role, audit
from service.web.desk import one_try
from service.wiring import Service
from tests.support.desk import Browser, signed_in
from tests.support.processes import wait_for
from tests.support.scripted_relay import Hang, ScriptedRelay
from tests.support.scripted_relay import at as when
from tests.support.world import SMP, World, make_world

DAY_3 = {"protocol": SMP, "name": "day-03", "language": "en"}


def newest(world: World) -> tuple[int, str]:
    """Id and source of the newest version of day 3."""
    with world.store.read() as connection:
        version = texts.find(connection, world.clinic.id, DAY_3)
        return version.id, texts.source(connection, version.id)


def edited(source: str) -> str:
    return source.replace("Let the scabs come off on their own.", "Let the scabs fall off on their own.")


def test_the_list_says_what_is_approved_and_what_is_not(world: World) -> None:
    with signed_in(world) as browser:
        page = browser.get("/texts").text
    assert "Scalp micropigmentation" in page
    assert "not approved" in page


def test_an_edit_is_a_new_draft_and_the_old_version_stays(world: World) -> None:
    text_id, source = newest(world)
    with signed_in(world, Role.CLINICIAN) as browser:
        browser.get(f"/texts/{text_id}")
        answer = browser.post(f"/texts/{text_id}", {"source": edited(source), "step": "save", "over": str(text_id)})
        page = browser.after(answer)
        assert "Saved as a draft" in page
        changes = browser.get(f"/texts/{newest(world)[0]}/changes").text
    assert "fall off on their own" in changes
    assert newest(world)[0] != text_id


def test_what_breaks_the_safety_block_is_not_saved_and_says_why(world: World) -> None:
    text_id, source = newest(world)
    broken = source.replace("- you have a blister or an open sore\n", "")
    with signed_in(world, Role.CLINICIAN) as browser:
        browser.get(f"/texts/{text_id}")
        answer = browser.post(f"/texts/{text_id}", {"source": broken, "step": "save", "over": str(text_id)})
    assert answer.status_code == 400
    assert "This cannot be saved" in answer.text
    assert "must be mended" in answer.text
    assert newest(world)[0] == text_id


@pytest.mark.parametrize("bad", ["{{ nobody }}", "::: urgnt", "{% if x %}", "<script>alert(1)</script>"])
def test_what_is_no_text_is_shown_again_with_its_line(world: World, bad: str) -> None:
    text_id, source = newest(world)
    with signed_in(world, Role.CLINICIAN) as browser:
        browser.get(f"/texts/{text_id}")
        answer = browser.post(
            f"/texts/{text_id}", {"source": source + "\n" + bad, "step": "save", "over": str(text_id)}
        )
    assert answer.status_code == 400
    assert "Line " in answer.text
    assert "<script>alert" not in answer.text
    assert newest(world)[0] == text_id


def test_somebody_elses_newer_version_is_not_written_over(world: World) -> None:
    text_id, source = newest(world)
    with signed_in(world, Role.CLINICIAN) as browser:
        browser.get(f"/texts/{text_id}")
        browser.post(f"/texts/{text_id}", {"source": edited(source), "step": "save", "over": str(text_id)})
        stale = browser.post(f"/texts/{text_id}", {"source": source + "\n", "step": "save", "over": str(text_id)})
    assert stale.status_code == 409
    assert "meanwhile" in stale.text


def test_only_a_clinician_signs_and_what_is_signed_goes_out(world: World) -> None:
    text_id, _ = newest(world)
    signed = {"signed": "yes", "review_by": "2027-11-20"}
    with signed_in(world, Role.OWNER) as owner:
        owner.get(f"/texts/{text_id}")
        assert owner.post(f"/texts/{text_id}/approve", signed).status_code == 403
    with signed_in(world, Role.CLINICIAN) as clinician:
        clinician.get(f"/texts/{text_id}")
        unsigned = clinician.post(f"/texts/{text_id}/approve", {"review_by": "2027-11-20"})
        assert unsigned.status_code == 400
        past = clinician.post(f"/texts/{text_id}/approve", {"signed": "yes", "review_by": "2020-01-01"})
        assert past.status_code == 400
        page = clinician.after(clinician.post(f"/texts/{text_id}/approve", signed))
        assert "goes out" in page
    with world.store.read() as connection:
        assert texts.find(connection, world.clinic.id, DAY_3).approved_by == "clinician1@northgate-clinic.org"


def test_the_preview_shows_unsaved_words_in_a_frame_that_runs_nothing(world: World) -> None:
    text_id, source = newest(world)
    with signed_in(world, Role.CLINICIAN) as browser:
        browser.get(f"/texts/{text_id}")
        shown = browser.post(f"/texts/{text_id}/look", {"source": edited(source)})
        as_text = browser.post(f"/texts/{text_id}/look", {"source": edited(source), "as": "text"})
    assert "fall off on their own" in shown.text
    assert "fall off on their own" in as_text.text
    assert "sandbox" in shown.headers["content-security-policy"]
    assert newest(world)[0] == text_id


def test_a_preview_can_be_for_a_client_of_this_clinic(world: World) -> None:
    client_id = world.client("Karim Haddad")
    world.treat(client_id, "2026-11-19")
    text_id, _ = newest(world)
    with signed_in(world) as browser:
        assert "Karim" in browser.get(f"/texts/{text_id}/look?client={client_id}").text
        assert "Karim" not in browser.get(f"/texts/{text_id}/look?client=999").text


def test_findings_come_beside_the_editor(world: World) -> None:
    text_id, source = newest(world)
    with signed_in(world, Role.CLINICIAN) as browser:
        browser.get(f"/texts/{text_id}")
        long = source + "\n\n" + "This is a sentence that goes on and on " * 4 + ".\n"
        found = browser.post(f"/texts/{text_id}/findings", {"source": long})
    assert re.search(r"Line \d+", found.text)
    assert "<html" not in found.text


def test_a_test_goes_to_whoever_asks_for_it_and_to_nobody_else(world: World) -> None:
    text_id, _ = newest(world)
    with signed_in(world, Role.CLINICIAN) as browser:
        browser.get(f"/texts/{text_id}")
        answer = browser.post(f"/texts/{text_id}/test")
        assert answer.status_code == 200
        inbox = browser.get("/inbox").text
    assert "clinician1@northgate-clinic.org" in inbox
    assert "sam@example.com" not in inbox


def test_a_test_about_a_client_is_noted_and_carries_nobodys_stop_link(store: Store, tmp_path: Path) -> None:
    world = make_world(store, tmp_path, public_url="https://notes.northgate-clinic.org")
    client = world.client()
    world.treat(client, "2026-11-20")
    text_id, _ = newest(world)
    with signed_in(world, Role.CLINICIAN) as browser:
        browser.get(f"/texts/{text_id}?client={client}")
        assert browser.post(f"/texts/{text_id}/test", {"client": str(client)}).status_code == 200
        (sent,) = caught(world.service.maildir)
        letter = read_caught(world.service.maildir, sent.id)
        assert "Dear Sam" in letter.text
        stop = r"List-Unsubscribe: <https://notes.northgate-clinic.org/s/([^>]+)>"
        (token,) = re.findall(stop, letter.source.decode())
    link = read_link(world.service.signer, STOP, token)
    assert link is not None
    assert link.client_id != client
    with store.read() as connection:
        noted = set(connection.execute(sa.select(audit.c.action).where(audit.c.actor.like("clinician%"))).scalars())
    assert {"client opened", "test e-mail sent"} <= noted


def through(world: World, relay: ScriptedRelay) -> World:
    """As it is where real e-mail goes out, by this relay."""
    changed = {"relay_host": "127.0.0.1", "relay_port": relay.port, "trial_allow": "northgate-clinic.org"}
    settings = world.service.settings.model_copy(update={**changed, "relay_tls": "none"})
    return World(Service(settings, world.store), world.clinic)


def test_a_relay_that_does_not_answer_keeps_nobody_waiting_and_loses_no_words(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    text_id, source = newest(world)
    monkeypatch.setattr(one_try, "WITHIN", 1.0)
    with ScriptedRelay(when("mail", Hang())) as relay, signed_in(through(world, relay), Role.OWNER) as browser:
        browser.get(f"/texts/{text_id}")
        answer = browser.post(f"/texts/{text_id}/test", {"source": edited(source)})
        relay.wait_until_alone()
    assert answer.status_code == 504
    assert "The relay did not answer within 1 seconds: your e-mail may have gone out all the same" in answer.text
    assert "Let the scabs fall off on their own." in answer.text


def test_a_staff_member_has_one_test_under_way_and_a_colleague_another(world: World) -> None:
    text_id, source = newest(world)
    with ExitStack() as opened:
        relay = opened.enter_context(ScriptedRelay(when("mail", Hang())))
        world = through(world, relay)
        with signed_in(world, Role.OWNER) as owner, signed_in(world, Role.CLINICIAN) as clinician:
            for browser in (owner, clinician):
                browser.get(f"/texts/{text_id}")
            answers: list[int] = []

            def first_of(browser: Browser) -> Thread:
                asks = Thread(target=lambda: answers.append(browser.post(f"/texts/{text_id}/test").status_code))
                asks.start()
                return asks

            asking = [first_of(owner)]
            wait_for(lambda: relay.counts["mail"] == 1, "the first test")
            second = owner.post(f"/texts/{text_id}/test", {"source": edited(source)})
            assert second.status_code == 409
            assert "Your test e-mail before this one is still under way" in second.text
            assert "Let the scabs fall off on their own." in second.text
            asking.append(first_of(clinician))
            wait_for(lambda: relay.counts["mail"] == 2, "the colleague's")
            opened.close()  # so it hangs up
            for one in asking:
                one.join()
            assert answers == [502, 502]
            # The first has ended: another is tried, and this one finds no relay.
            assert owner.post(f"/texts/{text_id}/test").status_code == 502


def test_another_clinics_text_is_no_page(world: World) -> None:
    with signed_in(world) as browser:
        assert browser.get("/texts/999999").status_code == 404
