"""What a client is found by: the words of a name without case and accents, the digits of a phone number.

And what somebody who searches may mean: beginnings of those, an address, a day. Refuses to know where it is looked up.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import date

from service.domain.persons import fold_address, fold_name

WORD_LIMIT = 100
_EXTENSION = re.compile("[A-Za-z].*")
_NO_DIGITS = re.compile("[^0-9]")
SOUGHT_LIMIT = 200
#: Stands before the digits of a phone number read from behind: whoever knows the last ones only begins there.
BACKWARDS = "~"
FEWEST_DIGITS = 3
#: So many last digits tell a number from any other, however its beginning is written.
TELLING_DIGITS = 8
_LONGEST_WITHOUT_SPACES = 12

#: Accents and points that people leave out. Signs that are vowels of a script (Devanagari, Thai …) are letters.
_ACCENTS = re.compile(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f"
    "\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u1ab0-\u1aff\u1dc0-\u1dff"
    "\u20d0-\u20ff\ufe20-\ufe2f]"
)
#: Letters that a keyboard of another country lacks, and those that two keyboards of one script write differently.
_LIKE = str.maketrans({
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ħ": "h", "ı": "i", "ŧ": "t", "ŋ": "n",
    "ی": "ي", "ى": "ي", "ک": "ك", "ة": "ه", "ٱ": "ا",
})  # fmt: skip
_BETWEEN = re.compile(r"[\s\-‐‑‒–—−־,.;:/\\()\[\]{}\"“”„«»״·•・、。，＿_&+|<>!?*#=]+")
_APOSTROPHES = re.compile("['’‘ʼ`´׳]")
#: Scripts that write a name without a space in it.
_WITHOUT_SPACES = re.compile("[々〇ー\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\uf900-\ufaff\U00020000-\U0003ffff]+")


def fold_word(text: str) -> str:
    """Without case, accents and points, in letters that every keyboard of that script has."""
    if text.isascii():
        return text.lower()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", fold_name(text))).translate(_LIKE)
    return unicodedata.normalize("NFC", bare)


def found_by(name: str, phone: str) -> list[str]:
    """The words under which a client is kept: of the name, and the phone number's digits, forwards and backwards."""
    digits = phone_digits(phone)
    numbers = [digits, BACKWARDS + digits[::-1]] if len(digits) >= FEWEST_DIGITS else []
    return [*_name_words(name), *numbers]


def _name_words(name: str) -> list[str]:
    """Each once. A name without spaces is found by every end of it, O'Neill also by what follows the apostrophe."""
    words: list[str] = []
    for piece in _BETWEEN.split(fold_word(name)):
        if piece.isascii() and piece.isalnum():
            words.append(piece)
            continue
        parts = _APOSTROPHES.split(piece)
        words.append("".join(parts))
        if len(parts) > 1:
            words += [part for part in parts[1:] if len(part) > 1]
        elif len(piece) <= _LONGEST_WITHOUT_SPACES and _WITHOUT_SPACES.fullmatch(piece):
            words += [piece[start:] for start in range(1, len(piece))]
    return list(dict.fromkeys([word[:WORD_LIMIT] for word in words if word]))


def phone_digits(phone: str) -> str:
    """The digits of a number as people write it, without its extension."""
    return _NO_DIGITS.sub("", _EXTENSION.sub("", phone))


@dataclass(frozen=True)
class Sought:
    """What a search may mean; empty: not meant. words: folded beginnings, all of them wanted.

    address: the folded beginning of one. digits: of a phone number, the first or the last. on: a day of treatment.
    """

    words: tuple[str, ...] = ()
    address: str = ""
    digits: str = ""
    on: date | None = None


def read_sought(raw: str, today: date) -> Sought:
    """Whatever was typed into the one box. today: in the clinic's zone."""
    kept = "".join(c for c in raw if c.isspace() or unicodedata.category(c)[0] != "C")
    typed = " ".join(unicodedata.normalize("NFKC", kept).split())[:SOUGHT_LIMIT]
    on = read_day(typed, today)
    if on is not None:
        return Sought(on=on)
    if "@" in typed:
        return Sought(address=fold_address(typed))
    digits = phone_digits(typed)
    if len(digits) >= FEWEST_DIGITS and re.fullmatch(r"[0-9 ()+./-]+", typed):
        return Sought(digits=digits)
    words = dict.fromkeys(_APOSTROPHES.sub("", piece)[:WORD_LIMIT] for piece in _BETWEEN.split(fold_word(typed)))
    return Sought(tuple(word for word in words if word), "" if " " in typed else fold_address(typed))


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ISO = re.compile(r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})")
_DOTTED = re.compile(r"(?P<day>\d{1,2})\. ?(?P<month>\d{1,2})\.?(?: ?(?P<year>\d{4}))?")
_NAMED = re.compile(
    r"(?:[a-z]{3,9},? )?(?P<day>\d{1,2})\.? ?(?P<name>[a-z]{3,9})\.?(?: (?P<year>\d{4}))?", re.IGNORECASE
)


def read_day(typed: str, today: date) -> date | None:
    """A day as people write it: 2026-11-20, 20.11., 20.11.2026, 20 nov, Fri 20 November. Without a year: the last such.

    None for whatever is no day, and for 03/04, which two countries read differently.
    """
    found = _ISO.fullmatch(typed) or _DOTTED.fullmatch(typed) or _NAMED.fullmatch(typed)
    if found is None:
        return None
    said = found.groupdict()
    month = int(said["month"]) if said.get("month") else _month(said.get("name") or "")
    years = [int(said["year"])] if said["year"] else range(today.year, today.year - 8, -1)
    days = (_date(year, month, int(said["day"])) for year in years)
    return next((day for day in days if day is not None and (said["year"] or day <= today)), None)


def _month(name: str) -> int:
    short = name[:3].lower()
    return _MONTHS.index(short) + 1 if short in _MONTHS else 0


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
