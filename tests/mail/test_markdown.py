"""An author writes words, headings, bullets, bold and slots; anything else is refused with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import BadText
from service.mail.document import Block, BlockKind, Run
from service.mail.markdown import Source

SOURCE = Source("x/day-01.en.md")


def read(*lines: str) -> list[Block]:
    for number, line in enumerate(lines, 5):
        SOURCE.check_line(number, line)
    return list(SOURCE.blocks(lines, 5))


def test_paragraphs_headings_and_bullets_are_blocks_with_their_line() -> None:
    blocks = read("One", "line more.", "", "## Head", "- first", "- second", "  goes on", "", "End")
    assert [(block.kind, block.plain, block.line) for block in blocks] == [
        (BlockKind.PARAGRAPH, "One line more.", 5),
        (BlockKind.HEADING, "Head", 8),
        (BlockKind.BULLET, "first", 9),
        (BlockKind.BULLET, "second goes on", 10),
        (BlockKind.PARAGRAPH, "End", 13),
    ]


def test_bold_and_slots_are_runs_and_a_slot_knows_its_line() -> None:
    (block,) = read("Call **us on {{ phone }}**", "or {{for_date}}.")
    assert block.runs == (
        Run("Call ", line=5),
        Run("us on ", bold=True, line=5),
        Run("", "phone", bold=True, line=5),
        Run(" or ", line=6),
        Run("", "for_date", line=6),
        Run(".", line=6),
    )


def test_a_block_of_one_slot_says_so() -> None:
    assert read("{{ hours_line }}")[0].only_slot == "hours_line"
    assert read("{{ hours_line }} and more")[0].only_slot == ""


@pytest.mark.parametrize(
    "line",
    [
        "{% if x %}", "%}", "{# note #}", "{{ x|upper }}", "{{ x.y }}", "{{ x() }}", "{{ 1 }}", "{{ X }}", "{{  x }}", "a { b",
        "{{ x }", "{{{ x }}}", "[words](there)", "[words][there]", "[there]: here", "![a picture](x)", "see https://x.example",
        "see HTTP://x.example", "www.x.example", "mailto:x", "<b>bold</b>", "a <!-- note -->", "<?php", "&nbsp;", "&#8203;", "`code`",
        "~~~", "a\\b", "    indented", "\tindented", "> quoted", "| a | b |", "---", "***", "* * *", "# Head", "### Head",
        "*leaning*", "_leaning_", "__bold__", "**open", "2 * 3", "1. one", "* star", "+ plus", "- one\n  - two", "- one\n\n  two",
        "- ## head", "##", "a\u202eb", "a\ue000b", "a\x00b", "a\x0bb", "a\u2028b", "a\ufeffb",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_its_line_and_what_to_do(line: str) -> None:
    with pytest.raises(BadText) as caught:
        read("Good words.", "", *line.split("\n"))
    field = caught.value.field or ""
    assert field.startswith("x/day-01.en.md:")
    assert int(field.rpartition(":")[2]) >= 7
    assert caught.value.next_step


@pytest.mark.parametrize(
    "line", ["Tom & Jo", "5 < 6", 'It\'s "fine"', "10-15%", "snake_case is fine", "a: b", "£5 – €6", "مرحبا"]
)
def test_plain_words_with_signs_are_plain_words(line: str) -> None:
    if "_" in line:
        with pytest.raises(BadText, match="lone"):
            read(line)
    else:
        assert [block.plain for block in read(line)] == [line]


@given(st.text(max_size=200))
def test_any_line_is_either_kept_or_refused(line: str) -> None:
    try:
        blocks = read(*line.split("\n"))
    except BadText:
        return
    for block in blocks:
        assert block.plain
        assert "{%" not in block.plain
