"""Names in any script pass, whatever could break out of a line or mislead a reader does not."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.persons import (
    clean_language,
    clean_line,
    clean_name,
    clean_phone,
    fold_address,
    fold_name,
    greeting_name,
)
from service.errors import BadInput

NASTY = "=?_ \t\r\n\x00\x1f\x7f\x85\x9f\u2028\u2029\u202e\u2066\u2069\u200b\u200d\ufeff\ufffd\ud800aéא中🌸'-,."


@pytest.mark.parametrize(
    "name",
    [
        "Sam",
        "Anne-Marie O’Neill",
        "D'Angelo Jr.",
        "Łukasz Żółć",
        "محمد بن سلمان",
        "שרה כהן",
        "می\u200cخواهم",
        "क्\u200dष",
        "王小明",
        "김 민수",
        "Ngũgĩ wa Thiong'o",
        "X Æ A-12",
        "=1+1",
        "@home",
        "🌸",
        "a" * 200,
        "é" * 200,
    ],
)
def test_a_name_in_any_script_passes_unchanged(name: str) -> None:
    assert clean_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  Sam   Jones ", "Sam Jones"),
        ("Sam\u00a0Jones", "Sam Jones"),
        ("Sam\u3000Jones", "Sam Jones"),
        ("Jose\u0301", "José"),
    ],
)
def test_white_space_is_folded_and_letters_are_composed(raw: str, clean: str) -> None:
    assert clean_name(raw) == clean


@pytest.mark.parametrize("character", [chr(code) for code in (*range(32), *range(127, 160))])
def test_every_control_character_is_refused(character: str) -> None:
    for raw in (f"Sam{character}Jones", f"Sam{character}", f"Zoë{character}"):
        with pytest.raises(BadInput) as refusal:
            clean_name(raw)
        assert refusal.value.field == "name"
        assert character not in refusal.value.message


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("Sam\r\nBcc: eve@example.com", "a line break (U+000D)"),
        ("Sam\u2028Jones", "a line break (U+2028)"),
        ("Sam\u0085Jones", "a line break (U+0085)"),
        ("Sam\tJones", "a tab"),
        ("Sam\x00", "a control character (U+0000)"),
        ("Sam \u202egpj.exe", "direction of writing (U+202E)"),
        ("\u2067Sam\u2069", "direction of writing (U+2067)"),
        ("Sam\u2069", "direction of writing (U+2069)"),
        ("S\uffff", "a damaged character (U+FFFF)"),
        ("S\ufffdm", "a damaged character (U+FFFD)"),
        ("S\udc9fm", "a damaged character (U+DC9F)"),
        ("=?utf-8?B?U2Ft?=", "coded e-mail header"),
        ("Sam =?ISO-8859-1?q?=0D=0ABcc:_eve@example.com?= Jones", "coded e-mail header"),
        ("=?x? ?a b?c?=", "coded e-mail header"),
        ("", "is empty"),
        ("   ", "is empty"),
        ("\u200b\u200d\ufeff", "is empty"),
        ("\u3164", "is empty"),
        ("\u0301", "is empty"),
        ("a" * 201, "has 201 characters"),
        ("é" * 201, "has 201 characters"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_do(raw: str, says: str) -> None:
    with pytest.raises(BadInput) as refusal:
        clean_name(raw)
    assert says in refusal.value.message
    assert refusal.value.field == "name"
    assert refusal.value.next_step


def test_a_setting_obeys_the_same_rule_under_its_own_name_and_limit() -> None:
    assert clean_line("sender_name", "  The Clinic ", 20) == "The Clinic"
    with pytest.raises(BadInput, match="The sender name has 21 characters") as refusal:
        clean_line("sender_name", "x" * 21, 20)
    assert refusal.value.field == "sender_name"
    with pytest.raises(BadInput, match="line break"):
        clean_line("sender_name", "The\nClinic", 20)


@given(st.one_of(st.text(), st.text(alphabet=NASTY, max_size=12)))
def test_whatever_passes_is_one_harmless_line_and_passes_again(raw: str) -> None:
    try:
        name = clean_name(raw)
    except BadInput:
        return
    assert 1 <= len(name) <= 200
    assert len(name.splitlines()) == 1
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name)
    assert not any("\u202a" <= c <= "\u202e" or "\u2066" <= c <= "\u2069" for c in name)
    assert not ("=?" in name and name.split("=?", 1)[1].count("?") >= 3 and "?=" in name.rsplit("?", 1)[-1])
    assert clean_name(name) == name


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("999", "999"),
        ("+44 1632 960001", "+44 1632 960001"),
        (" (01632) 960-001 ", "(01632) 960-001"),
        ("(+44) 1632.960.001", "(+44) 1632.960.001"),
        ("01632 960001 ext. 12", "01632 960001 ext. 12"),
        ("01632 960001 x12", "01632 960001 x12"),
        ("+1–555–0100", "+1-555-0100"),
        ("+44 1632", "+44 1632"),
    ],
)
def test_a_phone_number_is_kept_as_people_write_it(raw: str, clean: str) -> None:
    assert clean_phone(raw) == clean


@pytest.mark.parametrize(
    "raw",
    ["", "12", "call me", "44+1632", "+44 1632; 960001", "=1+1", "1" * 33, "( ) - .", "12\n345", "٠١٢٣", "555 ext"],
)
def test_what_is_no_phone_number_is_refused(raw: str) -> None:
    with pytest.raises(BadInput) as refusal:
        clean_phone(raw, field="urgent_line_number")
    assert refusal.value.field == "urgent_line_number"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("en", "en"),
        (" EN ", "en"),
        ("es_mx", "es-MX"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("haw", "haw"),
    ],
)
def test_a_language_gets_its_usual_capitals(raw: str, clean: str) -> None:
    assert clean_language(raw) == clean


@pytest.mark.parametrize("raw", ["", "English", "e", "en-", "en-USA", "en\nde", "en/../x", "ｅｎ"])
def test_what_is_no_language_code_is_refused(raw: str) -> None:
    with pytest.raises(BadInput, match="not a language code"):
        clean_language(raw)


def test_names_match_whatever_their_case_width_and_invisible_signs() -> None:
    assert fold_name(" ZOË  O’Neill ") == fold_name("Zoe\u0308 o'neill")
    assert fold_name("Ｓam\u200b") == fold_name("sam")
    assert fold_name("STRASSE") == fold_name("Straße")
    assert fold_name("Sam") != fold_name("Sam J")


def test_addresses_match_whatever_their_case() -> None:
    assert fold_address("Sam.Jones@Example.COM") == fold_address(" sam.jones@example.com")
    assert fold_address("sam@example.com") != fold_address("sam@example.org")


@given(st.text())
def test_folding_twice_changes_nothing(raw: str) -> None:
    assert fold_name(fold_name(raw)) == fold_name(raw)
    assert fold_address(fold_address(raw)) == fold_address(raw)


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Sam Jones", "Sam"),
        ("Sam", "Sam"),
        ("Anne-Marie O’Neill", "Anne-Marie"),
        ("D'Angelo Smith", "D'Angelo"),
        ("Jones, Sam", "Sam"),
        ("Jones, Sam, PhD", "Sam"),
        ("Sam Jones, PhD", "Sam"),
        ("Sam Jones Jr.", "Sam"),
        ("Dr Anna Jones", "Dr Jones"),
        ("Dr. Jones", "Dr. Jones"),
        ("Mrs Maria de la Cruz", "Mrs de la Cruz"),
        ("Prof. Dr. Anna van der Berg", "Prof. Dr. van der Berg"),
        ("mr sam jones", "mr jones"),
        ("Jones, Dr Anna", "Dr Jones"),
        ("Mr Jones Jr", "Mr Jones"),
        ("J. Jones", "J. Jones"),
        ("J.R. Jones", "J.R."),
        ("محمد بن سلمان", "محمد"),
        ("می\u200cنا احمدی", "می\u200cنا"),
        ("王小明", "王小明"),
        ("王 小明", "王"),
        ("Sam " + "J" * 36, "Sam"),
        ("mr van berg", "mr berg"),
    ],
)
def test_a_person_is_greeted_as_people_do(name: str, greeting: str) -> None:
    assert greeting_name(name) == greeting


@pytest.mark.parametrize(
    "name",
    ["www.evil.example", "evil.example Sam", "http://x", "=1+1", "Sam<b>", "🌸", "-", "'", "Dr", "Mr. Jr", "123 Sam", "Sam " + "J" * 37, "a, b, c", ",", "", "Sam@example.com", "S.am", "Mr evil.example"],
)  # fmt: skip
def test_long_and_odd_names_are_greeted_as_client(name: str) -> None:
    assert greeting_name(name) == "client"
    assert greeting_name(name, otherwise="") == ""


@given(st.text(), st.sampled_from(["", "Dr ", "Jones, ", "J. "]))
def test_a_greeting_is_short_and_holds_nothing_a_mail_program_would_make_a_link(name: str, before: str) -> None:
    greeting = greeting_name(before + name)
    assert 1 <= len(greeting) <= 40
    assert not set(greeting) & set('<>&@:/\\"=?#\r\n0123456789')
