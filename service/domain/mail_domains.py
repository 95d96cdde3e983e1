"""Typing mistakes in the part of an address after the @: a hint for whoever types, never a refusal."""

from __future__ import annotations

#: What most people have. A mistyped one is nearly always one of these.
COMMON = (
    "gmail.com", "googlemail.com", "hotmail.com", "hotmail.co.uk", "outlook.com", "yahoo.com", "yahoo.co.uk",
    "icloud.com", "live.com", "live.co.uk", "aol.com", "btinternet.com", "virginmedia.com", "talktalk.net",
    "protonmail.com", "proton.me", "gmx.com", "gmx.de", "web.de", "mail.com", "ymail.com",
)  # fmt: skip
#: Real ones that look like a mistake in one of those.
_REAL = frozenset(COMMON) | {
    "mac.com", "me.com", "msn.com", "sky.com", "gmx.net", "gmx.at", "gmx.ch", "gmx.co.uk", "email.com", "fmail.com",
    "hotmail.de", "hotmail.es", "hotmail.fr", "hotmail.it", "hotmail.be", "hotmail.nl", "hotmail.se",
    "outlook.de", "outlook.es", "outlook.fr", "outlook.ie", "outlook.it", "live.de", "live.fr", "live.ie", "live.it",
    "live.nl", "live.se", "live.ca", "live.cn", "live.dk", "live.no", "live.be", "love.com", "yahoo.de", "yahoo.es",
    "yahoo.fr", "yahoo.ie", "yahoo.it", "yahoo.ca", "yahoo.co.in", "yahoo.co.jp", "yahoo.co.id", "yahoo.com.au",
    "yahoo.com.br", "aol.co.uk", "aol.de", "aol.fr", "aim.com", "ail.com", "talktalk.com", "proton.com", "pm.me",
    "webmail.com",
}  # fmt: skip
#: So many slips are a mistake; in a short name two would make another name.
_LONG = 9


def suggest(address: str) -> str:
    """The address that was probably meant; "" if there is nothing to ask. address: as typed, right or wrong."""
    local, at, typed = address.strip().rpartition("@")
    domain = typed.lower().rstrip(".")
    if not local or not at or not domain or domain in _REAL or len(domain) > 30:
        return ""
    slips, _, meant = min((_slips(domain, common), number, common) for number, common in enumerate(COMMON))
    return f"{local}@{meant}" if 0 < slips <= (2 if len(meant) >= _LONG else 1) else ""


def _slips(typed: str, meant: str) -> int:
    """How many letters are wrong, missing, too many or changed about with their neighbour."""
    before: list[int] = []
    row = list(range(len(meant) + 1))
    for i, letter in enumerate(typed, 1):
        older, before, row = before, row, [i]
        for j, other in enumerate(meant, 1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != other))
            if i > 1 and j > 1 and letter == meant[j - 2] and typed[i - 2] == other:
                best = min(best, older[j - 2] + 1)
            row.append(best)
    return row[-1]
