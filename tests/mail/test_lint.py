"""The checks find what a careful colleague would, on its line, and leave the shipped texts alone."""

from __future__ import annotations

import pytest

from service.mail.lint import lint, sentences, visible_words
from service.mail.safeguard import Finding
from service.mail.texts import CompiledText, Frames, compile_text
from tests.mail.samples import FRONT, SMP, catalogue, compiled, frames, render, smp


def findings(body: str) -> list[Finding]:
    """What is found besides the safety block, which these short bodies do not have."""
    return [found for found in lint(compiled(body), smp()) if found.rule not in {"cards", "safety block"}]


GOOD = "This note is for {{ for_date }}. Call us on {{ phone }}.\n\n"


@pytest.mark.parametrize("key", sorted(catalogue().sources))
def test_nothing_is_found_in_a_shipped_text(key: tuple[str, str, str]) -> None:
    assert lint(catalogue().compile(*key), catalogue().protocols[key[0]]) == []


def test_nothing_is_found_in_the_hello() -> None:
    assert lint(catalogue().compile_hello("en"), None) == []


def test_a_short_plain_body_is_good() -> None:
    assert findings(GOOD) == []


@pytest.mark.parametrize(
    ("line", "rule", "fix"),
    [
        (" ".join(["word"] * 21) + ".", "long sentence", "at most 20"),
        ("Tell us if you have a fever.", "plain words", "high temperature"),
        ("Your glands may be inflamed.", "plain words", "hot, swollen or sore"),
        ("This is probably fine.", "plain words", "by which date"),
        ("Book now for 10% off.", "marketing", "only care"),
        ("Please leave a review.", "marketing", "only care"),
        ("Well done!", "tone", "full stop"),
        ("Well done 🎉.", "tone", "Say it in words"),
        ("It was red yesterday.", "relative day", "Use a date"),
        ("We will write in 2 days.", "relative day", "Use a date"),
        ("The area is red today.", "relative day", "Name the date"),
        ("::: emergency\n## go now if:\n- you faint\n:::", "phone", "{{ emergency_number }}"),
        ("::: emergency\n## call {{ emergency_number }} or {{ phone }} if:\n- you faint\n:::", "phone", "one number"),
        ("::: urgent\n## call us if:\n- it hurts\n:::", "phone", "{{ phone }}"),
    ],
)
def test_each_rule_finds_its_fault_on_its_line(line: str, rule: str, fix: str) -> None:
    (found,) = findings(f"{GOOD}Plain words.\n\n{line}\n")
    assert (found.rule, found.line, found.blocks) == (rule, 9, False)
    assert fix in found.fix


@pytest.mark.parametrize(
    "line", ["Call us or a doctor today.", "What is normal today, {{ for_date }}.", " ".join(["word"] * 20) + "."]
)
def test_what_is_right_is_left_alone(line: str) -> None:
    assert findings(f"{GOOD}{line}\n") == []


def test_the_phone_must_come_in_the_first_three_sentences() -> None:
    assert findings("Dear {{ greeting_name }},\n\nOne. It is for {{ for_date }}. Call us on {{ phone }}.\n") == []
    late = findings("One. Two. It is for {{ for_date }}. Call us on {{ phone }}.\n")
    assert [found.rule for found in late] == ["phone"]


def test_the_date_it_is_for_must_be_said() -> None:
    assert [found.rule for found in findings("Call us on {{ phone }}.\n")] == ["date"]


@pytest.mark.parametrize(
    "word", ["Your scalp", "The tattoo", "Aftercare", "Healing well", "Less itching", "Your treatment"]
)
def test_nothing_that_a_lock_screen_shows_tells_what_was_done(word: str) -> None:
    (in_body, again) = findings(f"{word}. {GOOD}")
    assert {in_body.message.rpartition(" of the ")[2], again.message.rpartition(" of the ")[2]} == {
        "text part",
        "HTML part",
    }
    assert in_body.blocks
    for part in ("A note", "Short and"):
        front = FRONT.replace(part, f"{word} {part}")
        text = compile_text(
            front + GOOD, protocol=smp(), kind="reminder", language="en", frames=frames(), name="day-01"
        )
        assert any(found.rule == "discreet" and found.blocks for found in lint(text, smp()))


def test_words_that_only_look_alike_are_left_alone() -> None:
    front = FRONT.replace("A note", "We think of you in our kitchen, a note")
    text = compile_text(front + GOOD, protocol=smp(), kind="reminder", language="en", frames=frames(), name="day-01")
    assert not [found for found in lint(text, smp()) if found.rule == "discreet"]


def test_a_text_that_mail_programs_would_cut_is_found() -> None:
    assert [found.rule for found in findings(GOOD + "- plain words\n" * 1000)] == ["size"]


def test_what_blocks_comes_first() -> None:
    found = lint(compiled("Well done!\n"), smp())
    assert [finding.blocks for finding in found] == sorted((finding.blocks for finding in found), reverse=True)


def test_a_language_without_words_for_style_is_still_checked_for_the_rest() -> None:
    plain = frames().languages["en"]
    bare = Frames(
        frames().html,
        frames().text,
        {"en": type(plain)(plain.tag, plain.locale, plain.direction, plain.words, plain.over)},
    )

    def text(body: str) -> CompiledText:
        return compile_text(FRONT + body, protocol=smp(), kind="reminder", language="en", frames=bare, name="day-01")

    rules = {found.rule for found in lint(text("It was a fever yesterday!\n"), smp())}
    assert rules == {"cards", "safety block", "date", "phone", "tone"}


@pytest.mark.parametrize(
    ("words", "parts"),
    [("One. Two? Three", ["One.", "Two?", "Three"]), ("at 9.30 we open", ["at 9.30 we open"]), ("", [])],
)
def test_sentences_end_at_a_stop_and_a_space(words: str, parts: list[str]) -> None:
    assert sentences(words) == parts


def test_the_words_a_person_reads_start_after_the_preheader() -> None:
    text = catalogue().compile(SMP, "day-01", "en")
    assert visible_words(render(text, smp(), 1).html).startswith("Your check-in from Northgate Dear Sam ,")
