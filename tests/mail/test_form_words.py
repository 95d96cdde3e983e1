"""What stands around the questions of a check-in is data: whole, with every place, or refused by name."""

from __future__ import annotations

import tomllib

import pytest

from service.errors import BadProtocol
from service.mail.catalogue import templates_root
from service.mail.words import read_language

ENGLISH = (templates_root() / "languages" / "en.toml").read_text()


def test_english_has_every_word() -> None:
    form = read_language(ENGLISH.encode(), "en", "en.toml").form
    assert form is not None
    assert dict(form) == tomllib.loads(ENGLISH)["check_in"]


def test_a_language_without_them_has_no_check_in_pages() -> None:
    shorter = ENGLISH[: ENGLISH.index("[check_in]")] + ENGLISH[ENGLISH.index("[safety]") :]
    assert read_language(shorter.encode(), "en", "en.toml").form is None


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('progress = "{number} of {total}"', 'progress = "{number}"', "progress"),
        ('closed_now = "We are closed now. Call {urgent_line}."', 'closed_now = "We are closed."', "closed_now"),
        ('back = "Back"', "", "back"),
        ('back = "Back"', 'back = "Back {number}"', "back"),
        ('back = "Back"', 'back = "Back"\nforth = "Forth"', "forth"),
    ],
)
def test_a_word_that_lacks_a_place_is_missing_or_unknown_is_refused_by_name(old: str, new: str, field: str) -> None:
    assert old in ENGLISH
    with pytest.raises(BadProtocol, match=field):
        read_language(ENGLISH.replace(old, new).encode(), "en", "en.toml")
