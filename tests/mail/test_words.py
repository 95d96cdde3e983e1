"""Facts are shown as the language writes them; what a slot needs and does not have is refused."""

from __future__ import annotations

import pytest

from service.domain.letter import SlotKind
from service.errors import BadProtocol, BadText
from service.mail.words import Language, display, phone_href, phone_shown, read_language

ENGLISH = """
[words]
date = "EEEE d MMMM"
nameless = "client"
urgent = "Urgent"
emergency = "Emergency"
call = "Call {phone}"
contact = "{name} on {number}"
next_line = "We will write again on {date}."
closed_line = "We are closed on {date}."
wash_line = "Wash as we said."
more = "More"
check_in = "Answer"
today = "Look"
why = "Because."
stop = "Stop"

[safety]
over = ["Gone"]
"""


def language(tag: str = "en", source: str = ENGLISH) -> Language:
    return read_language(source.encode(), tag, f"languages/{tag}.toml")


@pytest.mark.parametrize(
    ("tag", "pattern", "shown"),
    [
        ("en", "EEEE d MMMM", "Saturday 21 November"),
        ("de", "EEEE, d. MMMM", "Samstag, 21. November"),
        ("pt-BR", "EEEE, d 'de' MMMM", "sábado, 21 de novembro"),
        ("ar", "EEEE d MMMM", "السبت 21 نوفمبر"),
    ],
)
def test_a_date_is_written_as_the_language_writes_it(tag: str, pattern: str, shown: str) -> None:
    found = language(tag, ENGLISH.replace("EEEE d MMMM", pattern))
    assert display({"for_date": "2026-11-21"}, {"for_date": SlotKind.DATE}, found) == {"for_date": shown}


def test_the_direction_comes_from_the_language() -> None:
    assert language("he").direction == "rtl"
    assert language("en").direction == "ltr"


@pytest.mark.parametrize(
    ("number", "href"),
    [
        ("01632 960 001", "tel:01632960001"),
        ("+44 (1632) 960-001", "tel:+441632960001"),
        ("01632 960001 ext 5", "tel:01632960001"),
        ("01632 960001#5", "tel:01632960001"),
        ("999", "tel:999"),
    ],
)
def test_a_phone_number_becomes_an_address_to_dial(number: str, href: str) -> None:
    assert phone_href(number) == href


def test_a_shown_number_does_not_break_at_its_spaces() -> None:
    assert phone_shown("01632  960 001") == "01632\u00a0960\u00a0001"


def test_a_contact_may_have_no_number() -> None:
    facts = {"urgent_line_name": "your doctor", "urgent_line_number": ""}
    shown = display(facts, {"urgent_line": SlotKind.CONTACT}, language())
    assert shown == {
        "urgent_line_name": "your doctor",
        "urgent_line_number": "",
        "urgent_line_number_href": "",
        "urgent_line_number_shown": "",
    }


def test_lines_have_their_own_words_or_the_neutral_ones_of_the_language() -> None:
    kinds = {"wash_line": SlotKind.LINE, "hours_line": SlotKind.HOURS, "next_line": SlotKind.DATED_LINE}
    facts = {"wash_line": "", "hours_line": "", "next_date": ""}
    assert display(facts, kinds, language()) == {"wash_line": "Wash as we said.", "hours_line": "", "next_line": ""}
    facts = {"wash_line": "Use cool water.", "hours_line": "", "next_date": "2026-11-23"}
    assert display(facts, kinds, language())["wash_line"] == "Use cool water."
    assert display(facts, kinds, language())["next_line"] == "We will write again on Monday 23 November."


def test_a_name_that_cannot_be_used_is_replaced_by_a_neutral_word() -> None:
    assert display({"greeting_name": ""}, {"greeting_name": SlotKind.TEXT}, language()) == {"greeting_name": "client"}


@pytest.mark.parametrize(
    ("slot", "kind", "facts"),
    [
        ("phone", SlotKind.PHONE, {"phone": ""}),
        ("phone", SlotKind.PHONE, {}),
        ("sender_name", SlotKind.TEXT, {"sender_name": ""}),
        ("missed_date", SlotKind.DATE, {"missed_date": ""}),
        ("urgent_line", SlotKind.CONTACT, {"urgent_line_name": "", "urgent_line_number": "111"}),
    ],
)
def test_an_email_without_what_it_needs_is_not_shown(slot: str, kind: SlotKind, facts: dict[str, str]) -> None:
    with pytest.raises(BadText) as caught:
        display(facts, {slot: kind}, language())
    assert caught.value.field == slot


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('stop = "Stop"', "", "words.stop"),
        ('stop = "Stop"', 'stop = "Stop"\nstopp = "x"', "words.stopp"),
        ("Call {phone}", "Call us", "words.call"),
        ("Call {phone}", "Call {phone} {phone}", "words.call"),
        ('stop = "Stop"', 'stop = "Stop {x}"', "words.stop"),
        ("[safety]", "[safe]", "safety"),
        ('over = ["Gone"]', "over = 3", "safety.over"),
        ("[words]", "[words", "syntax"),
    ],
)
def test_a_mistake_in_a_language_file_names_its_key(old: str, new: str, field: str) -> None:
    with pytest.raises(BadProtocol) as caught:
        language(source=ENGLISH.replace(old, new))
    assert caught.value.field == field
    assert caught.value.message.startswith("languages/en.toml: ")


@pytest.mark.parametrize("tag", ["xx-nowhere", "english", "e"])
def test_a_file_named_after_no_language_is_refused(tag: str) -> None:
    with pytest.raises(BadProtocol, match="is not a language"):
        language(tag)


def test_the_version_follows_every_word_that_is_sent() -> None:
    assert language().version == language(source=ENGLISH.replace('"Gone"', '"Over"')).version
    assert language().version != language(source=ENGLISH.replace("Because.", "Why not.")).version
