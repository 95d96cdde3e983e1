"""The protected block: whatever red flag is taken out of a text, it is caught before it can be saved."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from service.domain.protocol import Card, FollowUpProtocol
from service.errors import BadText
from service.mail.catalogue import kind_of
from service.mail.document import BlockKind, CardBlock
from service.mail.safeguard import check_safety, readings, safety_findings
from service.mail.texts import CompiledText, Frames, compile_text
from tests.mail.samples import catalogue, compiled, frames, smp

CARE_TEXTS = sorted(catalogue().sources)


def edited(key: tuple[str, str, str], source: str, language: str | None = None) -> CompiledText:
    protocol = catalogue().protocols[key[0]]
    kind = kind_of(protocol, key[1])
    return compile_text(source, protocol=protocol, kind=kind, language=language or key[2], frames=frames(), name=key[1])


def plantings() -> list[tuple[tuple[str, str, str], int, str]]:
    """(text, line, line without the mark of a bullet) for every bullet of every urgent and emergency card."""
    found = []
    for key in CARE_TEXTS:
        text = catalogue().compile(*key)
        for _, item in text.document.items:
            if isinstance(item, CardBlock) and item.card is not Card.NORMAL:
                found += [(key, block.line, block.plain) for block in item.blocks if block.kind is BlockKind.BULLET]
    return found


@pytest.mark.parametrize("key", CARE_TEXTS)
def test_every_shipped_text_carries_its_whole_block(key: tuple[str, str, str]) -> None:
    text, protocol = catalogue().compile(*key), catalogue().protocols[key[0]]
    assert safety_findings(text, protocol) == []
    check_safety(text, protocol)


@pytest.mark.parametrize(("key", "line", "words"), plantings())
def test_taking_out_any_bullet_of_a_card_is_caught(key: tuple[str, str, str], line: int, words: str) -> None:
    lines = catalogue().sources[key].split("\n")
    assert lines[line - 1] == f"- {words}"
    del lines[line - 1]
    found = safety_findings(edited(key, "\n".join(lines)), catalogue().protocols[key[0]])
    assert found
    assert all(finding.blocks and finding.rule == "safety block" for finding in found)
    row = next(flag for flag in catalogue().protocols[key[0]].red_flags if f"row {flag.row}:" in found[0].message)
    assert all(word in words.casefold() for word in row.words["en"])
    assert all(f"“{word}”" in found[0].fix for word in row.words["en"])


def without(word: str, source: str) -> str:
    """The source with the word struck out of every bullet that holds no slot."""
    lines = source.split("\n")
    struck = [re.sub(re.escape(word), "zzz", line, flags=re.IGNORECASE) for line in lines]
    return "\n".join(
        new if old.startswith("- ") and "{" not in old else old for old, new in zip(lines, struck, strict=True)
    )


@pytest.mark.parametrize("key", CARE_TEXTS)
def test_every_word_of_a_red_flag_counts(key: tuple[str, str, str]) -> None:
    protocol = catalogue().protocols[key[0]]
    text = catalogue().compile(*key)
    columns = {reading.column for reading in readings(text.document, protocol, text.kind, text.name)}
    start, cards = catalogue().sources[key].split("::: urgent", 1)
    for flag in protocol.red_flags:
        if any(flag.levels[column] in "EDT" for column in columns):
            for word in flag.words["en"]:
                changed = f"{start}::: urgent{without(word, cards)}"
                assert safety_findings(edited(key, changed), protocol), (flag.row, word)


@pytest.mark.parametrize("key", CARE_TEXTS)
@pytest.mark.parametrize("card", [Card.URGENT, Card.EMERGENCY])
def test_a_text_without_a_card_is_caught(key: tuple[str, str, str], card: Card) -> None:
    source = re.sub(rf"::: {card}.*?\n:::\n", "", catalogue().sources[key], flags=re.DOTALL)
    found = safety_findings(edited(key, source), catalogue().protocols[key[0]])
    assert "cards" in {finding.rule for finding in found}


def test_what_blocks_a_text_is_said_when_it_is_saved() -> None:
    with pytest.raises(BadText) as caught:
        check_safety(compiled("Dear\n"), smp())
    assert "there is no urgent card (" in caught.value.message
    assert caught.value.field == "scalp-micropigmentation/day-01.en.md:0"


def test_a_language_without_safety_words_says_what_to_add() -> None:
    key = ("scalp-micropigmentation", "day-01", "en")
    german = Frames(frames().html, frames().text, {"de": frames().languages["en"]})
    text = compile_text(
        catalogue().sources[key], protocol=smp(), kind="reminder", language="de", frames=german, name="day-01"
    )
    with pytest.raises(BadText) as caught:
        check_safety(text, smp())
    assert "protocol.toml gives no words in 'de' for limits.redness" in caught.value.message
    assert "words.de" in (caught.value.next_step or "")


@pytest.mark.parametrize(
    ("bullet", "caught"),
    [
        ("Redness is normal.", "redness is normal through day 2"),
        ("Redness should be gone.", ""),
        ("Scabs are normal.", ""),
        ("The itch should be gone by the end of {{ redness_ok_until }}.", "redness_ok_until is another sign's date"),
        ("Redness should be gone by the end of {{ redness_ok_until }}.", ""),
        ("A little swelling should be gone by the end of {{ redness_ok_until }}.", ""),
    ],
)
def test_a_promise_past_its_limit_is_caught_on_its_line(bullet: str, caught: str) -> None:
    source = catalogue().sources["scalp-micropigmentation", "day-03", "en"]
    head = "## What is normal on {{ for_date }}\n"
    source = source.replace(head, f"{head}- {bullet}\n")
    line = source[: source.index(f"- {bullet}")].count("\n") + 1
    found = safety_findings(edited(("scalp-micropigmentation", "day-03", "en"), source), smp())
    assert [(finding.line, finding.message.partition(";")[0]) for finding in found] == (
        [(line, caught)] if caught else []
    )


def test_a_text_is_read_until_the_end_of_its_shelf_life() -> None:
    """The day-10 e-mail may be opened on day 11: what is right on day 10 alone is not enough."""
    source = catalogue().sources["scalp-micropigmentation", "day-10", "en"]
    head = "## What is normal on {{ for_date }}\n"
    source = source.replace(head, f"{head}- Scabs are normal.\n")
    found = safety_findings(edited(("scalp-micropigmentation", "day-10", "en"), source), smp())
    assert [finding.message for finding in found] == ["scabs is normal through day 10; this may be read on day 11"]


def test_a_hello_has_no_block_to_protect() -> None:
    assert safety_findings(catalogue().compile_hello("en"), None) == []


@pytest.mark.parametrize("protocol", catalogue().protocols.values(), ids=lambda protocol: protocol.key)
def test_every_statement_is_true_when_due_and_one_second_before_it_is_no_longer_useful(
    protocol: FollowUpProtocol,
) -> None:
    """On both days each sign called normal is within its limit, or said to be over by a date that is its limit."""
    for name in protocol.texts:
        text = catalogue().compile(protocol.key, name, "en")
        for reading in readings(text.document, protocol, text.kind, name):
            step = next((step for step in protocol.steps if step.text == name), None)
            first = step.day if step else (reading.band or protocol.span(name) or (0, 0))[0]
            for day in (first, reading.last_day):
                assert protocol.column(day) == reading.column
                for bullet in reading.bullets(Card.NORMAL):
                    for limit in protocol.limits.values():
                        named = any(word in bullet.said.casefold() for word in limit.words["en"])
                        over = "gone" in bullet.said or "stop" in bullet.said
                        assert not named or over or day <= limit.ok_through_day, (name, day, bullet.plain)


@pytest.mark.parametrize("protocol", catalogue().protocols.values(), ids=lambda protocol: protocol.key)
def test_the_next_date_a_text_promises_lies_ahead_as_long_as_the_text_is_useful(protocol: FollowUpProtocol) -> None:
    for step, later in zip(protocol.steps, protocol.steps[1:], strict=False):
        assert timedelta(days=step.until_day) < timedelta(days=later.day)
