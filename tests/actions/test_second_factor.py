"""The second factor: which codes open, once each; where its secret can be read; who may remove it."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from service.actions import clinic_setup, second_factor, sign_in
from service.actions.second_factor import Confirming, Half
from service.actions.sign_in import Session, Signed, Typed, digest
from service.errors import BadInput, NotAllowed, NotFound
from service.mail.signing import Signer
from service.store import staff
from service.store.engine import Store
from tests.support.world import World, another_clinic, at, make_world

NOW = at("2026-11-20 12:00")
STEP = timedelta(seconds=30)
EMAIL, PASSWORD = "lee@example.com", "violet anchor biscuit moon"
OLD, NEW = b"an older key of these tests alone", b"the newest key of these tests alone"
KEYS = Signer([OLD]).keys(second_factor.USE)


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    made = make_world(store, tmp_path)
    with store.write() as connection:
        given = {"email": EMAIL, "name": "Dr Lee", "role": "clinician"}
        _, token = clinic_setup.invite(connection, made.clinic, given, made.who("2026-11-20 10:00"))
    sign_in.choose_password(store, token, PASSWORD, at("2026-11-20 10:00"))
    return made


def me(world: World, now: datetime = NOW, session: str = "s1") -> Signed:
    with world.store.read() as connection:
        return Signed(world.clinic.id, staff.active_with(connection, EMAIL)[0]["id"], session, "192.0.2.1", now)


def set_up(world: World, now: datetime = NOW - timedelta(hours=1)) -> pyotp.TOTP:
    begun = second_factor.show(KEYS, EMAIL, "s1")
    phone = pyotp.TOTP(begun.secret)
    second_factor.confirm(world.store, KEYS, me(world, now), Confirming(begun.sealed, phone.at(now), PASSWORD))
    return phone


def half(world: World, now: datetime = NOW, address: str = "192.0.2.1") -> Session:
    made = sign_in.sign_in(world.store, Typed(EMAIL, PASSWORD, address), now)
    assert made is not None
    return made


def give(world: World, made: Session, code: str, now: datetime = NOW, address: str = "192.0.2.1") -> Session | None:
    return second_factor.give(world.store, KEYS, Half(digest(made.token), code, address), now)


def is_open(world: World, token: str, now: datetime = NOW) -> bool:
    with world.store.read() as connection:
        row = staff.session(connection, digest(token), now)
    return row is not None and bool(row["complete"])


def test_the_picture_says_what_an_app_needs_and_every_secret_is_new() -> None:
    begun, other = (second_factor.show(KEYS, "o'neil+x@example.com", "s1") for _ in range(2))
    uri = urlsplit(begun.uri)
    assert (uri.scheme, uri.netloc) == ("otpauth", "totp")
    assert parse_qs(uri.query) == {"secret": [begun.secret], "issuer": ["Aftercare"]}
    assert begun.secret != other.secret
    assert len(begun.secret) == 32  # 160 bits
    assert begun.secret not in begun.sealed


def test_it_is_asked_for_only_after_the_app_has_shown_a_right_code(world: World) -> None:
    begun = second_factor.show(KEYS, EMAIL, "s1")
    for code in ("", "000000", "abcdef", "１２３４５６", pyotp.TOTP(begun.secret).at(NOW - 2 * STEP)):
        with pytest.raises(BadInput) as refused:
            second_factor.confirm(world.store, KEYS, me(world), Confirming(begun.sealed, code, PASSWORD))
        assert refused.value.field == "code"
    assert half(world).complete
    second_factor.confirm(
        world.store, KEYS, me(world), Confirming(begun.sealed, pyotp.TOTP(begun.secret).at(NOW), PASSWORD)
    )
    assert not half(world).complete


def test_an_open_session_alone_does_not_bring_in_another_phone(world: World) -> None:
    begun = second_factor.show(KEYS, EMAIL, "s1")
    code = pyotp.TOTP(begun.secret).at(NOW)
    for _guess in range(10):
        with pytest.raises(BadInput) as refused:
            second_factor.confirm(world.store, KEYS, me(world), Confirming(begun.sealed, code, "a guess"))
        assert refused.value.field == "password"
    with pytest.raises(NotAllowed, match="too many tries"):
        second_factor.confirm(world.store, KEYS, me(world), Confirming(begun.sealed, code, PASSWORD))
    assert half(world, NOW + timedelta(minutes=6)).complete


def test_what_was_begun_counts_only_in_its_own_session_and_under_a_key_of_ours(world: World) -> None:
    begun = second_factor.show(KEYS, EMAIL, "s1")
    code = pyotp.TOTP(begun.secret).at(NOW)
    for sealed, session in (
        (begun.sealed, "s2"),
        (begun.sealed[:-4] + "AAAA", "s1"),
        ("", "s1"),
        ("é", "s1"),
        ("AAAA", "s1"),
    ):
        with pytest.raises(BadInput, match="too old"):
            second_factor.confirm(world.store, KEYS, me(world, session=session), Confirming(sealed, code, PASSWORD))
    assert second_factor.show_again(KEYS, EMAIL, "s1", begun.sealed).secret == begun.secret
    assert second_factor.show_again(KEYS, EMAIL, "s2", begun.sealed).secret != begun.secret


def test_a_second_one_does_not_replace_the_first_in_silence(world: World) -> None:
    set_up(world)
    begun = second_factor.show(KEYS, EMAIL, "s1")
    with pytest.raises(NotAllowed, match="already"):
        second_factor.confirm(
            world.store, KEYS, me(world), Confirming(begun.sealed, pyotp.TOTP(begun.secret).at(NOW), PASSWORD)
        )


@pytest.mark.parametrize("apart", [-1, 0, 1])
def test_a_phone_may_be_a_step_early_or_late(world: World, apart: int) -> None:
    phone = set_up(world)
    made = give(world, half(world), phone.at(NOW + apart * STEP))
    assert made is not None
    assert made.complete
    assert is_open(world, made.token)


@pytest.mark.parametrize("apart", [-2, 2, -120])
def test_but_not_more(world: World, apart: int) -> None:
    phone = set_up(world)
    with pytest.raises(BadInput):
        give(world, half(world), phone.at(NOW + apart * STEP))


def test_each_code_opens_once_and_no_earlier_one_after_it(world: World) -> None:
    phone = set_up(world)
    assert give(world, half(world), phone.at(NOW)) is not None
    for used in (phone.at(NOW), phone.at(NOW - STEP)):
        with pytest.raises(BadInput, match="used already"):
            give(world, half(world), used)
    assert give(world, half(world), phone.at(NOW + STEP)) is not None


def test_the_code_that_confirmed_it_is_used_up_too(world: World) -> None:
    phone = set_up(world, NOW)
    with pytest.raises(BadInput):
        give(world, half(world), phone.at(NOW))


def test_the_half_session_ends_and_the_whole_one_has_a_token_of_its_own(world: World) -> None:
    phone = set_up(world)
    before = half(world)
    made = give(world, before, phone.at(NOW))
    assert made is not None
    assert made.token != before.token
    assert (is_open(world, before.token), is_open(world, made.token)) == (False, True)
    assert give(world, before, phone.at(NOW + STEP)) is None
    assert give(world, made, phone.at(NOW + STEP)) is None  # a whole one asks for none


def test_half_a_session_is_over_after_ten_minutes(world: World) -> None:
    phone, before = set_up(world), half(world)
    later = NOW + sign_in.HALF_FOR
    assert give(world, before, phone.at(later), later) is None


def test_codes_are_counted_for_the_person_whatever_the_address_and_however_often_the_password_is_given(
    world: World,
) -> None:
    phone = set_up(world)
    for number in range(10):
        with pytest.raises(BadInput):
            give(world, half(world, address=f"192.0.2.{number}"), "000000", address=f"192.0.2.{number}")
    with pytest.raises(NotAllowed, match="too many tries"):
        give(world, half(world, address="192.0.2.99"), phone.at(NOW), address="192.0.2.99")


def test_a_key_that_became_older_still_opens_and_a_lost_one_is_said(world: World) -> None:
    phone = set_up(world)
    rotated, lost = (Signer(ring).keys(second_factor.USE) for ring in ([NEW, OLD], [NEW]))
    before = half(world)
    asked = Half(digest(before.token), phone.at(NOW), "192.0.2.1")
    with pytest.raises(BadInput) as refused:
        second_factor.give(world.store, lost, asked, NOW)
    assert "owner" in str(refused.value.next_step)
    assert second_factor.give(world.store, rotated, asked, NOW) is not None


def test_one_persons_secret_is_nothing_in_anothers_row(world: World) -> None:
    phone = set_up(world)
    with world.store.write() as connection:
        given = {"email": "bo@example.com", "name": "Bo", "role": "owner"}
        bo, token = clinic_setup.invite(connection, world.clinic, given, world.who("2026-11-20 10:00"))
    sign_in.choose_password(world.store, token, PASSWORD, NOW)
    with world.store.write() as connection:
        stolen = staff.active_with(connection, EMAIL)[0]["code_secret"]
        staff.change(connection, bo, code_secret=stolen)
    made = sign_in.sign_in(world.store, Typed("bo@example.com", PASSWORD, ""), NOW)
    assert made is not None
    with pytest.raises(BadInput):
        give(world, made, phone.at(NOW))


def test_setting_it_up_and_removing_it_end_the_other_sessions(world: World) -> None:
    other, own = half(world), half(world)
    begun = second_factor.show(KEYS, EMAIL, digest(own.token))
    mine = me(world, session=digest(own.token))
    second_factor.confirm(world.store, KEYS, mine, Confirming(begun.sealed, pyotp.TOTP(begun.secret).at(NOW), PASSWORD))
    assert (is_open(world, other.token), is_open(world, own.token)) == (False, True)
    second_factor.remove_own(world.store, mine, PASSWORD)
    assert is_open(world, own.token)
    assert half(world).complete


def test_removing_ones_own_takes_the_password_and_is_throttled(world: World) -> None:
    set_up(world)
    for _ in range(10):
        with pytest.raises(BadInput, match="not your password"):
            second_factor.remove_own(world.store, me(world), "wrong")
    with pytest.raises(NotAllowed):
        second_factor.remove_own(world.store, me(world), PASSWORD)
    second_factor.remove_own(world.store, me(world, NOW + timedelta(minutes=6)), PASSWORD)


def test_the_owner_removes_it_for_who_lost_the_phone_and_the_sessions_end(world: World) -> None:
    phone = set_up(world)
    made = give(world, half(world), phone.at(NOW))
    assert made is not None
    foreign = another_clinic(world, name="Southgate")
    with pytest.raises(NotFound), world.store.write() as connection:
        second_factor.remove_for(connection, foreign.clinic, me(world).staff_id, world.who("2026-11-20 12:00"))
    with world.store.write() as connection:
        second_factor.remove_for(connection, world.clinic, me(world).staff_id, world.who("2026-11-20 12:00"))
    assert not is_open(world, made.token)
    assert half(world).complete
