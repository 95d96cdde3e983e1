"""Opening hours as a language says them: [hours] in templates/email/languages/<language>.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time
from functools import lru_cache
from types import MappingProxyType

from babel.dates import format_time, get_day_names

from service.domain.hours import DayGroup, parse_hours
from service.domain.strict_table import Table

_DAY = 24 * 60
#: Longer sentences are split: the words' own rule for every sentence of an e-mail.
LONGEST_SENTENCE = 20
#: Every word the table must give, with the places in braces that it must keep.
_PLACES: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "open": ("{days}",), "also": (), "days": ("{first}", "{last}"), "two_days": ("{first}", "{last}"),
    "every_day": (), "all_day": (), "span": ("{opens}", "{closes}"), "and": (), "midnight": (), "midday": (),
    "hour": (), "hour_minute": (),
})  # fmt: skip


@dataclass(frozen=True)
class HourWords:
    """One language's words for opening hours. locale: for Babel's names of weekdays."""

    locale: str
    words: tuple[tuple[str, str], ...]

    def sentence(self, hours: str) -> str:
        """'We are open Monday to Friday 9 am to 6 pm.' for 'mon-fri 09:00-18:00'; several sentences if too long."""
        return _sentence(self, hours)


def read_hour_words(row: Table, locale: str) -> HourWords:
    """Read an [hours] table. Raises BadProtocol naming the key and the fix."""
    words = {name: row.text(name) for name in _PLACES}
    for name, places in _PLACES.items():
        if any(place not in words[name] for place in places):
            row.refuse(name, f"{words[name]!r} lacks a place", f"Use {' and '.join(places)}.")
    row.finish()
    return HourWords(locale, tuple(sorted(words.items())))


@lru_cache(maxsize=1024)
def _sentence(language: HourWords, hours: str) -> str:
    words = dict(language.words)
    sentences: list[str] = []
    for group in parse_hours(hours).sentence_parts():
        said = _said(group, words, language.locale)
        longer = f"{sentences[-1]}{words['also']}{said}" if sentences else ""
        if longer and len(longer.split()) + len(words["open"].split()) <= LONGEST_SENTENCE:
            sentences[-1] = longer
        else:
            sentences.append(said)
    return " ".join(words["open"].replace("{days}", said) for said in sentences)


def _said(group: DayGroup, words: Mapping[str, str], locale: str) -> str:
    names = get_day_names("wide", "stand-alone", locale)
    pattern = {0: "{first}", 1: words["two_days"], 6: words["every_day"]}.get(group.last - group.first, words["days"])
    days = pattern.replace("{first}", names[group.first]).replace("{last}", names[group.last])
    if group.ranges == ((0, _DAY),):
        return f"{days} {words['all_day']}"
    spans = [
        words["span"].replace("{opens}", _clock(a, words, locale)).replace("{closes}", _clock(b, words, locale))
        for a, b in group.ranges
    ]
    return f"{days} {words['and'].join(spans)}"


def _clock(minutes: int, words: Mapping[str, str], locale: str) -> str:
    if minutes % _DAY == 0:
        return words["midnight"]
    if minutes == _DAY // 2:
        return words["midday"]
    pattern = words["hour_minute"] if minutes % 60 else words["hour"]
    # "9 AM" shouts; where a script has no small letters this changes nothing.
    return str(format_time(time(*divmod(minutes, 60)), pattern, locale=locale)).lower()
