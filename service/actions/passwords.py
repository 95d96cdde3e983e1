"""Passwords of staff: which are good enough, how they are kept, whether one fits. Refuses to know who asks."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from service.errors import BadInput

LEAST, MOST = 12, 1000  # characters
# OWASP's second choice of parameters for Argon2id: 19 MiB, two passes, one lane.
_hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
#: Checked when there is no such person, so that the answer takes as long.
_NOBODY = _hasher.hash("nobody has this password")


def check_password(password: str, about: tuple[str, ...] = ()) -> None:
    """Raises BadInput unless it is long and hard enough to guess. about: words that everybody here can guess."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - a large list, wanted only when a password is chosen

    if len(password) < LEAST:
        raise _weak(f"it has {len(password)} characters; {LEAST} are needed", "Three or four unrelated words are good.")
    if len(password) > MOST:
        raise _weak(f"it has more than {MOST} characters", "Choose a shorter one.")
    # Its cost grows with the length; a password that is weak is weak in its first characters or long.
    if zxcvbn(password[:72], user_inputs=[word for word in about if word])["score"] < 3:
        raise _weak("it is easy to guess", "Use three or four unrelated words that nobody connects with you.")


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
