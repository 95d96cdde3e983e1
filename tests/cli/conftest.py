"""An installation to give commands to: `cli` on SQLite, `either` on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import NORTHGATE, CommandLine, installation


@pytest.fixture
def bare(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """Nothing but an empty folder."""
    yield from installation(tmp_path, None, capsys, monkeypatch)


@pytest.fixture
def cli(bare: CommandLine, sqlite_template: Path) -> CommandLine:
    """One complete clinic on SQLite."""
    data = bare.folder / "data"
    data.mkdir()
    (data / "aftercare.db").write_bytes(sqlite_template.read_bytes())
    assert bare("init", *NORTHGATE).status == 0
    return bare


@pytest.fixture
def either(
    tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    """One complete clinic, once on SQLite and once on PostgreSQL."""
    for made in installation(tmp_path, database_url, capsys, monkeypatch):
        assert made("init", *NORTHGATE).status == 0
        yield made
