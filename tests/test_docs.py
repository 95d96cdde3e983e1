"""The documents say what is so: commands, paths, settings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from service.cli import COMMANDS
from service.settings import Settings, describe

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def test_every_setting_stands_in_the_readme_with_its_default_and_meaning() -> None:
    rows = describe(Settings())
    table = "\n".join(
        ["| setting | default | meaning |", "| --- | --- | --- |"]
        + [f"| `{row['setting']}` | {row['value'] and '`' + row['value'] + '`'} | {row['meaning']} |" for row in rows]
    )
    written = re.search(r"<!-- settings -->\n(.*?)\n<!-- /settings -->", README, re.DOTALL)
    assert written is not None
    assert written[1].strip() == table


def test_every_command_in_the_readme_exists() -> None:
    lines = re.findall(r"(?:^|`|\s)aftercare ([a-z][a-z-]+)", README)
    assert lines
    assert set(lines) <= set(COMMANDS)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:service|templates|requirements|tests)/[^`<… ]*)`", README)))
)
def test_every_path_in_the_readme_is_there(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_readme_shows_the_two_commands_in_one_line_each() -> None:
    blocks = re.findall(r"```\n(.*?)```", README, re.DOTALL)
    for block in blocks[:2]:
        (line,) = block.strip().splitlines()
        assert shlex.split(line)[:3] == ["python3", "-m", "venv"]


def test_no_file_names_a_registry_or_a_path_of_one_machine() -> None:
    lock = (ROOT / "requirements" / "lock.txt").read_text("utf-8")
    assert "://" not in lock
    assert "@ file" not in lock
