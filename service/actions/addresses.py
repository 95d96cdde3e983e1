"""Which texts are e-mail addresses: email-validator's rules without DNS, with an ASCII part before the @.

The one door to that library. Refuses special-use domains as it does, and never repeats a refused address.
"""

from __future__ import annotations

import re
from typing import NoReturn

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from service.errors import BadInput

LENGTH_LIMIT = 254

_LABEL = r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"
#: A strict subset of what the library accepts, and most real addresses; a test holds the two together.
_PLAIN = re.compile(rf"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@((?:{_LABEL}\.)+[A-Za-z]{{2,}})")
_PLAIN_LIMIT = 63  # no part of so short an address can be too long
_SPECIAL_USE = tuple(f".{name}" for name in SPECIAL_USE_DOMAIN_NAMES)


def check_address(raw: str) -> str:
    """The address as it is stored and sent to: domain in small ASCII letters. Raises BadInput (field "email")."""
    found = _PLAIN.fullmatch(raw) if len(raw) <= _PLAIN_LIMIT else None
    if found:
        local, domain = raw[: found.start(1) - 1], found.group(1).lower()
        # One-word local parts in capitals go the long way: the library makes INFO@ and its like small.
        if not domain.endswith(_SPECIAL_USE) and (local.islower() or not local.isalpha()):
            return f"{local}@{domain}"
    return _check_slowly(raw)


def _refuse(problem: str, fix: str = "Use one address like name@example.com.") -> NoReturn:
    raise BadInput(problem, field="email", next_step=fix)


def _check_slowly(raw: str) -> str:
    if any(ord(character) < 32 or 127 <= ord(character) < 160 or character in "\u2028\u2029" for character in raw):
        _refuse("The e-mail address contains a line break or another control character", "Type it again by hand.")
    address = raw.strip()
    if not address:
        _refuse("The e-mail address is empty")
    if len(address) > LENGTH_LIMIT:
        _refuse(f"The e-mail address is longer than {LENGTH_LIMIT} characters")
    try:
        valid = validate_email(address, allow_smtputf8=False, check_deliverability=False)
    except EmailNotValidError:
        valid = None
    if valid is None or valid.ascii_email is None:
        _explain(address)
    return f"{valid.ascii_local_part}@{valid.ascii_domain.lower()}"


def _explain(address: str) -> NoReturn:
    """Say in plain words what is most likely wrong with an address that was refused."""
    local, at, domain = address.rpartition("@")
    last = f".{domain.lower()}"
    if not at:
        _refuse("The e-mail address has no @")
    if any(mark in address for mark in "<>,;\"'()") or "@" in local:
        _refuse(
            "The e-mail field holds more than one plain address", "Leave out names, brackets and further addresses."
        )
    if any(character.isspace() for character in address):
        _refuse("The e-mail address contains a space")
    if not local or not domain:
        _refuse("The e-mail address lacks the part before or after the @")
    if not local.isascii():
        _refuse("The part before the @ has letters that not every mail server takes", "Ask for one in plain a to z.")
    if "." in (local[0], local[-1]) or ".." in address:
        _refuse("The e-mail address has a dot where none can stand")
    if last.endswith(_SPECIAL_USE):
        _refuse("The part after the @ is reserved and can get no e-mail", "Use the client's real address.")
    if "." not in domain:
        _refuse("The part after the @ has no dot")
    _refuse("This is not an e-mail address")
