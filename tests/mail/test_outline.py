"""Front matter, cards and bands are closed, known and in order, or refused with their line."""

from __future__ import annotations

import pytest

from service.domain.protocol import Card
from service.errors import BadText
from service.mail.document import BlockKind, CardBlock
from service.mail.outline import MAX_SOURCE, read_document

FRONT = "---\nsubject: Hello {{ sender_name }}\npreheader: Words\n---\n"
CARD = "::: urgent\n## call us if:\n- it hurts\n\nMore.\n:::\n"


def test_a_whole_source_becomes_a_tree() -> None:
    document = read_document(
        FRONT + "Dear\n\n=== days 2-2\nTwo\n" + CARD + "=== days 3-7\nThree\n" + CARD + "=== all days\nEnd\n", "f.md"
    )
    assert document.subject.plain == "Hello {{ sender_name }}"
    assert document.bands == ((2, 2), (3, 7))
    card = document.for_band((2, 2))[2]
    assert isinstance(card, CardBlock)
    assert (card.card, card.heading.plain, card.line) == (Card.URGENT, "call us if:", 9)
    assert [block.kind for block in card.blocks] == [BlockKind.BULLET, BlockKind.PARAGRAPH]
    assert [block.plain for block in document.blocks()][:4] == ["Hello {{ sender_name }}", "Words", "Dear", "Two"]
    assert [getattr(item, "plain", "card") for item in document.for_band((3, 7))] == ["Dear", "Three", "card", "End"]


def test_windows_line_ends_read_the_same() -> None:
    source = FRONT + CARD
    assert read_document(source, "f") == read_document(source.replace("\n", "\r\n"), "f")


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("Dear\n", 1, "subject is missing"),
        ("---\nsubject: x\n", 1, "subject is missing"),
        ("---\nsubject: x\n---\nDear\n", 1, "no preheader"),
        ("---\npreheader: x\n---\nDear\n", 1, "no subject"),
        ("---\nsubject: x\nsubject: y\npreheader: z\n---\nDear\n", 3, "not understood"),
        ("---\nsubject:\npreheader: z\n---\nDear\n", 2, "not understood"),
        ("---\ntitle: x\n---\nDear\n", 2, "not understood"),
        ("---\nsubject: **x**\npreheader: z\n---\nDear\n", 2, "plain words"),
        ("---\nsubject: ## x\npreheader: z\n---\nDear\n", 2, "plain words"),
        ("---\nsubject: {% x %}\npreheader: z\n---\nDear\n", 2, "template code"),
        (FRONT, 5, "no words"),
        (FRONT + "::: urgnt\n## x\n:::\n", 5, "'urgnt' is not a card"),
        (FRONT + ":::\n", 5, "no card is open"),
        (FRONT + "::: urgent\n## x\n- y\n", 5, "not closed"),
        (FRONT + "::: urgent\n## x\n- y\n::: normal\n", 5, "not closed"),
        (FRONT + "::: urgent\n## x\n- y\n=== days 2-2\n", 5, "not closed"),
        (FRONT + "::: urgent\n- y\n:::\n", 5, "no heading"),
        (FRONT + "::: urgent\n:::\n", 5, "no heading"),
        (FRONT + "::: urgent\n## x\n## y\n:::\n", 7, "one heading"),
        (FRONT + CARD + CARD, 11, "the urgent card is on line 5 already"),
        (FRONT + CARD + "=== days 2-2\n" + CARD, 12, "already"),
        (FRONT + "=== days 2-2\n" + CARD + "=== all days\n" + CARD, 13, "already"),
        (FRONT + "Words ::: urgent\n", 5, "start of its own line"),
        (FRONT + "=== day 2\n", 5, "line of days"),
        (FRONT + "=== all days\n", 5, "line of days"),
        (FRONT + "=== days 3-2\nx\n", 5, "do not rise"),
        (FRONT + "=== days 2-3\nx\n=== days 3-4\n", 7, "do not rise"),
        (FRONT + "=== days 2-3\nx\n=== all days\n=== days 4-5\n", 8, "line of days"),
        (FRONT + "Dear\n{{ x|e }}\n", 6, "not a slot"),
        ("x" * (MAX_SOURCE + 1), 1, "longer than"),
    ],
)  # fmt: skip
def test_what_is_not_in_order_is_refused_with_its_line(source: str, line: int, words: str) -> None:
    with pytest.raises(BadText) as caught:
        read_document(source, "smp/day-01.en.md")
    assert words in caught.value.message
    assert caught.value.field == f"smp/day-01.en.md:{line}"
    assert caught.value.next_step
