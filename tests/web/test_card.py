"""The card to take home: which versions of the words its e-mails use, in the client's own language."""

from __future__ import annotations

import html
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from service.actions.words import TextKey, save
from service.mail.catalogue import Catalogue, templates_root
from service.store import texts
from service.store.tables import emails
from tests.support.desk import signed_in
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import SMP, World

FRIDAY = "2026-11-20 16:40"


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def newest(connection: Any, world: World, name: str) -> int:
    """The id of the newest version of a text."""
    return texts.find(connection, world.clinic.id, TextKey(SMP, name, "en").as_dict()).id


def test_the_card_names_the_versions_that_its_e_mails_use(world: World) -> None:
    """Day 1 keeps the version it went out with when there is a newer one; day 3 will use the newer one."""
    world.treat(world.client(now="2026-11-20 10:00"), "2026-11-20", now="2026-11-20 10:01")
    with ScriptedRelay() as relay:
        world.tick(relay, "2026-11-21 10:00")
    with world.store.write() as connection:
        for name in ("day-01", "day-03"):
            key = TextKey(SMP, name, "en")
            source = texts.source(connection, newest(connection, world, name)).replace("This note", "This letter", 1)
            save(connection, world.service.catalogue, world.clinic, (key, source), world.who(FRIDAY))
        now = {name: newest(connection, world, name) for name in ("day-01", "day-03", "day-10")}
    (sent,) = world.rows(emails.c.state == "sent", emails.c.step == "day-01")
    with signed_in(world, now="2026-11-21 12:00") as browser:
        page = browser.get("/clients/1/card").text
    assert f"Words of these notes: {sent.text_id} v1 · {now['day-03']} v2 · {now['day-10']} v1" in page
    assert sent.text_id != now["day-01"]


GERMAN_CARD = """
[card]
date = "EEEE, d. MMMM y"
write = "Wir schreiben Ihnen am"
questions = "Fragen? {phone} anrufen."
scan = "Zu Ihrer Seite."
page = "Der Weg zu Ihrer Seite"
texts = "Texte: {numbers}"
"""


@pytest.mark.parametrize(
    ("language", "said"),
    [
        ("de-AT", "Northgate Wir schreiben Ihnen am Samstag, 21. November 2026 Fragen? 01632 960 001 anrufen."),
        ("pl", "Northgate We will write to you on Saturday 21 November 2026 Questions? Call 01632 960 001"),
        ("en", "Northgate We will write to you on Saturday 21 November 2026 Questions? Call 01632 960 001"),
    ],
)
def test_the_card_speaks_the_clients_language_where_there_are_words_else_english(
    world: World, tmp_path: Path, language: str, said: str
) -> None:
    """Polish has words for e-mails and none for the card."""
    root = Path(shutil.copytree(templates_root(), tmp_path / "email"))
    plain = (root / "languages" / "en.toml").read_text("utf-8")
    without = plain[: plain.index("[card]")] + plain[plain.index("[safety]") :]
    (root / "languages" / "de.toml").write_text(without + GERMAN_CARD, "utf-8")
    (root / "languages" / "pl.toml").write_text(without, "utf-8")
    vars(world.service)["catalogue"] = Catalogue.load(root)
    client_id = world.client(language=language)
    world.treat(client_id, "2026-11-20")
    with world.store.write() as connection:
        connection.execute(emails.update().where(emails.c.day > 1).values(state="cancelled"))
    with signed_in(world, now=FRIDAY) as browser:
        page = browser.get(f"/clients/{client_id}/card").text
    card = page[page.index("<article") : page.index("</article>")]
    assert said in words(card)
    assert f'lang="{"de" if language == "de-AT" else "en"}" dir="ltr"' in card
