"""What clients answered, and who has not, as staff see it."""

from __future__ import annotations

from service.actions import check_in
from service.actions.answer import link_of
from service.store.tables import emails
from tests.support.desk import signed_in
from tests.support.world import World, at


def asked(world: World) -> int:
    """A client whose day-1 e-mail went out on the 21st with a link in it."""
    client_id = world.client("Karim Haddad", "karim@example.com")
    world.treat(client_id, "2026-11-20")
    sent = at("2026-11-21 10:00")
    values = {"state": "sent", "sent_at": sent, "marked_at": sent, "ended_at": sent, "facts": '{"check_in_url": "x"}'}
    with world.store.write() as connection:
        connection.execute(emails.update().where(emails.c.day == 1).values(values))
    return client_id


def test_who_has_not_answered_is_a_quiet_list_and_no_call(world: World) -> None:
    asked(world)
    with signed_in(world, now="2026-11-22 12:00") as browser:
        page = browser.get("/check-ins").text
        assert page.index("Karim Haddad") > page.index("Not answered")
        assert "No calls to make" in browser.get("/calls").text


def test_an_answer_takes_them_off_the_list_and_says_what_it_means(world: World) -> None:
    client_id = asked(world)
    link = link_of(client_id, "karim@example.com")
    protocols = world.service.catalogue.protocols
    with world.store.write() as connection:
        check_in.answer_check_in(connection, protocols, link, {"q3": ("fading",)}, at("2026-11-22 09:00"))
    with signed_in(world, now="2026-11-22 12:00") as browser:
        page = browser.get("/check-ins").text
    assert page.index("Karim Haddad") > page.index("<h2>Answered</h2>")
    assert "call today" in page
    assert "fading" not in page


def test_an_empty_list_says_what_will_appear(world: World) -> None:
    with signed_in(world) as browser:
        page = browser.get("/check-ins").text
    assert "they carry no link" in page
    assert "Nobody has answered yet" in page
