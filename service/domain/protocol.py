"""A FollowUpProtocol and its Steps, read from `templates/email/<key>/protocol.toml`.

Adding a treatment type or a day is a folder and a file, no code. Refuses to guess: an unknown key, a wrong type or
a step that outlives the next one is an error that names the file, the key and the fix.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from datetime import time
from enum import StrEnum

from service.domain.strict_table import Table
from service.errors import BadProtocol

LAST_DAY = 366


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


_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")


def read_protocol(source: bytes, key: str, file: str) -> FollowUpProtocol:
    """Read one protocol.toml. key: its folder's name. Raises BadProtocol naming file, key and fix."""
    try:
        document = tomllib.loads(source.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadProtocol(f"{file}: is not UTF-8 text", field="encoding", next_step="Save it as UTF-8.") from error
    except tomllib.TOMLDecodeError as error:
        raise BadProtocol(f"{file}: is not TOML: {error}", field="syntax", next_step="Mend that line.") from error
    table = Table(document, file)
    steps = tuple(_read_step(row) for row in table.rows("steps"))
    protocol = FollowUpProtocol(
        key=_checked_key(key, file),
        title=table.text("title"),
        area=table.text("area"),
        steps=steps,
        catch_up=_read_catch_up(table.optional_table("catch_up")),
        bands=tuple(Band(row.integer("through_day", 0, LAST_DAY), row.text("like")) for row in table.rows("bands")),
        limits={name: _read_limit(name, row) for name, row in table.tables("limits")},
        red_flags=tuple(_read_flag(row, steps) for row in table.rows("red_flags")),
    )
    table.finish()
    _check(protocol, table)
    return protocol


def _checked_key(key: str, file: str) -> str:
    if not _KEY.match(key):
        raise BadProtocol(
            f"{file}: the folder name {key!r} cannot be a protocol key",
            field="folder",
            next_step="Use small letters, digits and single hyphens, like scalp-micropigmentation.",
        )
    return key


def _read_step(row: Table) -> Step:
    key = row.text("key")
    step = Step(
        key=key,
        day=row.integer("day", 0, LAST_DAY),
        text=row.text("text", default=key),
        send_at=row.optional_clock_time("send_at"),
        until_day=row.integer("useful_until_day", 0, LAST_DAY),
        until_at=row.clock_time("useful_until_at"),
        covered_by=row.optional_text("covered_by"),
    )
    if not _KEY.match(key):
        row.refuse("key", f"{key!r} cannot be a step key", "Use small letters, digits and hyphens, like day-03.")
    if step.until_day < step.day:
        row.refuse("useful_until_day", f"day {step.until_day} is before day {step.day}", "End it on its day or later.")
    row.finish()
    return step


def _read_catch_up(row: Table | None) -> CatchUp | None:
    if row is None:
        return None
    catch_up = CatchUp(
        text=row.text("text", default="catch-up"),
        from_day=row.integer("from_day", 0, LAST_DAY),
        through_day=row.integer("through_day", 0, LAST_DAY),
        until_at=row.clock_time("useful_until_at"),
    )
    row.finish()
    return catch_up


def _read_limit(name: str, row: Table) -> Limit:
    limit = Limit(name, row.integer("ok_through_day", 0, LAST_DAY), row.words("words"), row.strings("source"))
    row.finish()
    return limit


def _read_flag(row: Table, steps: tuple[Step, ...]) -> RedFlag:
    level_row = row.table("levels")
    levels = {step.key: Level(level_row.choice(step.key, tuple(Level))) for step in steps}
    level_row.finish()
    flag = RedFlag(row.text("row"), row.text("says"), levels, row.words("words"), row.strings("source"))
    row.finish()
    return flag


def _check(protocol: FollowUpProtocol, table: Table) -> None:
    if not protocol.steps:
        table.refuse("steps", "there is no step", "Add at least one [[steps]] with key, day and useful_until_*.")
    keys = [step.key for step in protocol.steps]
    if len(set(keys)) != len(keys):
        table.refuse("steps", "two steps have the same key", "Give every step its own key.")
    days = [step.day for step in protocol.steps]
    if days != sorted(set(days)):
        table.refuse("steps", "the days do not rise", "List the steps by rising day, one a day.")
    for step in protocol.steps:
        if step.covered_by is not None and step.covered_by not in keys:
            table.refuse("covered_by", f"no step {step.covered_by!r}", f"Name one of {', '.join(keys)}.")
    if not protocol.bands:
        table.refuse("bands", "there is no band", "Say with [[bands]] which days use which step's words.")
    through = [band.through_day for band in protocol.bands]
    if through != sorted(set(through)):
        table.refuse("bands", "through_day does not rise", "List the bands by rising through_day.")
    for band in protocol.bands:
        if band.like not in keys:
            table.refuse("like", f"no step {band.like!r}", f"Name one of {', '.join(keys)}.")
    if protocol.catch_up and protocol.catch_up.through_day < protocol.catch_up.from_day:
        table.refuse("through_day", "the catch-up ends before it starts", "Make through_day at least from_day.")
