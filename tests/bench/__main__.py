"""python -m tests.bench: how fast, against smtp-source, in interleaved rounds. Prints figures, asserts nothing.

Everything runs on loopback and in folders of its own; every process it starts ends with it.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.bench import claiming, desk, pages, searching, sending
from tests.bench.figures import machine
from tests.bench.process import Failed
from tests.bench.sending import Load
from tests.bench.sink import Missing, tool
from tests.bench.stock import Databases

KINDS = ("sqlite", "postgresql")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="rounds; medians are quoted (default 5)")
    parser.add_argument("--mails", type=int, default=5000, help="mails a round (default 5000)")
    parser.add_argument("--database", choices=KINDS, default="sqlite", help="of end-to-end, memory and commands")
    parser.add_argument("--connections", type=int, default=16, help="at once (default 16)")
    parser.add_argument("--quick", action="store_true", help="small numbers: does it run at all?")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be given several times")
    return parser.parse_args()


class Bench:
    """The parts in order. large: planned rows that stand for a full table."""

    def __init__(self, options: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
        quick = options.quick
        self.databases = Databases(folder, stack)
        self.load = Load(
            mails=min(options.mails, 1000) if quick else options.mails,
            connections=options.connections,
            database=options.database,
            rounds=min(options.rounds, 2) if quick else options.rounds,
        )
        self.futures = (9_999, 99_999 if quick else 999_999)
        self.batches = 5 if quick else 25
        self.rows = 2_000 if quick else 50_000
        self.clients = 20_000 if quick else 1_000_000
        self.written = sending.sample(self.databases)
        self.message = folder / "message.eml"
        # smtp-source reads lines and writes CRLF itself.
        self.message.write_bytes(self.written.message.replace(b"\r\n", b"\n"))

    def end_to_end(self) -> None:
        sending.end_to_end(self.databases, self.load, self.message)

    def raw(self) -> None:
        sending.raw(self.load, self.written, self.message)

    def memory(self) -> None:
        sending.memory(self.databases, replace(self.load, mails=min(self.load.mails, 2000)), self.futures)

    def claims(self) -> None:
        for kind in KINDS:
            claiming.claims(self.databases, kind, self.futures, self.batches)

    def imports(self) -> None:
        for kind in KINDS:
            desk.imports(self.databases, kind, self.rows)

    def search(self) -> None:
        for kind in KINDS:
            searching.searching(self.databases, kind, self.clients)

    def pages(self) -> None:
        for kind in KINDS:
            pages.pages(self.databases, kind, self.clients, 40 if self.batches == 5 else 200)

    def commands(self) -> None:
        desk.commands(self.databases, self.load.database, 3 if self.batches == 5 else 15)


PARTS: dict[str, Callable[[Bench], None]] = {
    "end-to-end": Bench.end_to_end,
    "send-layer": Bench.raw,
    "memory": Bench.memory,
    "claims": Bench.claims,
    "import": Bench.imports,
    "search": Bench.search,
    "pages": Bench.pages,
    "commands": Bench.commands,
}


def main() -> int:
    options = _options()
    os.umask(0o077)  # what it makes holds made-up clients only, but is made like the real thing
    try:
        for name in ("smtp-sink", "smtp-source"):
            tool(name)
        with tempfile.TemporaryDirectory(prefix="aftercare-bench-") as folder, ExitStack() as stack:
            bench = Bench(options, Path(folder), stack)
            print(machine(), f"message of {len(bench.written.message):,} bytes", sep="; ")
            for name, part in PARTS.items():
                if not options.only or name in options.only:
                    part(bench)
    except (Missing, Failed) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
