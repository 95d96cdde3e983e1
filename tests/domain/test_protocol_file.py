"""A protocol.toml is read strictly: every mistake names the file, the key and the fix."""

from __future__ import annotations

from datetime import time

import pytest

from service.domain.protocol import Level
from service.domain.protocol_file import read_protocol
from service.errors import BadProtocol

GOOD = """
title = "Brows"
area = "brows"

[[steps]]
key = "day-01"
day = 1
useful_until_day = 2
useful_until_at = "12:00"
covered_by = "day-05"

[[steps]]
key = "day-05"
day = 5
text = "later"
send_at = "09:30"
useful_until_day = 6
useful_until_at = "20:00"

[catch_up]
from_day = 2
through_day = 9
useful_until_at = "20:00"

[[bands]]
through_day = 3
like = "day-01"

[[bands]]
through_day = 9
like = "day-05"

[limits.redness]
ok_through_day = 2
words.en = ["Redness"]
source = ["seed"]

[[red_flags]]
row = "1"
says = "Hard to breathe"
levels = { day-01 = "E", day-05 = "D" }
words.en = ["breathe"]
source = ["S6"]
"""


#: Two stretches of days of a page.
TWO_DAYS = '[[today]]\ntext = "{}"\nthrough_day = {}\n[[today]]\ntext = "{}"\nthrough_day = {}\n'


def test_a_good_file_is_read_as_it_says() -> None:
    protocol = read_protocol(GOOD.encode(), "brows", "brows/protocol.toml")
    assert (protocol.key, protocol.title, protocol.area) == ("brows", "Brows", "brows")
    first, second = protocol.steps
    assert (first.text, first.send_at, first.covered_by, first.until_at) == ("day-01", None, "day-05", time(12))
    assert (second.text, second.send_at, second.until_day) == ("later", time(9, 30), 6)
    assert protocol.catch_up is not None
    assert protocol.catch_up.text == "catch-up"
    assert protocol.limits["redness"].words == {"en": ("redness",)}
    assert protocol.red_flags[0].levels == {"day-01": Level.EMERGENCY, "day-05": Level.DOCTOR}


def test_a_protocol_may_have_no_catch_up_no_limits_and_no_flags() -> None:
    start = GOOD[: GOOD.index("[catch_up]")]
    bands = GOOD[GOOD.index("[[bands]]") : GOOD.index("[limits")]
    protocol = read_protocol((start + bands).encode(), "brows", "f")
    assert (protocol.catch_up, protocol.limits, protocol.red_flags) == (None, {}, ())
    assert protocol.texts == ("day-01", "later")


