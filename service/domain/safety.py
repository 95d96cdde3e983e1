"""Which red flags a text must name, in which card, and which of its promises go past a limit.

Pure: looks at words and days only. Refuses to judge style, and to guess words a language has not been given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.domain.protocol import Card, FollowUpProtocol, Limit, RedFlag


@dataclass(frozen=True)
class Missing:
    """A red flag whose words stand in no single bullet of its card."""

    flag: RedFlag
    card: Card
    words: tuple[str, ...]


def words_in(words: Mapping[str, tuple[str, ...]], language: str) -> tuple[str, ...]:
    """The words for a language tag, or for its first part (pt for pt-BR); empty if there are none."""
    return words.get(language) or words.get(language.partition("-")[0]) or ()


def rows_without_words(protocol: FollowUpProtocol, language: str) -> tuple[str, ...]:
    """The protocol.toml places that give no words in this language: without them nothing can be checked."""
    limits = [f"limits.{limit.key}" for limit in protocol.limits.values() if not words_in(limit.words, language)]
    flags = [f"red flag {flag.row}" for flag in protocol.red_flags if not words_in(flag.words, language)]
    return (*limits, *flags)


def missing_flags(
    protocol: FollowUpProtocol, column: str, language: str, bullets: Mapping[Card, Sequence[str]]
) -> Iterator[Missing]:
    """The red flags of a column that the bullets of their card do not name. bullets: plain words a card."""
    for card in (Card.EMERGENCY, Card.URGENT):
        said = [bullet.casefold() for bullet in bullets.get(card, ())]
        for flag in protocol.required_flags(column, card):
            words = words_in(flag.words, language)
            if not any(all(word in bullet for word in words) for bullet in said):
                yield Missing(flag, card, words)


def limits_named(protocol: FollowUpProtocol, language: str, words: str) -> tuple[Limit, ...]:
    """The limits whose sign these words name."""
    said = words.casefold()
    return tuple(
        limit for limit in protocol.limits.values() if any(word in said for word in words_in(limit.words, language))
    )


def limits_passed(
    protocol: FollowUpProtocol, language: str, words: str, last_day: int, over: Collection[str]
) -> tuple[Limit, ...]:
    """The limits that a "normal" statement breaks if it is read on last_day. over: words that say a sign has ended."""
    said = words.casefold()
    if any(word in said for word in over):
        return ()
    return tuple(limit for limit in limits_named(protocol, language, words) if last_day > limit.ok_through_day)


def foreign_dates(protocol: FollowUpProtocol, language: str, words: str, slots: Collection[str]) -> tuple[str, ...]:
    """The limit dates a statement uses although it names only signs that end on another day."""
    named = limits_named(protocol, language, words)
    if not named:
        return ()
    allowed = {limit.ok_through_day for limit in named}
    dates = {f"{limit.key}_{end}": limit for limit in protocol.limits.values() for end in ("ok_until", "over_from")}
    return tuple(slot for slot in slots if slot in dates and dates[slot].ok_through_day not in allowed)
