"""Which passwords staff may choose, and how they are kept."""

from __future__ import annotations

import pytest

from service.actions.passwords import _NOBODY, LEAST, MOST, check_password, fits, is_outdated, seal_password
from service.errors import BadInput

ABOUT = (
    "dr.lee@northgate-clinic.org",
    "Dr Lee Mwangi",
    "Northgate Clinic",
    "northgate",
    "clinic",
    "mwangi",
    "aftercare",
)

GOOD = [
    "violet anchor biscuit moon",
    "correct horse battery staple",
    "tYw9!kq2Lm#z",
    "ein langes deutsches Wort",
    "пароль который трудно угадать",
    "山水之间有一座小桥流水人家",
    "🦊🐘🦋🐢🦀🐙🦉🐝🦆🐳🦔🐞",
    "   spaces   are   letters   too   ",
    "violet northgate anchor biscuit moon",
    "violet anchor biscuit moon, " * 30,
    "Kj4 Pq9 Wz2 Nv6",
]
WEAK = [
    "",
    "short",
    "elevenchars",
    "password1234",
    "passwordpassword",
    "Password12345!",
    "qwertyuiop12",
    "qwertyuiop[]",
    "123456789012",
    "aaaaaaaaaaaaaaaa",
    "abcabcabcabcabc",
    "letmeinletmein",
    "iloveyou1234",
    "football2024",
    "northgateclinic",
    "Northgate-Clinic-2026",
    "northgate clinic northgate",
    "MwangiMwangi1",
    "dr.lee@northgate-clinic.org",
    "aftercare1234",
    "x" * (MOST + 1),
]


@pytest.mark.parametrize("password", GOOD)
def test_a_long_password_that_is_hard_to_guess_will_do_in_any_script(password: str) -> None:
    check_password(password, ABOUT)


@pytest.mark.parametrize("password", WEAK)
def test_a_password_that_others_would_try_is_refused_with_a_way_out(password: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_password(password, ABOUT)
    assert refused.value.field == "password"
    assert refused.value.next_step
    assert not password or password not in refused.value.message


def test_the_least_length_is_counted_in_characters() -> None:
    with pytest.raises(BadInput, match=f"it has {LEAST - 1} characters; {LEAST} are needed"):
        check_password("é" * (LEAST - 1))


def test_what_is_kept_is_argon2id_as_owasp_advises_and_never_the_same_twice() -> None:
    kept = seal_password(GOOD[0])
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert kept != seal_password(GOOD[0])
    assert not is_outdated(kept)
    assert is_outdated("$argon2id$v=19$m=8192,t=1,p=1$c29tZXNhbHRzb21l$cXdlcnR5dWlvcA")


def test_only_the_very_password_fits() -> None:
    kept = seal_password(" Violet anchor ")
    assert fits(" Violet anchor ", kept)
    assert not any(fits(typed, kept) for typed in ("violet anchor", " violet anchor ", " Violet anchor", "", kept))


def test_where_nothing_is_kept_nothing_fits_and_as_much_is_calculated() -> None:
    assert not fits("nobody has this password", None)
    assert not fits("", None)
    assert not fits("x", "not a hash")
    assert not is_outdated(_NOBODY)  # sealed with the parameters of every other one
