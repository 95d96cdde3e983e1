"""How answers look: JSON for programs, tables that fit a terminal for people."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from service.cli.output import as_json, harmless, layout, print_table, say, utc


def test_instants_and_dates_are_iso_with_z() -> None:
    at = datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert as_json({"at": at, "on": date(2026, 11, 21), "no": None}) == (
        '{"at": "2026-11-21T10:00:00Z", "on": "2026-11-21", "no": null}'
    )
    assert utc(None) is None


def test_columns_stand_below_each_other() -> None:
    assert layout([["id", "name"], ["1", "Sam"], ["12", "Lou"]], None) == ["id  name", "1   Sam", "12  Lou"]


def test_wide_and_combining_letters_keep_the_columns_straight() -> None:
    cells = [["name", "x"], ["王小明", "1"], ["Zoe\u0308", "2"]]
    assert layout(cells, None) == ["name    x", "王小明  1", "Zoe\u0308     2"]


def test_on_a_terminal_the_last_column_wraps_and_nothing_is_cut() -> None:
    lines = layout([["state", "what"], ["green", "one two three four five six seven eight nine ten"]], 40)
    assert lines == ["state  what", "green  one two three four five six seven", "       eight nine ten"]
    assert max(map(len, lines)) <= 40


def test_off_a_terminal_a_row_is_one_line() -> None:
    assert len(layout([["what"], ["word " * 100]], None)) == 2


def test_a_table_without_rows_says_what_to_do_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([], {"id": "id"}, "None yet. Add one.")
    assert capsys.readouterr() == ("", "None yet. Add one.\n")


def test_what_somebody_typed_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmless("Sam\x1b[2J\u202eReed") == "Sam?[2J?Reed"
    print_table([{"name": "a\x1b[2Jb"}], {"name": "name"}, "")
    say("there is no \x1b[2J\nnext line")
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert err == "there is no ?[2J\nnext line\n"
