"""Unicode text as 7-bit mail text: quoted-printable for bodies (RFC 2045 6.7), encoded words for headers (RFC 2047).

Pure and deterministic. Refuses nothing but lone surrogates (UnicodeEncodeError): what may stand in a header is
decided in compose.py.
"""

from __future__ import annotations

import re

_BODY = [f"={byte:02X}" for byte in range(256)]
_WORD = list(_BODY)
for _byte in (*range(0x20, 0x7F), 0x09):
    if _byte != ord("="):
        _BODY[_byte] = chr(_byte)
for _byte in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789":
    _WORD[_byte] = chr(_byte)  # in a display name RFC 2047 5 (3) allows little more
_WORD[0x20] = "_"

# A short value that needs no change: the usual case of a slot.
_EASY = re.compile(r"(?!From )[!-\-/-<>-~](?:[ -<>-~]{0,73}[!-<>-~])?")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_ASCII = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_LINE = 75  # characters before the soft break's "="


def quoted_printable(text: str) -> bytes:
    """A piece of a body, line feeds as CRLF. It ends in a line break or a soft one: the next piece begins a line.

    Lines hold at most 76 characters; none begins with a dot or "From "; no line's last character is a space or tab.
    """
    if _EASY.fullmatch(text):
        return text.encode("ascii") + b"=\r\n"
    lines = ["".join([_BODY[byte] for byte in line]) for line in text.encode("utf-8").split(b"\n")]
    out: list[str] = []
    for line in lines[:-1]:
        if line[-1:] in (" ", "\t"):
            line = f"{line[:-1]}={ord(line[-1]):02X}"  # noqa: PLW2901
        out += _wrapped(line)
        out.append("\r\n")
    if lines[-1]:
        out += _wrapped(lines[-1])
        out.append("=\r\n")
    return "".join(out).encode("ascii")


def _wrapped(line: str) -> list[str]:
    """The line cut by soft breaks, never inside an =XX; each cut's first character made harmless."""
    out: list[str] = []
    while True:
        if line.startswith("."):
            line = "=2E" + line[1:]
        elif line.startswith("From "):
            line = "=46" + line[1:]
        if len(line) <= _LINE:
            out.append(line)
            return out
        cut = _LINE
        if "=" in line[cut - 2 : cut]:
            cut = line.index("=", cut - 2)
        out += (line[:cut], "=\r\n")
        line = line[cut:]


def header_text(text: str, used: int) -> str:
    """A Subject's value: as it is where it is plain and fits on one line, else encoded words. used: columns taken."""
    if _ASCII.fullmatch(text) and "=?" not in text and used + len(text) <= 76:
        return text
    return encoded_words(text, used)


def display_name(name: str) -> str:
    """A sender's name for From: atoms, a quoted string or encoded words. "" stays empty."""
    fits = len(name) <= 68 and "=?" not in name
    if fits and _ATOMS.fullmatch(name):
        return name
    if fits and _ASCII.fullmatch(name):
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        if len(quoted) <= 68:
            return f'"{quoted}"'
    return encoded_words(name, len("From: ")) if name else ""


def encoded_words(text: str, used: int) -> str:
    """RFC 2047 words of at most 75 characters, one a line, cut between characters only. used: columns taken."""
    words: list[str] = []
    room = 76 - used - len("=?utf-8?q??=")
    word = ""
    for character in text:
        encoded = "".join([_WORD[byte] for byte in character.encode("utf-8")])
        if len(word) + len(encoded) > room:
            words.append(word)
            word = ""
            room = 75 - len("=?utf-8?q??=")
        word += encoded
    return "\r\n ".join(f"=?utf-8?q?{word}?=" for word in [*words, word])
