"""What the card says is data: whole, with every place, or refused by name."""

from __future__ import annotations

import tomllib

import pytest

from service.errors import BadProtocol
from service.mail.catalogue import templates_root
from service.mail.words import read_language

ENGLISH = (templates_root() / "languages" / "en.toml").read_text()


def test_english_has_every_word_and_the_words_are_no_part_of_an_e_mails_version() -> None:
    plain = read_language(ENGLISH.encode(), "en", "en.toml")
    assert plain.card is not None
    assert dict(plain.card) == tomllib.loads(ENGLISH)["card"]
    without = ENGLISH[: ENGLISH.index("[card]")] + ENGLISH[ENGLISH.index("[safety]") :]
    shorter = read_language(without.encode(), "en", "en.toml")
    assert shorter.card is None
    assert shorter.version == plain.version


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [("Questions? Call {phone}", "Questions?", "questions"), ('scan = "Scan this to see your page."', "", "scan")],
)
def test_a_word_that_lacks_a_place_or_is_missing_is_refused_by_name(old: str, new: str, field: str) -> None:
    assert old in ENGLISH
    with pytest.raises(BadProtocol, match=field):
        read_language(ENGLISH.replace(old, new).encode(), "en", "en.toml")
