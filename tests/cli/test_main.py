"""The command line as a whole: help, errors, exit status, streams."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from service.cli import COMMANDS, aftercare
from tests.support.command_line import CommandLine

ROOT = Path(__file__).parents[2]


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Every command and group with the words that call it."""
    pending = [(name, aftercare.get_command(click.Context(aftercare), name)) for name in COMMANDS]
    while pending:
        words, command = pending.pop(0)
        assert command is not None
        yield words, command
        if isinstance(command, click.Group):
            pending += [(f"{words} {name}", one) for name, one in command.commands.items()]


ALL = dict(every_command())


def examples(command: click.Command) -> list[str]:
    _, found, lines = (command.epilog or "").partition("Example:\n")
    assert found
    return [line.strip() for line in lines.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("words", ALL)
def test_every_command_explains_itself_with_a_sentence_and_an_example(words: str, bare: CommandLine) -> None:
    answer = bare(*words.split(), "--help")
    assert answer.status == 0
    assert answer.err == ""
    assert ALL[words].help
    assert "\n  Example:\n" in answer.out
    assert words.split()[-1] in answer.out.partition("Example:")[2]
    for parameter in ALL[words].params:
        assert not isinstance(parameter, click.Option) or parameter.help, (words, parameter.name)


@pytest.mark.parametrize(("words", "line"), [(words, line) for words in ALL for line in examples(ALL[words])])
def test_every_example_is_a_command_that_can_be_typed(
    words: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del words
    monkeypatch.chdir(tmp_path)
    (tmp_path / "templates" / "email").mkdir(parents=True)
    for file in ("clients.csv", "day-01.en.md"):
        (tmp_path / file).write_text("")
    typed = line.rpartition(" | ")[2].partition(" > ")[0].removeprefix('eval "$(').removesuffix(')"')
    program, *rest = shlex.split(typed)
    assert program == "aftercare"
    context = aftercare.make_context("aftercare", rest)
    command: click.Command = aftercare
    # A group that does something by itself may be typed without a word after it.
    while isinstance(command, click.Group) and (rest or not command.invoke_without_command):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command = found
        if not isinstance(command, click.Group):
            with command.make_context(name, rest, parent=context):
                pass  # what it opens is closed again


def test_the_sentence_in_the_list_of_commands_is_there_for_each(bare: CommandLine) -> None:
    answer = bare("--help")
    for name, (_, sentence) in COMMANDS.items():
        assert f"  {name} " in answer.out
        assert sentence.split()[0] in answer.out


def test_a_typo_is_answered_with_the_command_that_was_meant(bare: CommandLine) -> None:
    assert "treatment" in bare("treatmnet", "list").err
    assert "'list'" in bare("client", "lst").err


def test_a_mistake_in_the_options_is_bad_usage_for_people_and_for_programs(cli: CommandLine) -> None:
    answer = cli("client", "add", "--name", "Sam Reed")
    assert (answer.status, answer.out) == (2, "")
    assert "--email" in answer.err
    refused = cli.refusal("client", "add", "--name", "Sam Reed")
    assert refused["status"] == 2
    assert refused["code"] == "bad_input"
    assert refused["field"] == "email"
    assert refused["next_step"] == "See `aftercare client add --help`."


def test_an_unknown_option_is_named_in_the_document(cli: CommandLine) -> None:
    assert cli.refusal("outbox", "--sate", "sent")["field"] == "sate"
    assert cli.refusal("nonsense")["code"] == "bad_input"


@pytest.mark.parametrize("bad", ["a\0b", "half a letter \udcff"])
@pytest.mark.parametrize(
    "words",
    [("client", "add", "--email", "a@example.com", "--name"), ("texts", "show"), ("calls", "close", "1", "--note")],
)
def test_bytes_that_are_no_text_are_refused_before_anything_is_touched(
    either: CommandLine, words: tuple[str, ...], bad: str
) -> None:
    refused = either.refusal(*words, bad)
    assert (refused["status"], refused["code"]) == (2, "bad_input")


def test_the_version_is_told(bare: CommandLine) -> None:
    assert bare("--version").out.startswith("aftercare ")


def command(*words: str) -> list[str]:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from service.cli import main; main()"
    return [sys.executable, "-c", code, *words]


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AFTERCARE_")}
    return kept | {"AFTERCARE_DATA_DIR": str(folder / "data"), "AFTERCARE_NOW": "2026-11-20T16:00:00Z"}


def test_a_reader_that_has_seen_enough_is_no_error(cli: CommandLine) -> None:
    for number in range(40):
        cli.client(f"Sam{number} Reed")
    process = subprocess.Popen(
        command("client", "list", "--json"),
        env=environment(cli.folder) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process:
        assert process.stderr.read() == b""
        assert process.wait(60) in (0, 1)


def test_a_full_disk_behind_the_output_is_told_in_a_sentence(cli: CommandLine) -> None:
    cli.client()
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            command("client", "list"),
            env=environment(cli.folder),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert ended.returncode == 1
    assert b"No space left" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_on_a_terminal_without_unicode_json_stays_json_and_people_see_signs(cli: CommandLine) -> None:
    cli.client("Zoë Łuk", email="zoe@example.com")
    around = environment(cli.folder) | {"PYTHONIOENCODING": "ascii"}
    ended = subprocess.run(command("client", "list", "--json"), env=around, capture_output=True, check=True)
    assert rb"Zo\u00eb \u0141uk" in ended.stdout
    ended = subprocess.run(command("client", "list"), env=around, capture_output=True, check=True)
    assert b"Zo" in ended.stdout
