from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.mail_domains import COMMON, suggest


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("karim@gmial.com", "karim@gmail.com"),
        ("karim@gmail.con", "karim@gmail.com"),
        ("karim@gmail.co", "karim@gmail.com"),
        ("karim@gmai.com", "karim@gmail.com"),
        ("karim@gmaill.com", "karim@gmail.com"),
        ("karim@GMIAL.com", "karim@gmail.com"),
        ("Karim.H@hotmial.co.uk", "Karim.H@hotmail.co.uk"),
        ("k@hotmal.com", "k@hotmail.com"),
        ("k@yaho.com", "k@yahoo.com"),
        ("k@outlok.com", "k@outlook.com"),
        ("k@iclould.com", "k@icloud.com"),
        (" k@btinternt.com ", "k@btinternet.com"),
    ],
)
def test_a_slip_in_a_common_domain_is_asked_about(typed: str, meant: str) -> None:
    assert suggest(typed) == meant


@pytest.mark.parametrize("domain", [*COMMON, "ymail.com", "mac.com", "me.com", "hotmail.fr", "yahoo.ca", "gmx.net"])
def test_a_real_domain_is_never_doubted(domain: str) -> None:
    assert not suggest(f"karim@{domain}")


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "karim",
        "karim@",
        "@gmial.com",
        "karim@northgate-clinic.org",
        "karim@example.com",
        "karim@bbc.co.uk",
        "karim@" + "gmail" * 40,
        "k@m.com",
    ],
)
def test_nothing_is_asked_where_nothing_can_be_known(typed: str) -> None:
    assert not suggest(typed)


@given(st.text(max_size=60))
def test_a_hint_is_another_address_with_the_same_name(raw: str) -> None:
    hint = suggest(f"karim@{raw}")
    if hint:
        assert hint != f"karim@{raw}"
        assert hint.rpartition("@")[2] in COMMON
