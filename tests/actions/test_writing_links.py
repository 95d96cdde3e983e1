"""Stop links in the e-mails: each client's own, the same in a repeat, and none at all without a public address."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from service.actions import hello
from service.actions.answer import CHECK_IN, NOT_ME, STOP, TODAY, link_of, named, read_link
from service.actions.writing import Writer
from service.clock import stopped_at
from service.mail.signing import Signer, new_key
from service.store import clinics
from service.store.engine import Store
from service.store.tables import emails
from tests.support.scripted_relay import AcceptAndDrop, Accepted, ScriptedRelay
from tests.support.scripted_relay import at as when
from tests.support.world import World, at, make_world, read, text_of

PUBLIC = "https://notes.northgate.org"
KEY = new_key()


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path)


def tick(world: World, relay: ScriptedRelay, now: str, writer: Writer) -> None:
    delivery = world.delivery(relay)
    delivery.preparer.writer = writer
    asyncio.run(delivery.until_idle(stopped_at(at(now))))


def linking(public_url: str | None = PUBLIC, *keys: bytes) -> Writer:
    return Writer(Signer(keys or [KEY]), public_url)


def html_of(message: Accepted) -> str:
    body = read(message).get_body(("html",))
    assert body is not None
    return str(body.get_content())


def stop_url(message: Accepted) -> str:
    found = re.fullmatch(r"<(https://[^>]*)>, <mailto:desk@northgate-clinic\.org\?subject=Stop>", _stops(message))
    assert found
    return found[1]


def _stops(message: Accepted) -> str:
    return str(read(message)["List-Unsubscribe"])


def test_every_kind_of_e_mail_carries_the_clients_link_in_header_html_and_text(world: World) -> None:
    client = world.client()
    with world.store.write() as connection:
        hello.say_hello(connection, world.clinic, client, at("2026-11-20 16:00"))
    world.treat(client, "2026-11-20")
    with ScriptedRelay() as relay:
        for now in ("2026-11-20 16:00", "2026-11-21 10:00", "2026-11-25 08:00", "2026-11-25 12:00"):
            tick(world, relay, now, linking())
        kinds = [row.kind for row in world.rows(emails.c.state == "sent")]
        assert sorted(kinds) == ["catch_up", "hello", "reminder"]
        for message in relay.log:
            url = stop_url(message)
            assert read(message)["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
            assert f'href="{url}"' in html_of(message)
            assert url in text_of(message).splitlines()
            assert "mailto:" not in html_of(message)
            assert b"{" not in message.data.partition(b"\r\n\r\n")[0]
        assert len({stop_url(message) for message in relay.log}) == 1


def test_a_link_names_its_client_to_us_and_nothing_to_others(world: World) -> None:
    sam, ann = world.client(), world.client("Ann Other")
    for client in (sam, ann):
        world.treat(client, "2026-11-20")
    with ScriptedRelay() as relay:
        tick(world, relay, "2026-11-21 10:00", linking())
        urls = {message.rcpt_to[0]: stop_url(message) for message in relay.log}
    tokens = {address: url.removeprefix(f"{PUBLIC}/s/") for address, url in urls.items()}
    for client, address in ((sam, "sam@example.com"), (ann, "ann@example.com")):
        assert re.fullmatch(r"[A-Za-z0-9_-]{40}", tokens[address])
        assert read_link(Signer([KEY]), STOP, tokens[address]) == link_of(client, address)
        assert read_link(Signer([KEY]), NOT_ME, tokens[address]) is None
        # Links outlive a new key; they do not outlive the loss of the old one.
        assert read_link(Signer([new_key(), KEY]), STOP, tokens[address]) == link_of(client, address)
        assert read_link(Signer([new_key()]), STOP, tokens[address]) is None


def test_what_clients_share_holds_no_link_and_each_row_keeps_its_own(world: World) -> None:
    for name in ("Sam Reed", "Ann Other"):
        world.treat(world.client(name), "2026-11-20")
    with ScriptedRelay() as relay:
        tick(world, relay, "2026-11-21 10:00", linking())
        urls = {message.rcpt_to[0]: stop_url(message) for message in relay.log}
    rows = world.rows(emails.c.state == "sent")
    assert {(facts := json.loads(row.facts))["to_address"]: facts["stop_url"] for row in rows} == urls
    assert len({row.shared_id for row in rows}) == 1


@pytest.mark.parametrize("then", [linking(None), linking("https://elsewhere.example"), linking(PUBLIC, new_key())])
def test_a_repeat_in_doubt_has_the_same_link_and_bytes_whatever_was_set_meanwhile(world: World, then: Writer) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("dot", AcceptAndDrop())) as relay:
        tick(world, relay, "2026-11-21 10:00", linking())
        tick(world, relay, "2026-11-21 10:31", then)
        first, second = relay.log
    assert first.data == second.data
    assert stop_url(first).startswith(PUBLIC)


def test_an_e_mail_in_doubt_from_before_there_were_links_is_repeated_without_one(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("dot", AcceptAndDrop())) as relay:
        tick(world, relay, "2026-11-21 10:00", linking(None))
        tick(world, relay, "2026-11-21 10:31", linking())
        first, second = relay.log
    assert first.data == second.data


def test_without_a_public_address_stop_goes_by_mail_and_no_link_is_dead(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay() as relay:
        tick(world, relay, "2026-11-21 10:00", linking(None))
    (message,) = relay.log
    assert _stops(message) == "<mailto:desk@northgate-clinic.org?subject=Stop>"
    assert "List-Unsubscribe-Post" not in read(message)
    assert "https://" not in html_of(message) + text_of(message)
    assert 'href="mailto:desk@northgate-clinic.org?subject=Stop"' in html_of(message)
    (row,) = world.rows(emails.c.state == "sent")
    assert json.loads(row.facts).keys() == {"greeting_name", "to_address"}


@pytest.mark.parametrize("public_url", ["https://clinic.example/notes", "https://clinic.example/notes/"])
def test_the_public_address_may_have_a_path(world: World, public_url: str) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay() as relay:
        tick(world, relay, "2026-11-21 10:00", linking(public_url))
    assert stop_url(relay.log[0]).startswith("https://clinic.example/notes/s/")


DOMAIN = "bounce.northgate.org"


def stopping(public_url: str | None = None, domain: str | None = DOMAIN, *keys: bytes) -> Writer:
    return Writer(Signer(keys or [KEY]), public_url, domain)


def stop_address(message: Accepted) -> str:
    found = re.search(r"<mailto:([^?>]*)\?subject=Stop>", _stops(message))
    assert found
    return found[1]


def test_where_returned_mail_is_read_each_client_has_a_stop_address_of_their_own(world: World) -> None:
    for name in ("Sam Reed", "Ann Other"):
        world.treat(world.client(name), "2026-11-20")
    with ScriptedRelay() as relay:
        tick(world, relay, "2026-11-21 10:00", stopping())
        mine = {message.rcpt_to[0]: stop_address(message) for message in relay.log}
        for message in relay.log:
            address = stop_address(message)
            assert f'href="mailto:{address}?subject=Stop"' in html_of(message)
            assert f"mailto:{address}?subject=Stop" in text_of(message).splitlines()
            assert "List-Unsubscribe-Post" not in read(message)
    assert len(set(mine.values())) == 2
    for row in world.rows(emails.c.state == "sent"):
        local_part, _, domain = mine[_address(row)].partition("@")
        assert domain == DOMAIN
        assert len(local_part) <= 64
        assert named(Signer([KEY]).read_stop_local_part(local_part)) == link_of(row.client_id, _address(row))
    assert len({row.shared_id for row in world.rows(emails.c.state == "sent")}) == 1


def _address(row: Any) -> str:
    return str(json.loads(row.facts)["to_address"])


def test_with_a_public_address_the_button_is_a_link_and_the_header_has_both(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay() as relay:
        tick(world, relay, "2026-11-21 10:00", stopping(PUBLIC))
    (message,) = relay.log
    assert re.fullmatch(rf"<{PUBLIC}/s/[^>]*>, <mailto:stop\+[a-z2-7]*@{DOMAIN}\?subject=Stop>", _stops(message))
    assert read(message)["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "mailto:" not in html_of(message) + text_of(message)


@pytest.mark.parametrize(
    "then", [stopping(None, None), stopping(None, "elsewhere.example"), stopping(None, DOMAIN, new_key())]
)
def test_a_repeat_in_doubt_has_the_same_stop_address_whatever_was_set_meanwhile(world: World, then: Writer) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("dot", AcceptAndDrop())) as relay:
        tick(world, relay, "2026-11-21 10:00", stopping())
        tick(world, relay, "2026-11-21 10:31", then)
        first, second = relay.log
    assert first.data == second.data
    assert stop_address(first).endswith(DOMAIN)


def test_an_e_mail_in_doubt_from_before_there_were_stop_addresses_is_repeated_as_it_was(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay(when("dot", AcceptAndDrop())) as relay:
        tick(world, relay, "2026-11-21 10:00", linking(None))
        tick(world, relay, "2026-11-21 10:31", stopping())
        first, second = relay.log
    assert first.data == second.data
    assert stop_address(first) == "desk@northgate-clinic.org"


@pytest.mark.parametrize(
    ("settings", "domain"),
    [
        ({"bounce_domain": DOMAIN}, "northgate-clinic.org"),
        ({"bounce_domain": DOMAIN, "mailbox_url": "maildir:/var/mail/returned"}, DOMAIN),
    ],
)
def test_the_settings_decide_whose_a_stop_address_is(
    store: Store, tmp_path: Path, settings: dict[str, str], domain: str
) -> None:
    world = make_world(store, tmp_path, **settings)
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
    assert stop_address(relay.log[0]).endswith(f"@{domain}")


def pages(message: Accepted) -> list[str]:
    """The letters of the pages that an e-mail links to, in the order of its text."""
    in_text = re.findall(rf"{PUBLIC}/([a-z])/[A-Za-z0-9_-]{{40}}", text_of(message))
    assert sorted(in_text) == sorted(re.findall(rf'href="{PUBLIC}/([a-z])/', html_of(message)))
    return in_text


def test_reminders_and_notes_link_to_the_check_in_and_the_day_behind_the_phone_and_a_hello_does_not(
    world: World,
) -> None:
    client = world.client()
    with world.store.write() as connection:
        hello.say_hello(connection, world.clinic, client, at("2026-11-20 16:00"))
    world.treat(client, "2026-11-20")
    with ScriptedRelay() as relay:
        for now in ("2026-11-20 16:00", "2026-11-21 10:00", "2026-11-25 08:00", "2026-11-25 12:00"):
            tick(world, relay, now, linking())
        first, *others = relay.log
        assert pages(first) == ["s"]
        for message in others:
            assert pages(message) == ["c", "t", "s"]
            assert text_of(message).index("01632") < text_of(message).index(f"{PUBLIC}/c/")
        token = re.search(rf"{PUBLIC}/c/(\S+)", text_of(others[0]))
        assert token
        assert read_link(Signer([KEY]), CHECK_IN, token[1]) == link_of(client, "sam@example.com")
        assert read_link(Signer([KEY]), STOP, token[1]) is None
        assert read_link(Signer([KEY]), TODAY, token[1]) is None


@pytest.mark.parametrize("field", ["check_in", "phone"])
def test_without_a_check_in_or_a_phone_to_stand_before_it_no_e_mail_links_to_one(world: World, field: str) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay() as relay:
        with world.store.write() as connection:
            clinics.change(connection, world.clinic.id, {field: False if field == "check_in" else ""})
        tick(world, relay, "2026-11-21 10:00", linking())
    sent = [pages(message) for message in relay.log]
    assert sent == ([["t", "s"]] if field == "check_in" else [])
