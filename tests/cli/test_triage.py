"""`aftercare triage`: the rules alone, without a database, and nothing that a hostile argument could break."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.support.command_line import SMP, CommandLine

CLEAR = {"q1": ["none"], "q2": ["no"], "q3": ["none"], "q4": ["none"], "q5": ["none"], "q6": ["none"]}
TATTOO = "scalp-tattoo"


def command(answers: object, day: object = 3, protocol: str = SMP) -> tuple[str, ...]:
    text = answers if isinstance(answers, str) else json.dumps(answers)
    return ("triage", protocol, "--day", str(day), "--answers", text)


def test_the_document_is_level_advice_and_rules_and_needs_no_database(bare: CommandLine) -> None:
    told = bare.document(*command({"q1": ["none"], "q3": ["fading"]}))
    assert set(told) == {"level", "advice", "rules"}
    assert told["level"] == "T"
    assert told["advice"].startswith("Call us today on our usual number. If we are closed or do not answer, call")
    assert told["rules"] == ["q2.unanswered", "13", "q4.unanswered", "q5.unanswered", "q6.unanswered"]
    assert list(bare.folder.iterdir()) == []


@pytest.mark.parametrize("protocol", [SMP, TATTOO, "Scalp tattoo"])
@pytest.mark.parametrize(
    ("day", "changed", "level"),
    [
        (0, {}, "N"),
        (1, {"q3": ["fading"]}, "N"),
        (2, {"q3": ["fading"]}, "N"),
        (3, {"q3": ["fading"]}, "T"),
        (5, {"q6": ["itchy"]}, "V"),
        (10, {"q6": ["itchy"]}, "S"),
        (15, {}, "S"),
        (1, {"q2": ["unwell"]}, "D"),
        (1, {"q1": ["breathing", "none"]}, "E"),
        (1, {"q1": []}, "T"),
        (366, {"q4": ["not_sure"]}, "T"),
    ],
)
def test_the_level_follows_day_and_answers(
    bare: CommandLine, protocol: str, day: int, changed: dict[str, list[str]], level: str
) -> None:
    assert bare.document(*command(CLEAR | changed, day, protocol))["level"] == level


def test_people_read_the_level_the_advice_and_why(bare: CommandLine) -> None:
    shown = bare(*command(CLEAR | {"q5": ["pus"]}))
    assert shown.status == 0
    assert shown.out.startswith("D: doctor today\n\nGet medical help today.\n")
    assert "D      12    Pus, yellow or green fluid, bad smell" in shown.out
    normal = bare(*command(CLEAR))
    assert "N: normal" in normal.out
    assert "what we expect on day 3" in normal.out
    assert "No sign was ticked." in normal.err


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        ("", "answers"),
        ("{", "answers"),
        ("nonsense", "answers"),
        ("{'q1': ['none']}", "answers"),
        ('{"q1": ["none"]} x', "answers"),
        ("null", "answers"),
        ("[]", "answers"),
        ("7", "answers"),
        ("NaN", "answers"),
        ("9" * 5_000, "answers"),
        ("[" * 9_000, "answers"),
        ('{"q1":' * 1_500, "answers"),
        ('{"q1": ["none"]}' + " " * 10_000_000, "answers"),
        ('{"q7": ["none"]}', "answers"),
        ('{"q1": ["breathing"], "q1": ["none"]}', "answers"),
        ('{"q1": "none"}', "answers.q1"),
        ('{"q1": 1}', "answers.q1"),
        ('{"q1": [1]}', "answers.q1"),
        ('{"q1": [["none"]]}', "answers.q1"),
        ('{"q1": ["none", "none"]}', "answers.q1"),
        ('{"q1": ["\\ud800\\u001b[31m"]}', "answers.q1"),
        ('{"q2": ["none"]}', "answers.q2"),
    ],
    ids=range(22),
)
def test_what_is_no_set_of_answers_is_refused_naming_what_there_is(bare: CommandLine, answers: str, field: str) -> None:
    refused = bare.refusal(*command(answers))
    assert (refused["status"], refused["code"], refused["field"]) == (2, "bad_input", field)
    assert refused["next_step"]
    assert len(refused["message"]) < 200
    plain = bare(*command(answers))
    assert (plain.status, plain.out) == (2, "")
    assert "\x1b" not in plain.err


@pytest.mark.parametrize("day", ["-1", "367", "3.5", "three", "", "9" * 5_000, "true"])
def test_an_impossible_day_is_refused(bare: CommandLine, day: str) -> None:
    refused = bare.refusal(*command(CLEAR, day))
    assert (refused["status"], refused["field"]) == (2, "day")


def test_an_unknown_protocol_or_language_is_refused_naming_what_there_is(bare: CommandLine) -> None:
    refused = bare.refusal(*command(CLEAR, protocol="botox"))
    assert (refused["status"], refused["field"]) == (2, "protocol")
    assert TATTOO in refused["next_step"]
    refused = bare.refusal(*command(CLEAR), "--language", "xx")
    assert (refused["status"], refused["field"], refused["next_step"]) == (2, "language", "Use one of en.")
    assert bare.document(*command(CLEAR), "--language", "en-GB")["level"] == "N"


@pytest.mark.parametrize("missing", ["--day", "--answers"])
def test_day_and_answers_are_needed(bare: CommandLine, missing: str) -> None:
    words = list(command(CLEAR))
    place = words.index(missing)
    refused = bare.refusal(*words[:place], *words[place + 2 :])
    assert (refused["status"], refused["field"]) == (2, missing.removeprefix("--"))


def test_the_example_of_the_help_page_works(bare: CommandLine) -> None:
    shown = bare("triage", "--help").out
    example = next(line for line in shown.splitlines() if line.strip().startswith("aftercare triage scalp"))
    assert bare.document(*shlex.split(example)[1:])["level"] == "T"
