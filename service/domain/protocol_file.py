"""Reads `templates/email/<key>/protocol.toml` into a FollowUpProtocol.

Adding a treatment type or a day is a folder and a file, no code. Refuses to guess: an unknown key, a wrong type or
a step that outlives the next one is an error that names the file, the key and the fix.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from itertools import pairwise

from service.domain.protocol import (
    LAST_DAY,
    Band,
    CatchUp,
    FollowUpProtocol,
    Level,
    Limit,
    RedFlag,
    Step,
    TodayText,
    gravest,
)
from service.domain.strict_table import Table
from service.domain.triage_file import read_check_in
from service.errors import BadProtocol

_KEY = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_LIMIT_KEY = re.compile(r"[a-z][a-z0-9_]*\Z")
_DATES_OF_THE_LETTER = frozenset({"treated", "for", "missed", "next"})


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
        bands=tuple(_read_band(row) for row in table.rows("bands")),
        limits={name: _read_limit(name, row) for name, row in table.tables("limits")},
        red_flags=tuple(_read_flag(row, steps) for row in table.rows("red_flags")),
        today=_read_today(table.rows("today")),
    )
    check_in = table.optional_table("check_in")
    table.finish()
    _check(protocol, table)
    return replace(protocol, check_in=read_check_in(check_in, protocol)) if check_in else protocol


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
    for name, value in (("key", key), ("text", step.text)):
        if not _KEY.match(value):
            row.refuse(name, f"{value!r} cannot be a name here", "Use small letters, digits and hyphens, like day-03.")
    if key in _DATES_OF_THE_LETTER:
        row.refuse("key", f"{key!r} is a date of every letter", "Name the step otherwise, like day-03.")
    if step.until_day < step.day:
        row.refuse("useful_until_day", f"day {step.until_day} is before day {step.day}", "End it on its day or later.")
    row.finish()
    return step


def _read_catch_up(row: Table | None) -> CatchUp | None:
    if row is None:
        return None
    text = row.text("text", default="catch-up")
    if not _KEY.match(text):
        row.refuse("text", f"{text!r} cannot be a name here", "Use small letters, digits and hyphens, like catch-up.")
    catch_up = CatchUp(
        text=text,
        from_day=row.integer("from_day", 0, LAST_DAY),
        through_day=row.integer("through_day", 0, LAST_DAY),
        until_at=row.clock_time("useful_until_at"),
    )
    row.finish()
    return catch_up


def _read_today(rows: tuple[Table, ...]) -> tuple[TodayText, ...]:
    """Each text begins on the day after the one before, the first on the day of the treatment."""
    found: list[TodayText] = []
    for row in rows:
        text, from_day = row.text("text"), found[-1].through_day + 1 if found else 0
        if not _KEY.match(text):
            row.refuse("text", f"{text!r} cannot be a name here", "Use small letters, digits and hyphens: today-03.")
        if text in [one.text for one in found]:
            row.refuse("text", f"{text!r} stands there twice", "Give every stretch of days a text of its own.")
        found.append(TodayText(text, from_day, row.integer("through_day", from_day, LAST_DAY)))
        row.finish()
    return tuple(found)


def _read_band(row: Table) -> Band:
    floor = Level(row.choice("floor", tuple(Level))) if row.optional_text("floor") else None
    band = Band(row.integer("through_day", 0, LAST_DAY), row.text("like"), floor)
    row.finish()
    return band


def _read_limit(name: str, row: Table) -> Limit:
    if not _LIMIT_KEY.match(name):
        row.refuse("", f"{name!r} cannot name a limit", "Use small letters, digits and underscores, like few_scabs.")
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
    _check_steps(protocol.steps, keys, table)
    _check_bands(protocol, keys, table)
    rows = [flag.row for flag in protocol.red_flags]
    for row in rows:
        if rows.count(row) > 1:
            table.refuse("red_flags", f"row {row!r} stands there twice", "Give every red flag its own row.")
    rule = protocol.catch_up
    if rule and rule.text in [step.text for step in protocol.steps]:
        table.refuse("catch_up.text", f"{rule.text!r} is the text of a step", "Give the catch-up a text of its own.")
    for one in protocol.today:
        if one.text in protocol.letters:
            table.refuse("today", f"{one.text!r} is the text of an e-mail", "Give the page a text of its own.")
    if rule and rule.through_day < rule.from_day:
        table.refuse("catch_up.through_day", "the catch-up ends before it starts", "Make it at least from_day.")


def _check_steps(steps: tuple[Step, ...], keys: list[str], table: Table) -> None:
    if len(set(keys)) != len(keys):
        table.refuse("steps", "two steps have the same key", "Give every step its own key.")
    for step, later in pairwise(steps):
        if later.day <= step.day:
            table.refuse("steps", "the days do not rise", "List the steps by rising day, one a day.")
        if step.until_day >= later.day:
            fix = f"End {step.key} before day {later.day}: no client gets two texts for one day."
            table.refuse("useful_until_day", f"{step.key} outlives the start of {later.key}", fix)
    for step in steps:
        later_keys = keys[keys.index(step.key) + 1 :]
        if step.covered_by is not None and step.covered_by not in later_keys:
            fix = f"Name one of {', '.join(later_keys)}." if later_keys else "Remove it from the last step."
            table.refuse("covered_by", f"no step {step.covered_by!r} after {step.key}", fix)


def _check_bands(protocol: FollowUpProtocol, keys: list[str], table: Table) -> None:
    if not protocol.bands:
        table.refuse("bands", "there is no band", "Say with [[bands]] which days use which step's words.")
    through = [band.through_day for band in protocol.bands]
    if through != sorted(set(through)):
        table.refuse("bands", "through_day does not rise", "List the bands by rising through_day.")
    floors = [band.floor or Level.NORMAL for band in protocol.bands]
    if any(gravest(floor, later) != later for floor, later in pairwise(floors)):
        table.refuse("bands", "a floor is lower than the one before", "No sign gets less urgent by waiting: raise it.")
    for band in protocol.bands:
        if band.like not in keys:
            table.refuse("like", f"no step {band.like!r}", f"Name one of {', '.join(keys)}.")
    for step in protocol.steps:
        for day in (step.day, step.until_day):
            if protocol.column(day) != step.key:
                problem = f"{step.key} may be read on day {day}, which reads like {protocol.column(day)}"
                table.refuse("bands", problem, "End the step sooner, or move the band.")
