"""The real command in this process: its exit status, standard output and standard error."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from service.cli import perform

SMP = "scalp-micropigmentation"
NORTHGATE = (
    *("--clinic", "Northgate Clinic", "--timezone", "Europe/London", "--phone", "01632 960 001"),
    *("--hours", "mon-fri 09:00-18:00; sat 10:00-14:00", "--emergency-number", "999"),
    *("--urgent-line-name", "NHS 111", "--urgent-line-number", "111"),
    *("--reply-to", "desk@northgate-clinic.org", "--sender-name", "Northgate"),
)


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as one JSON document; fails if there is anything else."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> Any:
        """The error of the JSON error document."""
        assert set(self.document) == {"error"}
        assert set(self.document["error"]) == {"code", "message", "field", "next_step"}
        return self.document["error"]


@dataclass
class CommandLine:
    """One installation in a folder of its own; its clock stands at Friday 20 November 2026, 16:00 London time."""

    folder: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *words: object, **settings: str) -> Answer:
        """Run one command to its end. settings: on top of the installation's."""
        with self.monkeypatch.context() as around:
            for name, value in settings.items():
                around.setenv(f"AFTERCARE_{name.upper()}", value)
            self.capsys.readouterr()
            status = perform([str(word) for word in words])
            out, err = self.capsys.readouterr()
        assert "Traceback" not in out + err
        return Answer(status, out, err)

    def document(self, *words: object, **settings: str) -> Any:
        """Run a command that must succeed, and give its one JSON document."""
        answer = self(*words, "--json", **settings)
        assert answer.status == 0, answer
        return answer.document

    def lines(self, *words: object, **settings: str) -> list[Any]:
        """Run a command that must succeed, and give its JSON lines."""
        answer = self(*words, "--json", **settings)
        assert answer.status == 0, answer
        return answer.lines

    def refusal(self, *words: object, **settings: str) -> Any:
        """Run a command that must fail, and give what its JSON error says, with the exit status as `status`."""
        answer = self(*words, "--json", **settings)
        assert answer.status in (1, 2), answer
        return answer.error | {"status": answer.status}

    def client(self, name: str = "Sam Reed", **options: str) -> int:
        email = options.pop("email", f"{name.split()[0].lower()}@example.com")
        more = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
        return int(self.document("client", "add", "--name", name, "--email", email, *more)["id"])

    def treat(self, client: int, on: str = "2026-11-20", *more: str) -> Any:
        return self.document("treatment", "add", "--client", client, "--protocol", SMP, "--on", on, *more)


def installation(
    folder: Path, database: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[CommandLine]:
    """A command line over an empty data folder. database: a URL, None for the SQLite file in that folder."""
    for name in list(os.environ):
        if name.startswith("AFTERCARE_") and not name.startswith("AFTERCARE_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("AFTERCARE_DATA_DIR", str(folder / "data"))
    monkeypatch.setenv("AFTERCARE_NOW", "2026-11-20T16:00:00Z")
    if database is not None:
        monkeypatch.setenv("AFTERCARE_DATABASE_URL", database)
    root = logging.getLogger()
    before = list(root.handlers), root.level
    yield CommandLine(folder, capsys, monkeypatch)
    root.handlers, root.level = before
    structlog.reset_defaults()
