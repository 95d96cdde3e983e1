"""A FollowUpProtocol: its Steps, its limits, its red flags and its check-in. protocol_file.py reads one.

Refuses nothing: it is what a checked protocol.toml says.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from enum import StrEnum

#: Days after a treatment are counted up to here, in files and in check-ins.
LAST_DAY = 366


class Level(StrEnum):
    """How urgent a sign is, highest first (content: emergency, doctor, today, soon, visit, normal)."""

    EMERGENCY = "E"
    DOCTOR = "D"
    TODAY = "T"
    SOON = "S"
    VISIT = "V"
    NORMAL = "N"


def gravest(*levels: Level) -> Level:
    """The most urgent of these levels; normal if there is none."""
    return next((level for level in Level if level in levels), Level.NORMAL)


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
class TodayText:
    """Words of the page behind a client's link, for the days from_day to through_day after the treatment."""

    text: str
    from_day: int
    through_day: int


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
    """Days up to and including `through_day` use the words and levels of step `like`.

    floor: a check-in on one of these days ends with at least this level.
    """

    through_day: int
    like: str
    floor: Level | None = None


@dataclass(frozen=True)
class PastLimit:
    """From the day after the limit's last one, the answer has at least this level."""

    limit: str
    level: Level


@dataclass(frozen=True)
class Raise:
    """Beside any of these answers ("q3.fading"), the answer has at least level `to`."""

    to: Level
    if_any: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """One answer of a check-in: a row of the table of signs. levels: step key -> Level, for every step.

    from_day: a form offers it from that day on. normal_if_any: beside one of these answers it is normal.
    """

    key: str
    row: str
    says: str
    levels: dict[str, Level]
    source: tuple[str, ...]
    from_day: int = 0
    past_limit: PastLimit | None = None
    raised: Raise | None = None
    normal_if_any: tuple[str, ...] = ()


@dataclass(frozen=True)
class Question:
    """One question of a check-in. clear: the answer that says "nothing of this". ticks: "one" or "many" answers.

    not_sure: the level of NOT_SURE, which every question offers.
    """

    key: str
    ticks: str
    clear: str
    not_sure: Level
    answers: tuple[Answer, ...]

    @property
    def options(self) -> tuple[str, ...]:
        """Every id that may be answered, as a form lists them."""
        return (*(answer.key for answer in self.answers), self.clear, NOT_SURE)


#: The option that every question has besides its own answers.
NOT_SURE = "not_sure"


@dataclass(frozen=True)
class QuestionWords:
    """One question in one language. options: option id -> its label, NOT_SURE too. hint: may be empty."""

    asks: str
    hint: str
    why: str
    options: dict[str, str]


@dataclass(frozen=True)
class CheckInWords:
    """A check-in in one language. questions: by question key. outcomes: sentences by level, with slots in braces.

    intro: stands above the first question. if_unknown: slot -> neutral words where the fact is not known.
    """

    intro: tuple[str, ...]
    questions: dict[str, QuestionWords]
    outcomes: dict[Level, tuple[str, ...]]
    if_unknown: dict[str, str]


@dataclass(frozen=True)
class CheckIn:
    """The questions a client may answer, in order. unanswered: the level of a question left out.

    stops_at: any answer but the clear one to that question ends the form. words: by language tag.
    """

    questions: tuple[Question, ...]
    unanswered: Level
    stops_at: str | None
    words: dict[str, CheckInWords]


@dataclass(frozen=True)
class FollowUpProtocol:
    """What follows one kind of treatment. area: treatments of one area supersede each other. today: by rising days."""

    key: str
    title: str
    area: str
    steps: tuple[Step, ...]
    catch_up: CatchUp | None
    bands: tuple[Band, ...]
    limits: dict[str, Limit]
    red_flags: tuple[RedFlag, ...]
    check_in: CheckIn | None = None
    today: tuple[TodayText, ...] = ()

    def step(self, key: str) -> Step | None:
        return next((step for step in self.steps if step.key == key), None)

    def band(self, day: int) -> Band:
        """The band of `day` after the treatment; past the last one, the last."""
        return next((band for band in self.bands if day <= band.through_day), self.bands[-1])

    def column(self, day: int) -> str:
        """The step key whose words and levels hold on `day` after the treatment."""
        return self.band(day).like

    def required_flags(self, column: str, card: Card) -> tuple[RedFlag, ...]:
        """The red flags that a text of that column must carry in that card."""
        return tuple(flag for flag in self.red_flags if CARD_OF_LEVEL.get(flag.levels[column]) is card)

    def today_on(self, day: int) -> TodayText | None:
        """What the page says on `day` after the treatment; None before it and after the last day with words."""
        return next((one for one in self.today if one.from_day <= day <= one.through_day), None)

    def span(self, text: str) -> tuple[int, int] | None:
        """First and last day of a text that may be read on several: the catch-up, or words of the page."""
        spans: tuple[CatchUp | TodayText, ...] = (self.catch_up, *self.today) if self.catch_up else self.today
        return next(((one.from_day, one.through_day) for one in spans if one.text == text), None)

    @property
    def letters(self) -> tuple[str, ...]:
        """Names of the texts that go out as e-mails, in order of use."""
        names = [step.text for step in self.steps] + ([self.catch_up.text] if self.catch_up else [])
        return tuple(dict.fromkeys(names))

    @property
    def texts(self) -> tuple[str, ...]:
        """Names of the Markdown sources this protocol needs: its letters, then the words of its page."""
        return (*self.letters, *(one.text for one in self.today))
