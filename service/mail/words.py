"""What the frame and the slots say in one language, and how facts are shown in it.

Data: templates/email/languages/<language>.toml. Refuses a fact that a slot needs and does not have.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from types import MappingProxyType

from babel import Locale, UnknownLocaleError
from babel.dates import format_date

from service.domain.letter import SlotKind
from service.domain.strict_table import Table
from service.errors import BadProtocol, BadText
from service.mail.card_words import read_card_words
from service.mail.form_words import read_form_words
from service.mail.hours_words import HourWords, read_hour_words
from service.mail.lint_words import LintWords, read_lint_words

#: Every word a language must give, with the places in braces that it must keep.
_WORDS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "date": (), "nameless": (), "urgent": (), "emergency": (), "call": ("{phone}",), "contact": ("{name}", "{number}"),
    "next_line": ("{date}",), "closed_line": ("{date}",), "wash_line": (), "more": (), "check_in": (), "today": (),
    "why": (), "stop": (),
})  # fmt: skip
_MAY_BE_EMPTY = {SlotKind.LINE, SlotKind.LINK, SlotKind.DATED_LINE, SlotKind.HOURS}


@dataclass(frozen=True)
class Language:
    """One language's words. tag: as in the file's name. locale: the same for Babel. direction: "ltr" or "rtl".

    over: words by which a bullet says that a sign has ended. hours, lint, form, card: None if the language gives no
    words for them. form: what the pages of a check-in say around its questions. card: what a client takes home.
    """

    tag: str
    locale: str
    direction: str
    words: Mapping[str, str]
    over: tuple[str, ...]
    hours: HourWords | None = None
    lint: LintWords | None = None
    form: Mapping[str, str] | None = None
    card: Mapping[str, str] | None = None

    @property
    def version(self) -> str:
        return hashlib.sha256(repr((sorted(self.words.items()), self.hours)).encode()).hexdigest()


def read_language(source: bytes, tag: str, file: str) -> Language:
    """Read one languages/<tag>.toml. Raises BadProtocol naming file, key and fix."""
    try:
        table = Table(tomllib.loads(source.decode("utf-8")), file)
        locale = Locale.parse(tag, sep="-")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadProtocol(f"{file}: is not TOML: {error}", field="syntax", next_step="Mend that line.") from error
    except (ValueError, UnknownLocaleError) as error:
        fix = "Name the file by a language tag, like es.toml or pt-BR.toml."
        raise BadProtocol(f"{file}: {tag!r} is not a language", field="language", next_step=fix) from error
    row = table.table("words")
    words = {name: row.text(name) for name in _WORDS}
    for name, places in _WORDS.items():
        if sorted(re.findall(r"\{\w*\}", words[name])) != sorted(places):
            row.refuse(name, f"{words[name]!r} has other places", f"Use {' and '.join(places) or 'no braces'}, once.")
    row.finish()
    safety = table.table("safety")
    over = tuple(word.casefold() for word in safety.strings("over"))
    safety.finish()
    hours, lint, form, card = (table.optional_table(name) for name in ("hours", "lint", "check_in", "card"))
    hour_words = read_hour_words(hours, str(locale)) if hours else None
    lint_words = read_lint_words(lint) if lint else None
    form_words = read_form_words(form) if form else None
    card_words = read_card_words(card) if card else None
    table.finish()
    shown, around = MappingProxyType(words), (hour_words, lint_words, form_words, card_words)
    return Language(tag, str(locale), locale.text_direction, shown, over, *around)


@lru_cache(maxsize=4096)
def show_date(iso: str, pattern: str, locale: str) -> str:
    """'2026-11-21' as the language writes it."""
    return format_date(date.fromisoformat(iso), pattern, locale)


@lru_cache(maxsize=4096)
def phone_href(number: str) -> str:
    """The number as a tel: address: digits and a leading plus; an extension is left to the caller's fingers."""
    main = re.split(r"[A-Za-z#;,]", number.strip(), maxsplit=1)[0]
    digits = "".join(re.findall(r"[0-9]", main))
    return f"tel:+{digits}" if main.startswith("+") else f"tel:{digits}"


def phone_shown(number: str) -> str:
    """The number with spaces that do not break."""
    return "\u00a0".join(number.split())


def variables(slot: str, kind: SlotKind) -> tuple[str, ...]:
    """The names under which a slot's values stand in a program."""
    if kind is SlotKind.PHONE:
        return (slot, f"{slot}_href", f"{slot}_shown")
    if kind is SlotKind.CONTACT:
        return (f"{slot}_name", *variables(f"{slot}_number", SlotKind.PHONE))
    return (slot,)


def may_be_empty(slot: str, kind: SlotKind) -> frozenset[str]:
    """Those of its names whose value may be ""."""
    if kind is SlotKind.CONTACT:
        return frozenset(variables(f"{slot}_number", SlotKind.PHONE))
    return frozenset(variables(slot, kind)) if kind in _MAY_BE_EMPTY else frozenset()


@lru_cache(maxsize=1024)
def _never_empty(slot: str, kind: SlotKind) -> frozenset[str]:
    return frozenset(variables(slot, kind)) - may_be_empty(slot, kind)


def display(facts: Mapping[str, str], kinds: Mapping[str, SlotKind], language: Language) -> dict[str, str]:
    """Facts as they are shown, by the names of `variables`. Raises BadText (field: the slot) if one is missing."""
    shown: dict[str, str] = {}
    for slot, kind in kinds.items():
        shown |= _shown(slot, kind, facts, language)
        for name in _never_empty(slot, kind):
            if not shown[name]:
                fix = f"Fill in the clinic's or client's {slot.replace('_', ' ')}."
                raise BadText(f"there is no {slot} for this e-mail", field=slot, next_step=fix)
    return shown


def _shown(slot: str, kind: SlotKind, facts: Mapping[str, str], language: Language) -> dict[str, str]:
    words = language.words
    match kind:
        case SlotKind.DATE:
            return {slot: _date(facts.get(slot, ""), language)}
        case SlotKind.DATED_LINE:
            day = _date(facts.get(slot.removesuffix("_line") + "_date", ""), language)
            return {slot: words[slot].replace("{date}", day) if day else ""}
        case SlotKind.PHONE:
            return _phone(slot, facts.get(slot, ""))
        case SlotKind.CONTACT:
            return {
                f"{slot}_name": facts.get(f"{slot}_name", ""),
                **_phone(f"{slot}_number", facts.get(f"{slot}_number", "")),
            }
        case _:
            return {slot: _sentence(slot, kind, facts.get(slot, ""), language)}


def _sentence(slot: str, kind: SlotKind, fact: str, language: Language) -> str:
    """What stands in a slot of one value: the fact, or the language's own words for it or without it."""
    if kind is SlotKind.HOURS:
        return language.hours.sentence(fact) if fact and language.hours else ""
    if kind is SlotKind.LINE:
        return fact or language.words.get(slot, "")
    return fact or (language.words["nameless"] if slot == "greeting_name" else "")


def _date(iso: str, language: Language) -> str:
    return show_date(iso, language.words["date"], language.locale) if iso else ""


def _phone(name: str, number: str) -> dict[str, str]:
    if not number:
        return dict.fromkeys(variables(name, SlotKind.PHONE), "")
    return {name: number, f"{name}_href": phone_href(number), f"{name}_shown": phone_shown(number)}
