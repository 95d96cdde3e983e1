"""What leaves the house and must be recognised when it returns: links, bounce addresses, Message-IDs.

One ring of secret keys, newest first; every key still opens what it once closed. Tokens show nothing to a reader:
no name, no number. The same input gives the same token: no clock, no random source but new_key.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
from base64 import b32decode, b32encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest, digest
from pathlib import Path

from service.errors import BadConfiguration

LEAST_KEY = 32  # bytes
_MAC = 12  # bytes: 96 bits of HMAC-SHA256; guessing happens online, one request a guess
_TOKEN_SUBJECT = 17  # bytes, so that a token has at most 40 characters
_BOUNCE_SUBJECT = 17  # bytes, so that with "bounces+" it fits the 64 of RFC 5321 4.5.3.1.1
_TOKEN = re.compile(r"[a-z2-7][A-Za-z0-9_-]{16,39}")
_PURPOSE = re.compile(r"[a-z][a-z-]{0,30}")
_DOMAIN = re.compile(r"[A-Za-z0-9.-]{1,190}")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


class Signer:
    """Makes and reads tokens with a ring of keys, newest first. Raises BadConfiguration for a missing or short key."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or min(map(len, keys)) < LEAST_KEY:
            raise BadConfiguration(
                f"the secret key is missing or shorter than {LEAST_KEY} bytes",
                field="AFTERCARE_SECRET_KEY",
                next_step="Leave it out to have one made, or set a long random one.",
            )
        self._ring = tuple((_key_id(key), key) for key in keys)

    def message_id(self, email_id: int, epoch: str, domain: str) -> str:
        """The Message-ID of an outgoing e-mail, with <>. epoch: tells two databases apart that both know the id.

        Safe where case is lost. Keep it with the row: another newest key gives another id.
        """
        if not _DOMAIN.fullmatch(domain):
            raise ValueError("not a domain for a Message-ID")
        mac = digest(_derived(self._ring[0][1], "message-id"), f"{epoch}\0{email_id}".encode(), "sha256")
        return f"<{mac[:15].hex()}@{domain}>"

    def fingerprint(self, purpose: str, secret: str) -> str:
        """Twelve characters that tell whether a secret is still the same, and nothing else about it."""
        return digest(_derived(self._ring[0][1], f"fingerprint {_checked(purpose)}"), secret.encode(), "sha256")[
            :8
        ].hex()

    def token(self, purpose: str, subject: str) -> str:
        """What a link carries: at most 40 characters safe in a URL. subject: at most 17 bytes of UTF-8, not empty.

        A token of one purpose is nothing for another. Links have no end of their own: what it opens has one.
        """
        name, key = self._ring[0]
        return name + _base64(_sealed(key, f"link {_checked(purpose)}", _bytes(subject, _TOKEN_SUBJECT)))

    def read_token(self, purpose: str, token: str) -> str | None:
        """The subject, or None for whatever this ring did not make for this purpose, letter by letter."""
        use = f"link {_checked(purpose)}"
        if not _TOKEN.fullmatch(token):
            return None
        padded = token[1:] + "=" * (-len(token[1:]) % 4)
        if len(token[1:]) % 4 == 1 or _base64(sealed := urlsafe_b64decode(padded)) != token[1:]:
            return None
        return self._opened(token[0], use, sealed)

    def bounce_local_part(self, subject: str, mailbox: str = "bounces") -> str:
        """The local part of an envelope sender: <mailbox>+<token>, at most 64 characters, safe where case is lost."""
        return self._local_part("bounce", mailbox, subject)

    def read_bounce_local_part(self, local_part: str) -> str | None:
        """The subject of a local part made here, whatever became of its case; None for any other."""
        return self._read_local_part("bounce", local_part)

    def stop_local_part(self, subject: str) -> str:
        """The local part of a stop address: stop+<token>. Nothing but a stop opens it."""
        return self._local_part("stop address", "stop", subject)

    def read_stop_local_part(self, local_part: str) -> str | None:
        """Like `read_bounce_local_part`, for a stop address."""
        return self._read_local_part("stop address", local_part)

    def _local_part(self, use: str, mailbox: str, subject: str) -> str:
        name, key = self._ring[0]
        local_part = f"{mailbox}+{name}{_base32(_sealed(key, use, _bytes(subject, _BOUNCE_SUBJECT)))}"
        if len(local_part) > 64:
            raise ValueError("a local part has at most 64 characters: choose a shorter mailbox name")
        return local_part

    def _read_local_part(self, use: str, local_part: str) -> str | None:
        token = local_part.rpartition("+")[2].lower()
        if not re.fullmatch(r"[a-z2-7]{10,62}", token):
            return None
        try:
            sealed = b32decode(token[1:].upper() + "=" * (-len(token[1:]) % 8))
        except ValueError:
            return None
        return self._opened(token[0], use, sealed) if _base32(sealed) == token[1:] else None

    def mac(self, use: str, text: str) -> str:
        """A proof that this installation wrote `text` for this use: 64 hexadecimal digits, by the newest key."""
        return digest(_derived(self._ring[0][1], f"prove {_checked(use)}"), text.encode(), "sha256").hex()

    def wrote(self, use: str, text: str, mac: str) -> bool:
        """Whether `mac` proves `text` for this use, by any key of the ring."""
        proofs = (
            digest(_derived(key, f"prove {_checked(use)}"), text.encode(), "sha256").hex() for _, key in self._ring
        )
        return any(compare_digest(proof.encode(), mac.encode("utf-8", "replace")) for proof in proofs)

    def keys(self, use: str) -> tuple[bytes, ...]:
        """A key of 32 bytes for this use from each of the ring, newest first: for what is hidden and read again."""
        return tuple(_derived(key, f"keep {_checked(use)}") for _, key in self._ring)

    def _opened(self, name: str, use: str, sealed: bytes) -> str | None:
        """Decrypts, then proves the plain bytes (a synthetic IV, as in RFC 5297); constant time for each key."""
        for known, key in self._ring:
            mac, hidden = sealed[:_MAC], sealed[_MAC:]
            subject = _masked(key, use, mac, hidden)
            if known == name and compare_digest(_sealed(key, use, subject), sealed):
                return subject.decode("utf-8")
        return None


