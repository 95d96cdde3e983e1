"""The words of a check-in for one client: in which language, with the clinic's numbers as links, the gravest first.

Every word is data: the protocol's and the language's. Escapes all of it; only links and spans are written here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from service.actions.check_in import About
from service.domain.hours import parse_hours
from service.domain.protocol import CheckInWords, Level
from service.domain.triage import check_in_of, filled
from service.mail.words import Language, phone_href, phone_shown, show_date
from service.store.clinics import Clinic

#: Stand for the values of slots while words are escaped: no text of ours has them.
_FIRST_MARK = 0xE000
_CARDS = {Level.EMERGENCY: "emergency", Level.DOCTOR: "urgent", Level.TODAY: "urgent"}


@dataclass(frozen=True, slots=True)
class Speech:
    """In what words a client is asked and advised. form: what stands around the questions."""

    tag: str
    language: Language
    words: CheckInWords
    form: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Number:
    """A telephone number to call with one touch. label: all that the button says."""

    href: str
    label: Markup


@dataclass(frozen=True, slots=True)
class Advice:
    """A care card. kind: normal, urgent or emergency. word: what the level is called. calls: whom to call, in order."""

    kind: str
    word: str
    heading: Markup
    sentences: tuple[Markup, ...]
    calls: tuple[Number, ...]


def speech_for(about: About, clinic: Clinic, languages: Mapping[str, Language]) -> Speech | None:
    """The client's language, else the clinic's, else any that has every word: a page is never in two languages."""
    spoken = check_in_of(about.protocol).words
    for wanted in (about.language, clinic.language, *spoken):
        for tag in (wanted, wanted.partition("-")[0]):
            language, words = languages.get(tag), spoken.get(tag)
            if language is not None and words is not None and language.form is not None:
                return Speech(tag, language, words, language.form)
    return None


class Voice:
    """Says a clinic's sentences to one client."""

    def __init__(self, speech: Speech, clinic: Clinic, about: About) -> None:
        self._speech, self._clinic = speech, clinic
        shown = _shown(speech.language, clinic, about)
        self._marks = {slot: chr(_FIRST_MARK + place) for place, slot in enumerate(shown) if shown[slot][0]}
        self._linked = {mark: str(shown[slot][0]) for slot, mark in self._marks.items()}
        self._bare = {mark: str(shown[slot][1]) for slot, mark in self._marks.items()}

    def say(self, sentences: tuple[str, ...], *, links: bool = True) -> tuple[Markup, ...]:
        """Sentences with their slots filled; neutral words stand for what the clinic has not said."""
        values = self._linked if links else self._bare
        return tuple(_told(sentence, values) for sentence in filled(sentences, self._speech.words, self._marks))

    def advice(self, level: Level, now: datetime) -> Advice:
        """What to do, for an answer of that level at `now`. Out of hours the urgent line comes before the clinic."""
        sentences = self._speech.words.outcomes[level]
        closed = level is Level.TODAY and self._clinic.is_closed_at(now)
        if closed:
            sentences = (self._speech.form["closed_now"], *sentences)
        kind = _CARDS.get(level, "normal")
        word = self._speech.language.words[kind] if kind != "normal" else ""
        # The number of a heading is the button below.
        heading, rest = self.say(sentences, links=False)[0], self.say(sentences)[1:]
        return Advice(kind, word, heading, rest, self._calls(level, closed=closed))

    def _calls(self, level: Level, *, closed: bool) -> tuple[Number, ...]:
        clinic = self._clinic
        if level is Level.EMERGENCY:
            return self._to_call((clinic.emergency_number, ""))
        ours, urgent = (clinic.phone, ""), (clinic.urgent_line_number, clinic.urgent_line_name)
        if level is Level.DOCTOR:
            return self._to_call(urgent)
        if closed:
            return self._to_call(urgent, ours)
        if level is Level.TODAY:
            return self._to_call(ours, urgent)
        # A normal answer asks for no call: the number stands in its sentences.
        return () if level is Level.NORMAL else self._to_call(ours)

    def _to_call(self, *numbers: tuple[str, str]) -> tuple[Number, ...]:
        call, contact = (self._speech.language.words[name] for name in ("call", "contact"))
        known = [(phone_href(number), _named(contact, name, _number(number))) for number, name in numbers if number]
        return tuple(Number(href, _told(call, {"{phone}": shown})) for href, shown in known)


def _shown(language: Language, clinic: Clinic, about: About) -> dict[str, tuple[Markup, Markup]]:
    """Slot -> what stands in it, with links and without; empty where the clinic has not said it."""
    hours = str(parse_hours(clinic.hours)) if clinic.hours and language.hours else ""
    lines = {
        "hours_line": language.hours.sentence(hours) if hours and language.hours else "",
        "treated_date": show_date(about.treated_on.isoformat(), language.words["date"], language.locale),
        "day": str(about.day),
    }
    name, number = clinic.urgent_line_name, clinic.urgent_line_number
    contact = language.words["contact"]
    return {
        "phone": (_link(clinic.phone), _number(clinic.phone)),
        "emergency_number": (_link(clinic.emergency_number), _number(clinic.emergency_number)),
        "urgent_line": (_named(contact, name, _link(number)), _named(contact, name, _number(number))),
        **{slot: (escape(line), escape(line)) for slot, line in lines.items()},
    }


def _number(number: str) -> Markup:
    """Digits are read from the left in every language, and stay on one line."""
    return Markup('<span class="number" dir="ltr">{}</span>').format(phone_shown(number)) if number else Markup()


def _link(number: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(phone_href(number), _number(number)) if number else Markup()


def _named(contact: str, name: str, number: Markup) -> Markup:
    """'NHS 111 on 111'; one of them alone where the other is not known. contact: the pattern."""
    shown = Markup("<bdi>{}</bdi>").format(name) if name else Markup()
    return _told(contact, {"{name}": str(shown), "{number}": str(number)}) if shown and number else shown or number


def _told(sentence: str, values: Mapping[str, str]) -> Markup:
    """A sentence, escaped, with markup of ours in its places."""
    told = str(escape(sentence))
    for place, value in values.items():
        told = told.replace(place, value)
    return Markup(told)  # noqa: S704 - escaped above; the values are made here
