"""Names, phone numbers and languages: what is accepted, how it is folded for matching, how a person is greeted.

Refuses whatever could break out of one line of a header or mislead a reader: controls, line ends, direction
overrides, encoded words. Never echoes a refused value. Whether a text is an e-mail address: actions/addresses.py.
"""

from __future__ import annotations

import re
import unicodedata

from service.errors import BadInput

NAME_LIMIT = 200
LONGEST_GREETED = 40

#: C0, DEL, C1, line and paragraph separators, direction overrides and isolates, surrogates, damage, non-characters.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffd-\uffff]")
_LINE_BREAKS = "\n\r\x0b\x0c\x85\u2028\u2029"
#: Wider than RFC 2047: readers differ in what they decode, so anything that looks like it is refused.
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[^?]*\?.*?\?=")
_LETTERS_THAT_SHOW_NOTHING = "\u115f\u1160\u3164\uffa0\u2800"
_PHONE = re.compile(r"\(?\+?[0-9(][0-9 ().-]*(?:(?:ext\.?|x) ?[0-9]{1,6})?", re.IGNORECASE)
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–—−", "-"))
_LANGUAGE = re.compile(r"([a-z]{2,3})(?:[-_]([a-z]{4}))?(?:[-_]([a-z]{2}|[0-9]{3}))?", re.IGNORECASE)

_TITLES = frozenset("mr mrs ms miss mx dr prof professor rev herr frau mme mlle sr sra".split())  # noqa: SIM905
_SUFFIXES = frozenset("jr sr ii iii iv phd md dds msc bsc esq obe mbe".split())  # noqa: SIM905
_INSIDE_NAMES = frozenset("'’‘ʼ`´-‐‑·\u200c\u200d")


def clean_line(field: str, raw: str, limit: int) -> str:
    """One line of text: NFC, trimmed, white space folded, 1 to `limit` characters. Raises BadInput for `field`."""
    if (
        raw.isascii() and raw.isprintable() and 0 < len(raw) <= limit
        and raw[0] != " " != raw[-1] and "  " not in raw and "=?" not in raw
    ):  # fmt: skip
        return raw  # printable ASCII needs none of what follows; imports are full of it
    label = field.replace("_", " ")
    found = _FORBIDDEN.search(raw)
    if found:
        raise BadInput(
            f"The {label} contains {_describe(found.group())}", field=field, next_step="Type it again by hand."
        )
    line = " ".join(unicodedata.normalize("NFC", raw).split())
    if not any(_shows(character) for character in line):
        raise BadInput(f"The {label} is empty", field=field, next_step=f"Give the {label}.")
    if len(line) > limit:
        raise BadInput(
            f"The {label} has {len(line)} characters", field=field, next_step=f"Use {limit} characters at most."
        )
    if _ENCODED_WORD.search(line):
        raise BadInput(
            f"The {label} contains a coded e-mail header (=?…?=)", field=field, next_step="Write it in plain letters."
        )
    return line


def clean_name(raw: str) -> str:
    """A person's name in any script, 1 to 200 characters, on one line. Raises BadInput (field "name")."""
    return clean_line("name", raw, NAME_LIMIT)


def _describe(character: str) -> str:
    code = f"U+{ord(character):04X}"
    if character in _LINE_BREAKS:
        return f"a line break ({code})"
    if character == "\t":
        return f"a tab ({code})"
    if "\u202a" <= character <= "\u2069":
        return f"a hidden sign that turns the direction of writing ({code})"
    if "\ud800" <= character <= "\uffff":
        return f"a damaged character ({code})"
    return f"a control character ({code})"


def _shows(character: str) -> bool:
    return unicodedata.category(character)[0] in "LNSP" and character not in _LETTERS_THAT_SHOW_NOTHING


def clean_phone(raw: str, field: str = "phone") -> str:
    """A phone number as people write it: digits, spaces, + ( ) - . and an extension; 3 to 32 characters."""
    line = unicodedata.normalize("NFKC", clean_line(field, raw, NAME_LIMIT)).translate(_DASHES)
    if not 3 <= len(line) <= 32 or not _PHONE.fullmatch(line) or sum(map(str.isdigit, line)) < 3:
        raise BadInput(
            f"The {field.replace('_', ' ')} is not a phone number",
            field=field,
            next_step="Use digits, spaces and + ( ) - . only, like +44 1632 960001 ext 12; 3 to 32 characters.",
        )
    return line


def clean_language(raw: str) -> str:
    """A language tag (BCP 47: language, script, region) in its usual capitals: en, es-MX, zh-Hant-TW."""
    found = _LANGUAGE.fullmatch(raw.strip())
    if not found:
        raise BadInput(
            f"{raw[:40]!r} is not a language code", field="language", next_step="Use a code like en, de or es-MX."
        )
    language, script, region = found.groups(default="")
    return "-".join(part for part in (language.lower(), script.title(), region.upper()) if part)


def fold_name(name: str) -> str:
    """The name for matching only: case, width, white space, invisible signs and the kind of apostrophe do not count."""
    if name.isascii():
        return " ".join(name.lower().split())  # the same, and most of an import
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).replace("’", "'")
    if not folded.isprintable():  # nothing that shows is an invisible sign
        folded = "".join(c for c in folded if unicodedata.category(c) != "Cf")
    return " ".join(folded.split())


def fold_address(address: str) -> str:
    """The address for matching only: hardly any mail server tells Sam@ from sam@, and two rows a person are worse."""
    if address.isascii():
        return address.lower().strip()
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", address).casefold()).strip()


def greeting_name(name: str, otherwise: str = "client") -> str:
    """What stands after "Dear": the first name, or title and last name; `otherwise` if the name is long or odd.

    A lone name is kept; an initial keeps the whole name; "Last, First" is turned round.
    """
    words = _in_spoken_order(name) if len(name) <= LONGEST_GREETED else []
    titles = 0
    while titles < len(words) and _bare(words[titles]) in _TITLES:
        titles += 1
    rest = words[titles:]
    if not rest:
        return otherwise
    if titles:
        greeted = words[:titles] + _last_name(rest)
    elif len(_bare(rest[0])) == 1 and rest[0].lower() != rest[0].upper():
        greeted = rest
    else:
        greeted = rest[:1]
    return " ".join(greeted) if all(map(_is_name_word, greeted)) else otherwise


def _in_spoken_order(name: str) -> list[str]:
    pieces = [piece.split() for piece in name.split(",")]
    pieces = [piece for piece in pieces if piece and not all(_bare(word) in _SUFFIXES for word in piece)]
    if not 1 <= len(pieces) <= 2:
        return []
    words = [word for piece in reversed(pieces) for word in piece]
    while len(words) > 1 and _bare(words[-1]) in _SUFFIXES:
        words.pop()
    return words


def _last_name(words: list[str]) -> list[str]:
    """The last word with the small ones before it: "van der Berg"."""
    start = len(words) - 1
    while start > 0 and words[start - 1].islower() and not words[-1].islower():
        start -= 1
    return words[start:]


def _bare(word: str) -> str:
    return word.replace(".", "").casefold()


def _is_name_word(word: str) -> bool:
    """Letters with what names hold inside. A dot ends a word or an initial: evil.example would become a link."""
    if word.isalpha():
        return True
    parts = word.removesuffix(".").split(".")
    if len(parts) > 1 and any(len(part) != 1 for part in parts):
        return False
    letters = "".join(parts)
    return any(map(str.isalpha, letters)) and all(
        unicodedata.category(character)[0] in "LM" or character in _INSIDE_NAMES for character in letters
    )
