"""Tokens come back as what they were, for their one purpose, and show nothing on the way."""

import os
import re
import stat
from base64 import urlsafe_b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hmac import digest
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadConfiguration
from service.mail import signing
from service.mail.signing import Signer, load_or_make_key, new_key

OLD, NEW, FOREIGN = (letter * 40 for letter in (b"o", b"n", b"f"))
SIGNER = Signer([NEW, OLD])
SUBJECTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=17).filter(
    lambda text: len(text.encode()) <= 17
)


@given(SUBJECTS)
def test_a_token_reads_back_for_its_purpose_only(subject: str) -> None:
    token = SIGNER.token("stop", subject)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", token)
    assert SIGNER.read_token("stop", token) == subject
    assert SIGNER.read_token("check-in", token) is None
    assert Signer([FOREIGN]).read_token("stop", token) is None
    assert token == SIGNER.token("stop", subject)


@given(SUBJECTS)
def test_a_bounce_address_reads_back_in_any_case_and_fits(subject: str) -> None:
    local_part = SIGNER.bounce_local_part(subject)
    assert len(local_part) <= 64
    assert re.fullmatch(r"bounces\+[a-z2-7]+", local_part)
    assert SIGNER.read_bounce_local_part(local_part) == subject
    assert SIGNER.read_bounce_local_part(local_part.upper()) == subject
    assert Signer([FOREIGN]).read_bounce_local_part(local_part) is None
    assert SIGNER.read_token("bounce", local_part.removeprefix("bounces+")) is None


def test_every_key_of_the_ring_opens_what_it_closed() -> None:
    before = Signer([OLD])
    token, local_part = before.token("stop", "17"), before.bounce_local_part("17")
    assert SIGNER.read_token("stop", token) == "17"
    assert SIGNER.read_bounce_local_part(local_part) == "17"
    assert SIGNER.token("stop", "17") == Signer([NEW]).token("stop", "17") != token
    assert Signer([NEW]).read_token("stop", token) is None


def test_keys_of_the_same_short_name_are_all_tried() -> None:
    name = signing._key_id(OLD)
    twin = next(key for key in (b"%040d" % number for number in range(10_000)) if signing._key_id(key) == name)
    assert Signer([twin, OLD]).read_token("stop", Signer([OLD]).token("stop", "17")) == "17"


@pytest.mark.parametrize("read", [SIGNER.read_bounce_local_part, lambda token: SIGNER.read_token("stop", token)])
def test_no_changed_letter_goes_unnoticed(read: Callable[[str], str | None]) -> None:
    made = SIGNER.bounce_local_part("17") if read == SIGNER.read_bounce_local_part else SIGNER.token("stop", "17")
    start = made.find("+") + 1
    assert read(made) == "17"
    for place in range(start, len(made)):
        for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_":
            if letter.lower() != made[place].lower():
                assert read(made[:place] + letter + made[place + 1 :]) is None
    for cut in range(start, len(made)):
        assert read(made[:cut]) is None
    for longer in (made + "a", made + "A", made + "=", made + "\n", made + "%00"):
        assert read(longer) is None


@given(st.text(max_size=60) | st.from_regex(r"[a-z2-7][A-Za-z0-9_-]{10,45}", fullmatch=True))
def test_strangers_words_are_nothing(words: str) -> None:
    assert SIGNER.read_token("stop", words) is None
    assert SIGNER.read_bounce_local_part(words) is None
    assert SIGNER.read_bounce_local_part(f"bounces+{words.lower()}") is None


def test_nothing_readable_stands_in_a_token() -> None:
    one, two = SIGNER.token("stop", "1000001"), SIGNER.token("stop", "1000002")
    assert len(one) == len(two)
    assert sum(a == b for a, b in zip(one, two, strict=True)) < len(one) / 3
    assert "1000001" not in one
    assert b"1000001" not in urlsafe_b64decode(one[1:] + "==")


