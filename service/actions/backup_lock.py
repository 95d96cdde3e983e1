"""What closes a backup: AES-256-GCM, with a key that scrypt makes of AFTERCARE_BACKUP_KEY and the file's own salt."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import asdict, dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.errors import BadConfiguration

__all__ = ["FIELD", "InvalidTag", "Lock", "Scrypt", "require_good_key"]

FIELD = "AFTERCARE_BACKUP_KEY"
LEAST_KEY = 16  # characters


@dataclass(frozen=True)
class Scrypt:
    """How the key was made. salt: hex, of this file alone. Each guess costs 32 MB and a tenth of a second."""

    salt: str
    n: int = 2**15
    r: int = 8
    p: int = 1

    @classmethod
    def fresh(cls) -> Scrypt:
        return cls(secrets.token_hex(16))


class Lock:
    """Closes and opens the frames of one file. Raises InvalidTag for a frame that is not what was closed.

    A frame's number and whether it is the last one are the nonce, the header is bound to each. The key is this file's
    alone, so counting never uses a nonce twice.
    """

    def __init__(self, key: str, scrypt: Scrypt) -> None:
        cost = asdict(scrypt) | {"salt": bytes.fromhex(scrypt.salt)}
        made = hashlib.scrypt(key.encode(), maxmem=1 << 27, dklen=64, **cost)
        self._cipher = AESGCM(made[:32])
        #: Tells a wrong key from a damaged file.
        self.check = hashlib.sha256(made[32:]).hexdigest()[:16]

    def close(self, number: int, *, last: bool, plain: bytes, head: bytes) -> bytes:
        return self._cipher.encrypt(_nonce(number, last), plain, head)

    def open(self, number: int, *, last: bool, closed: bytes, head: bytes) -> bytes:
        return self._cipher.decrypt(_nonce(number, last), closed, head)


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def require_good_key(key: str | None) -> None:
    """Raises BadConfiguration for a key that is too short to keep a secret; none at all is allowed."""
    if key is not None and len(key) < LEAST_KEY:
        raise BadConfiguration(
            f"{FIELD} is shorter than {LEAST_KEY} characters", field=FIELD, next_step="Set a long random one."
        )
