"""A FollowUpProtocol: its Steps, its limits and its red flags. protocol_file.py reads one.

Refuses nothing: it is what a checked protocol.toml says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from enum import StrEnum


class Level(StrEnum):
    """How urgent a sign is, highest first (content: emergency, doctor, today, soon, visit, normal)."""

    EMERGENCY = "E"
    DOCTOR = "D"
    TODAY = "T"
    SOON = "S"
    VISIT = "V"
    NORMAL = "N"


class Card(StrEnum):
    """The care cards an e-mail may hold, at most one of each."""

    NORMAL = "normal"
    URGENT = "urgent"
    EMERGENCY = "emergency"


#: Levels that must stand in a card of every e-mail of their day; doctor and today share the urgent card.
CARD_OF_LEVEL = {Level.EMERGENCY: Card.EMERGENCY, Level.DOCTOR: Card.URGENT, Level.TODAY: Card.URGENT}


@dataclass(frozen=True)
class Step:
    """One planned e-mail. day: calendar days after the treatment day (0). until_*: local end of its shelf life."""

    key: str
    day: int
    text: str
    send_at: time | None
    until_day: int
    until_at: time
    covered_by: str | None = None


@dataclass(frozen=True)
class CatchUp:
    """The one honest note after steps were missed for our own reasons; useful until `until_at` of its own day."""

    text: str
    from_day: int
    through_day: int
    until_at: time


@dataclass(frozen=True)
class Limit:
    """A sign that is normal through a day. `words`: per language, the word stems that name it in a text."""

    key: str
    ok_through_day: int
    words: dict[str, tuple[str, ...]]
    source: tuple[str, ...]


@dataclass(frozen=True)
class RedFlag:
    """One row of the red-flag table. levels: step key -> Level. words: per language, what its bullet must say."""

    row: str
    says: str
    levels: dict[str, Level]
    words: dict[str, tuple[str, ...]]
    source: tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """Days up to and including `through_day` use the words and levels of step `like`."""

    through_day: int
    like: str


@dataclass(frozen=True)
class FollowUpProtocol:
    """What follows one kind of treatment. area: treatments of one area supersede each other."""

    key: str
    title: str
    area: str
    steps: tuple[Step, ...]
    catch_up: CatchUp | None
    bands: tuple[Band, ...]
    limits: dict[str, Limit]
    red_flags: tuple[RedFlag, ...]

    def step(self, key: str) -> Step | None:
        return next((step for step in self.steps if step.key == key), None)

    def column(self, day: int) -> str:
        """The step key whose words and levels hold on `day` after the treatment."""
        return next((band.like for band in self.bands if day <= band.through_day), self.bands[-1].like)

    def required_flags(self, column: str, card: Card) -> tuple[RedFlag, ...]:
        """The red flags that a text of that column must carry in that card."""
        return tuple(flag for flag in self.red_flags if CARD_OF_LEVEL.get(flag.levels[column]) is card)

    @property
    def texts(self) -> tuple[str, ...]:
        """Names of the Markdown sources this protocol needs, in order of use."""
        names = [step.text for step in self.steps]
        if self.catch_up:
            names.append(self.catch_up.text)
        return tuple(dict.fromkeys(names))