def _sealed(key: bytes, use: str, subject: bytes) -> bytes:
    mac = digest(_derived(key, f"prove {use}"), subject, "sha256")[:_MAC]
    return mac + _masked(key, use, mac, subject)


def _masked(key: bytes, use: str, mac: bytes, subject: bytes) -> bytes:
    stream = digest(_derived(key, f"hide {use}"), mac, "sha256")
    return bytes(one ^ other for one, other in zip(subject, stream, strict=False))


@lru_cache(maxsize=64)
def _derived(key: bytes, use: str) -> bytes:
    """A key of its own for each use."""
    return digest(key, f"aftercare {use}".encode(), "sha256")


def _key_id(key: bytes) -> str:
    return _ALPHABET[sha256(b"aftercare key id" + key).digest()[0] % 32]


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _base32(data: bytes) -> str:
    return b32encode(data).decode("ascii").rstrip("=").lower()


def _checked(purpose: str) -> str:
    if not _PURPOSE.fullmatch(purpose):
        raise ValueError("a purpose is a word in small letters")
    return purpose


def _bytes(subject: str, most: int) -> bytes:
    data = subject.encode("utf-8")
    if not 1 <= len(data) <= most:
        raise ValueError(f"a subject has 1 to {most} bytes")
    return data


def new_key() -> bytes:
    """A fresh secret key: 43 printable characters, 256 bits."""
    return secrets.token_urlsafe(32).encode("ascii")


def load_or_make_key(path: Path) -> tuple[bytes, ...]:
    """The ring in a key file, one key a line, newest first; the file is made (0600) where there is none.

    Two processes starting at once get the same key. Raises BadConfiguration for a file that others may read, that
    is no regular file, or that holds no key.
    """
    try:
        if not os.path.lexists(path):
            _make(path)
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise _bad_file(path, f"cannot be read or made: {error.strerror}", "Mend the file or name another.") from error
    try:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            raise _bad_file(path, "is not a regular file", "Name a file.")
        if mode & 0o077:
            raise _bad_file(path, "may be read by others", f"Run: chmod 600 {path}")
        keys = tuple(line.strip() for line in os.read(handle, 65536).splitlines() if line.strip())
    finally:
        os.close(handle)
    if not keys or min(map(len, keys)) < LEAST_KEY:
        raise _bad_file(path, "holds no whole secret key", "Bring it back from a backup; a new key ends all old links.")
    return keys


def _make(path: Path) -> None:
    """Whole or not at all: written beside, then linked into place; whoever comes second keeps the first one's."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(new_key() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _bad_file(path: Path, problem: str, next_step: str) -> BadConfiguration:
    return BadConfiguration(f"the key file {path} {problem}", field=str(path), next_step=next_step)
