"""The reason that somebody gives for what they do to a client: it stays in the audit for good, so it names nobody."""

from __future__ import annotations

import re
from typing import Any

from service.domain.finding import FEWEST_DIGITS, found_by, phone_digits
from service.domain.persons import clean_line, fold_address
from service.errors import BadInput

LIMIT = 200
_SHORTEST_NAME = 3


def clean_reason(raw: str, client: Any) -> str:
    """One line, 1 to 200 characters. client: its row. Raises BadInput (field "reason"), also for personal data."""
    reason = clean_line("reason", raw, LIMIT)
    words = set(found_by(reason, ""))
    names = {word for word in found_by(client["name"], "") if len(word) >= _SHORTEST_NAME or not word.isascii()}
    digits = phone_digits(client["phone"])
    told = bool(digits) and len(digits) > FEWEST_DIGITS and digits in re.sub("[^0-9]", "", reason)
    if words & names or "@" in reason or told or fold_address(client["email"]) in fold_address(reason):
        raise BadInput(
            "The reason names the client",
            field="reason",
            next_step="Leave out names, addresses and numbers: this line stays, also when the client is erased.",
        )
    return reason
