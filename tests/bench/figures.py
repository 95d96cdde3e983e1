"""Figures as people read them: medians, columns, and the machine they were taken on. Judges nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import sqlalchemy as sa


@dataclass(frozen=True)
class Column:
    """One figure of every round. digits: after the point."""

    head: str
    digits: int = 0


def heading(words: str) -> None:
    print(f"\n{words}", flush=True)


def table(columns: Sequence[Column], rounds: Sequence[Sequence[float]]) -> None:
    """One line a round, then the median of each column."""
    heads = [column.head for column in columns]
    print("  " + "round".ljust(8) + "".join(head.rjust(max(12, len(head) + 2)) for head in heads))
    for number, row in enumerate(rounds, 1):
        _line(str(number), columns, row)
    if len(rounds) > 1:
        _line("median", columns, [median(values) for values in zip(*rounds, strict=True)])


def _line(name: str, columns: Sequence[Column], row: Sequence[float]) -> None:
    cells = [
        f"{value:,.{column.digits}f}".rjust(max(12, len(column.head) + 2))
        for column, value in zip(columns, row, strict=True)
    ]
    print("  " + name.ljust(8) + "".join(cells), flush=True)


def p50_p95(seconds: Sequence[float]) -> tuple[float, float]:
    """In milliseconds."""
    cuts = quantiles(seconds, n=20, method="inclusive")
    return cuts[9] * 1000, cuts[18] * 1000


def machine() -> str:
    """What the figures were taken on: they mean little without it."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    parts = (
        f"{os.cpu_count()} cores ({_cpu()})",
        f"load {os.getloadavg()[0]:.2f}",
        f"Python {platform.python_version()}",
        f"SQLAlchemy {sa.__version__}",
        f"SQLite {sqlite3.sqlite_version}",
        f"commit {commit.stdout.strip() or 'unknown'}",
    )
    return ", ".join(parts)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