@pytest.mark.parametrize(
    ("old", "new", "field", "fix"),
    [
        ('title = "Brows"\n', "", "title", "Add title"),
        ('title = "Brows"', "title = 3", "title", "Write title"),
        ('title = "Brows"', 'titel = "x"\ntitle = "y"', "titel", "Did you mean title?"),
        ('title = "Brows"', 'zzz = "x"\ntitle = "y"', "zzz", "Known here"),
        ("day = 1\n", "", "steps[1].day", "whole number"),
        ("day = 1\n", "day = true\n", "steps[1].day", "0 to 366"),
        ("day = 1\n", "day = 367\n", "steps[1].day", "0 to 366"),
        ('"09:30"', '"9:30"', "steps[2].send_at", "HH:MM"),
        ('send_at = "09:30"', "send_at = 9", "steps[2].send_at", "HH:MM"),
        ('useful_until_at = "12:00"\n', "", "steps[1].useful_until_at", "Add useful_until_at"),
        ("useful_until_day = 2", "useful_until_day = 0", "steps[1].useful_until_day", "End it on its day"),
        ("useful_until_day = 2", "useful_until_day = 5", "useful_until_day", "before day 5"),
        ('key = "day-01"\nday', 'key = "Day 1"\nday', "steps[1].key", "small letters"),
        ('key = "day-01"\nday', 'key = "treated"\nday', "steps[1].key", "Name the step otherwise"),
        ('text = "later"', 'text = "../later"', "steps[2].text", "small letters"),
        ('covered_by = "day-05"', 'covered_by = "day-07"', "covered_by", "Name one of day-05"),
        ('covered_by = "day-05"', 'covered_by = "day-01"', "covered_by", "Name one of day-05"),
        ('send_at = "09:30"', 'covered_by = "day-01"', "covered_by", "Remove it from the last step"),
        ('key = "day-05"', 'key = "day-01"', "red_flags[1].levels.day-05", "Did you mean day-01?"),
        ("day = 5", "day = 1", "steps", "rising day"),
        ("[catch_up]\n", '[catch_up]\ntext = "later"\n', "catch_up.text", "a text of its own"),
        ("[catch_up]\n", '[catch_up]\ntext = "a/b"\n', "catch_up.text", "small letters"),
        ("from_day = 2", "from_day = 10", "catch_up.through_day", "at least from_day"),
        ("from_day = 2", "from_day = 2\nfromday = 1", "catch_up.fromday", "Did you mean from_day?"),
        ("through_day = 3\n", "through_day = 9\n", "bands", "rising through_day"),
        ('like = "day-05"', 'like = "day-07"', "like", "Name one of"),
        ('like = "day-05"', 'like = "day-05"\nlik = "x"', "bands[2].lik", "Did you mean like?"),
        ("through_day = 3\n", "through_day = 1\n", "bands", "move the band"),
        ("[limits.redness]", "[limits.Red-ness]", "limits.Red-ness", "underscores"),
        ('words.en = ["Redness"]', 'words.en = "redness"', "limits.redness.words.en", "Write en = ["),
        ('words.en = ["Redness"]\n', "", "limits.redness.words", "Add a [words] table"),
        ('day-05 = "D"', 'day-05 = "X"', "red_flags[1].levels.day-05", "Choose one"),
        (', day-05 = "D"', "", "red_flags[1].levels.day-05", "Add day-05"),
        ('source = ["S6"]', "source = []", "red_flags[1].source", "Write source = ["),
        ('source = ["S6"]\n', 'source = ["S6"]\n' + GOOD[GOOD.index("[[red_flags]]") :], "red_flags", "its own row"),
        ("[catch_up]\n", '[[today]]\ntext = "later"\nthrough_day = 2\n[catch_up]\n', "today", "a text of its own"),
        ("[catch_up]\n", '[[today]]\ntext = "a/b"\nthrough_day = 2\n[catch_up]\n', "today[1].text", "small letters"),
        ("[catch_up]\n", '[[today]]\ntext = "a"\nthrough_day = 999\n[catch_up]\n', "today[1].through_day", "0 to 366"),
        ("[catch_up]\n", f"{TWO_DAYS.format('a', 4, 'a', 9)}[catch_up]\n", "today[2].text", "a text of its own"),
        ("[catch_up]\n", f"{TWO_DAYS.format('a', 4, 'b', 4)}[catch_up]\n", "today[2].through_day", "5 to 366"),
        ("[catch_up]\n", "[[catch_up]]\n", "catch_up", "Write it as [catch_up]"),
        ('[[steps]]\nkey = "day-01"', '[steps]\nkey = "day-01"', "syntax", "Mend that line"),
        ("[limits.redness]", "[limits]\nredness = 2\n[x]", "limits.redness", "Write it as [redness]"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_file_the_key_and_the_fix(old: str, new: str, field: str, fix: str) -> None:
    assert old in GOOD
    with pytest.raises(BadProtocol) as caught:
        read_protocol(GOOD.replace(old, new, 1).encode(), "brows", "brows/protocol.toml")
    assert caught.value.message.startswith("brows/protocol.toml: ")
    assert caught.value.field == field
    assert fix in (caught.value.next_step or "")


def test_two_steps_cannot_share_a_key() -> None:
    source = GOOD.replace('key = "day-05"', 'key = "day-01"').replace(', day-05 = "D"', "")
    with pytest.raises(BadProtocol, match="two steps have the same key"):
        read_protocol(source.encode(), "brows", "f")


@pytest.mark.parametrize(("drop", "field"), [("steps", "steps"), ("bands", "bands")])
def test_a_protocol_without_steps_or_bands_is_refused(drop: str, field: str) -> None:
    kept = [part for part in GOOD.split("\n\n") if f"[[{drop}]]" not in part and "red_flags" not in part]
    with pytest.raises(BadProtocol) as caught:
        read_protocol("\n\n".join(kept).encode(), "brows", "f")
    assert caught.value.field == field


@pytest.mark.parametrize("key", ["Brows", "brows_2", "../brows", "-brows", "brows-", ""])
def test_a_folder_name_that_cannot_be_a_key_is_refused(key: str) -> None:
    with pytest.raises(BadProtocol, match="folder name"):
        read_protocol(GOOD.encode(), key, "f")


@pytest.mark.parametrize(
    ("source", "field"), [(b"\xff\xfe", "encoding"), (b"title = ", "syntax"), (b"steps = 3", "steps")]
)
def test_a_file_that_is_not_such_a_file_is_refused(source: bytes, field: str) -> None:
    with pytest.raises(BadProtocol) as caught:
        read_protocol(source, "brows", "f")
    assert caught.value.field == field
