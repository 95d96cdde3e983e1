"""The quick way and the library agree on every address, and a refusal never repeats what was typed."""

from __future__ import annotations

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from service.actions import addresses
from service.actions.addresses import check_address
from service.errors import BadInput


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("sam@example.com", "sam@example.com"),
        ("  Sam.Jones+smp@Example.COM ", "Sam.Jones+smp@example.com"),
        ("Sam@example.com", "Sam@example.com"),
        ("INFO@example.com", "info@example.com"),
        ("o'neil!#$%&*/=?^`{|}~@example.org", "o'neil!#$%&*/=?^`{|}~@example.org"),
        ("sam@müller.example.com", "sam@xn--mller-kva.example.com"),
        ("sam@xn--mller-kva.example.com", "sam@xn--mller-kva.example.com"),
        ("sam@a-b.c-d.co", "sam@a-b.c-d.co"),
        (f"{'a' * 70}@example.com", f"{'a' * 70}@example.com"),
    ],
)
def test_an_address_is_kept_with_its_domain_in_small_ascii_letters(raw: str, address: str) -> None:
    assert check_address(raw) == address


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("sam", "has no @"),
        ("sam＠example.com", "has no @"),
        ("@example.com", "before or after"),
        ("sam@", "before or after"),
        ("sam jones@example.com", "contains a space"),
        ("Sam <sam@example.com>", "more than one plain address"),
        ("<sam@example.com>", "more than one plain address"),
        ("sam@example.com, eve@example.com", "more than one plain address"),
        ("sam@@example.com", "more than one plain address"),
        ('"sam jones"@example.com', "more than one plain address"),
        ("sam@example.com\r\nBcc: eve@example.com", "control character"),
        ("sam@example.com\n", "control character"),
        ("sam\x00@example.com", "control character"),
        ("sam\u2028@example.com", "control character"),
        ("sam\x85@example.com", "control character"),
        ("zoë@example.com", "before the @"),
        ("sam.@example.com", "a dot where none"),
        (".sam@example.com", "a dot where none"),
        ("s..am@example.com", "a dot where none"),
        ("sam@example..com", "a dot where none"),
        ("sam@clinic.test", "reserved"),
        ("sam@test", "reserved"),
        ("sam@LOCALHOST", "reserved"),
        ("sam@mail.INVALID", "reserved"),
        ("sam@printer.local", "reserved"),
        ("sam@hidden.onion", "reserved"),
        ("sam@example", "has no dot"),
        ("sam@[127.0.0.1]", "not an e-mail address"),
        ("sam@127.0.0.1", "not an e-mail address"),
        ("sam@-a.com", "not an e-mail address"),
        ("sam@a_b.com", "not an e-mail address"),
        ("sam@ab--c.com", "not an e-mail address"),
        ("sam@\u202eexample.com", "not an e-mail address"),
        ("=?utf-8?q?sam?=@example.com\x1b", "control character"),
        (f"{'a' * 250}@example.com", "longer than 254"),
        (f"sam@{'a' * 64}.com", "not an e-mail address"),
    ],
)
def test_a_refusal_says_in_plain_words_what_is_wrong(raw: str, says: str) -> None:
    with pytest.raises(BadInput) as refusal:
        check_address(raw)
    assert says in refusal.value.message
    assert refusal.value.field == "email"
    assert refusal.value.next_step
    assert refusal.value.message.isascii()
    assert raw.strip() == "" or raw.strip() not in refusal.value.message


@pytest.mark.parametrize("character", [*map(chr, (*range(32), *range(127, 160))), "\u2028", "\u2029"])
def test_every_control_character_is_refused_wherever_it_stands(character: str) -> None:
    for raw in (f"sam{character}@example.com", f"sam@example.com{character}", f"{character}sam@example.com"):
        with pytest.raises(BadInput, match="control character"):
            check_address(raw)


def _library(address: str) -> str | None:
    try:
        valid = validate_email(address, allow_smtputf8=False, check_deliverability=False)
    except EmailNotValidError:
        return None
    return valid.ascii_email


ALMOST = st.text(alphabet="aAzZ09._-+@xn'", max_size=20)
LABELS = st.from_regex(r"\A[a-zA-Z0-9-]{1,5}\Z", fullmatch=True)
ADDRESSES = st.builds(
    lambda local, labels, top: f"{local}@{'.'.join([*labels, top])}",
    st.one_of(st.sampled_from(["INFO", "Postmaster", "Sam"]), st.text(alphabet="aZ0._+-", min_size=1, max_size=6)),
    st.lists(LABELS, max_size=3),
    st.sampled_from(["com", "COM", "test", "Local", "arpa", "x", "c0m", "xn--p1ai", "museum"]),
)


@given(st.one_of(ALMOST, ADDRESSES, st.emails(), st.from_regex(addresses._PLAIN, fullmatch=True)))
@example("INFO@example.com")
@example("a@ab--c.com")
@example("a@b.test")
@example("a@x.arpa")
def test_the_quick_way_takes_only_what_the_library_takes_and_makes_the_same_of_it(address: str) -> None:
    try:
        taken = check_address(address)
    except BadInput:
        taken = None
    stripped = address.strip()
    assert taken == (_library(stripped) if stripped.isprintable() else None)


def test_the_quick_way_is_in_use() -> None:
    assert addresses._PLAIN.fullmatch("Sam.Jones+smp@mail-2.Example.co.uk")
