"""Passwords of staff: which are good enough, how they are kept, whether one fits. Refuses to know who asks."""

from __future__ import annotations

import re

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.errors import BadInput

LEAST, MOST = 12, 1000  # characters
# OWASP's second choice of parameters for Argon2id: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: Sealed with the same parameters, fits nobody: checked when there is no such person, so that the answer takes as long.
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$Xz50yt35AfuobSBgFie/lA$0ZGfgtJptdgc8YKXp3yCtFzeRH2gsWBIXI1SsgBgaAE"


def check_password(password: str, about: tuple[str, ...] = ()) -> None:
    """Raises BadInput unless it is long and hard enough to guess. about: words that everybody here can guess."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - a large list, wanted only when a password is chosen

    if len(password) < LEAST:
        raise _weak(f"it has {len(password)} characters; {LEAST} are needed", "Three or four unrelated words are good.")
    if len(password) > MOST:
        raise _weak(f"it has more than {MOST} characters", "Choose a shorter one.")
    # Its cost grows with the length; a password that is weak is weak in its first characters or long.
    typed, known = password[:72], [word for word in about if len(word) > 2]
    # What is left without the words that everybody here knows must be hard to guess by itself.
    rest = _without(typed, known)
    if min(zxcvbn(typed, user_inputs=known)["score"], zxcvbn(rest)["score"] if rest else 0) < 3:
        raise _weak("it is easy to guess", "Use three or four unrelated words that nobody connects with you.")


def _without(typed: str, words: list[str]) -> str:
    for word in sorted(words, key=len, reverse=True):
        typed = re.sub(re.escape(word), "", typed, flags=re.IGNORECASE)
    return typed


def _weak(problem: str, fix: str) -> BadInput:
    return BadInput(f"this password will not do: {problem}", field="password", next_step=fix)


def seal_password(password: str) -> str:
    """The string that is kept: Argon2id with its parameters and salt."""
    return _hasher.hash(password)


def fits(password: str, kept: str | None) -> bool:
    """Whether this is the password. Takes as long when nothing is kept."""
    try:
        _hasher.verify(kept or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def is_outdated(kept: str) -> bool:
    """Whether it was sealed with other parameters than today's."""
    return _hasher.check_needs_rehash(kept)