def test_a_message_id_is_stable_opaque_and_the_rows_own() -> None:
    made = SIGNER.message_id(17, "2026-11-20T10:00:00+00:00", "clinic.example")
    assert re.fullmatch(r"<[0-9a-f]{30}@clinic\.example>", made)
    assert made == Signer([NEW]).message_id(17, "2026-11-20T10:00:00+00:00", "clinic.example")
    others = {
        SIGNER.message_id(18, "2026-11-20T10:00:00+00:00", "clinic.example"),
        SIGNER.message_id(17, "2026-11-21T10:00:00+00:00", "clinic.example"),
        Signer([OLD]).message_id(17, "2026-11-20T10:00:00+00:00", "clinic.example"),
    }
    assert len(others | {made}) == 4
    with pytest.raises(ValueError, match="domain"):
        SIGNER.message_id(17, "", "clinic.example>\r\nBcc: x")


def test_a_stop_address_opens_a_stop_and_nothing_else() -> None:
    subject = "0000000001a3f09b2"
    stop, bounce = SIGNER.stop_local_part(subject), SIGNER.bounce_local_part(subject)
    assert re.fullmatch(r"stop\+[a-z2-7]{48}", stop)
    assert SIGNER.stop_local_part(subject) == stop
    assert SIGNER.read_stop_local_part(stop.upper()) == subject
    assert (SIGNER.read_bounce_local_part(stop), SIGNER.read_stop_local_part(bounce)) == (None, None)
    assert SIGNER.read_token("stop", stop.removeprefix("stop+")) is None
    assert Signer([b"another key of enough bytes.......", *[NEW]]).read_stop_local_part(stop) == subject
    assert Signer([OLD]).read_stop_local_part(stop) is None


def test_uses_do_not_share_a_key() -> None:
    assert len({signing._derived(NEW, use) for use in ("message-id", "prove link stop", "hide link stop")}) == 3
    assert digest(NEW, b"17", "sha256")[:12] not in urlsafe_b64decode(SIGNER.token("stop", "17")[1:] + "==")


@pytest.mark.parametrize("subject", ["", "x" * 18, "é" * 9])
def test_a_subject_that_does_not_fit_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="subject"):
        SIGNER.token("stop", subject)


@pytest.mark.parametrize("purpose", ["", "Stop", "a b", "stop\n", "x" * 32])
def test_a_purpose_is_a_plain_word(purpose: str) -> None:
    with pytest.raises(ValueError, match="purpose"):
        SIGNER.token(purpose, "17")
    with pytest.raises(ValueError, match="purpose"):
        SIGNER.read_token(purpose, "17")


def test_a_long_mailbox_name_that_would_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        SIGNER.bounce_local_part("x" * 17, "bounces-of-the-clinic")


@pytest.mark.parametrize("keys", [[], [b""], [NEW, b"short"]])
def test_a_ring_without_a_whole_key_is_refused(keys: list[bytes]) -> None:
    with pytest.raises(BadConfiguration) as refused:
        Signer(keys)
    assert refused.value.field == "AFTERCARE_SECRET_KEY"


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret.key"
    ring = load_or_make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_or_make_key(path) == ring
    assert os.listdir(path.parent) == ["secret.key"]  # noqa: PTH208
    Signer(ring)


def test_processes_starting_at_once_get_the_same_key(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"{number}.key"
        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(load_or_make_key, [path] * 4))) == 1


def test_a_key_file_holds_a_ring_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    path.touch(0o600)
    path.write_bytes(NEW + b"\n\n" + OLD + b"\n")
    assert load_or_make_key(path) == (NEW, OLD)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_key_file_that_others_may_read_is_refused_with_what_to_do(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "secret.key"
    load_or_make_key(path)
    path.chmod(mode)
    with pytest.raises(BadConfiguration, match="others") as refused:
        load_or_make_key(path)
    assert refused.value.next_step == f"Run: chmod 600 {path}"


@pytest.mark.parametrize("content", [b"", b"\n", b"short\n"])
def test_a_key_file_without_a_whole_key_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "secret.key"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(BadConfiguration, match="no whole secret key"):
        load_or_make_key(path)
    assert path.read_bytes() == content


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "file").write_text("x")
    for name in (".", "fifo", "link", "file/below"):
        with pytest.raises(BadConfiguration):
            load_or_make_key(tmp_path / name)


def test_new_keys_differ_and_are_long_enough() -> None:
    assert len({new_key() for _ in range(100)}) == 100
    assert len(new_key()) >= signing.LEAST_KEY
