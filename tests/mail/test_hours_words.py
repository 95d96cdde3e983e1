"""Opening hours are said as people speak, in words that a language's file gives."""

from __future__ import annotations

import tomllib

import pytest

from service.domain.strict_table import Table
from service.errors import BadProtocol
from service.mail.catalogue import templates_root
from service.mail.hours_words import HourWords, read_hour_words

_TABLE = tomllib.loads((templates_root() / "languages" / "en.toml").read_text("utf-8"))["hours"]
ENGLISH = read_hour_words(Table(_TABLE, "en.toml", "hours"), "en")


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (
            "mon-fri 09:00-18:00; sat 10:00-14:00",
            "We are open Monday to Friday 9 am to 6 pm, and Saturday 10 am to 2 pm.",
        ),
        ("mon 09:30-12:00, 13:00-17:00", "We are open Monday 9:30 am to midday and 1 pm to 5 pm."),
        ("sat-sun 10:00-16:00", "We are open Saturday and Sunday 10 am to 4 pm."),
        ("mon-sun 08:00-24:00", "We are open every day 8 am to midnight."),
        ("mon-fri 00:00-24:00", "We are open Monday to Friday all day."),
        ("mon 00:00-00:30, 12:30-13:00", "We are open Monday midnight to 12:30 am and 12:30 pm to 1 pm."),
        (
            "mon-thu 09:00-18:00; fri 09:00-16:00; sun 10:00-12:00",
            "We are open Monday to Thursday 9 am to 6 pm, and Friday 9 am to 4 pm. We are open Sunday 10 am to midday.",
        ),
    ],
)
def test_the_sentence_reads_as_people_speak(raw: str, sentence: str) -> None:
    assert ENGLISH.sentence(raw).replace("\u00a0", " ") == sentence


def test_no_sentence_grows_past_twenty_words() -> None:
    hours = "; ".join(
        f"{day} 0{number}:30-1{number}:30" for number, day in enumerate(["mon", "tue", "wed", "thu", "fri"], 3)
    )
    assert all(len(sentence.split()) <= 20 for sentence in ENGLISH.sentence(hours).split(". "))


def test_another_language_is_only_its_words() -> None:
    words = _TABLE | {
        "open": "Abierto {days}.",
        "days": "de {first} a {last}",
        "span": "{opens}-{closes}",
        "hour": "H:mm",
        "hour_minute": "H:mm",
    }
    spanish: HourWords = read_hour_words(Table(words, "es.toml", "hours"), "es")
    assert spanish.sentence("mon-fri 09:00-18:00") == "Abierto de lunes a viernes 9:00-18:00."


def test_a_word_without_its_place_is_refused_by_name() -> None:
    with pytest.raises(BadProtocol, match=r"hours\.span"):
        read_hour_words(Table(_TABLE | {"span": "von bis"}, "de.toml", "hours"), "de")
