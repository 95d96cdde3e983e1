"""What staff wait for: the command line's start, and a CSV file of clients."""

from __future__ import annotations

import csv
import importlib.util
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from service.store.engine import Store
from tests.bench.figures import heading
from tests.bench.process import PYTHON, Failed, clean_environment, measure
from tests.bench.stock import PROTOCOL, Database, Databases, fill

AFTERCARE = (PYTHON, "-m", "service")


def _environment(database: Database) -> dict[str, str]:
    return clean_environment(data_dir=str(database.folder), database_url=database.url)


def commands(databases: Databases, kind: str, times: int) -> None:
    """Wall time of commands as typed, with 3,000 treatments in the database."""
    heading(f"Command line, {kind}, wall time as typed, median of {times}")
    with databases.fresh(kind) as database:
        store = Store(database.url)
        fill(store, datetime.now(UTC), due=0, future=9000)
        store.close()
        for name in ("--help", "client add --help", "client list --limit 20", "client add"):
            walls = []
            for number in range(times):
                given = ["--name", f"Sam Lee {number}", "--email", f"sam{number}@example.org"]
                command = [*AFTERCARE, *name.split(), *(given if name == "client add" else [])]
                walls.append(measure(command, _environment(database)).wall)
            print(f"  aftercare {name:24} {median(walls) * 1000:7.0f} ms", flush=True)


def imports(databases: Databases, kind: str, rows: int) -> None:
    """`aftercare import` of a file of good rows into a fresh database."""
    if importlib.util.find_spec("service.actions.importing") is None:
        heading("CSV import: service/actions/importing.py is not there yet")
        return
    heading(f"CSV import, {kind}, {rows:,} rows (each a client, a treatment and its e-mails)")
    with databases.fresh(kind) as database:
        store = Store(database.url)
        fill(store, datetime.now(UTC), due=0, future=0)
        store.close()
        file = database.folder / "clients.csv"
        _write(file, rows)
        idle = measure([*AFTERCARE, "import", "--help"], _environment(database)).wall
        cost = measure([*AFTERCARE, "import", str(file), "--json"], _environment(database))
        told = json.loads(cost.output)
        if told["accepted"] != rows:
            raise Failed(f"not all rows were good: {cost.output[:1000]}")
        again = measure([*AFTERCARE, "import", str(file), "--json"], _environment(database))
    print(f"  first time: {rows / (cost.wall - idle):,.0f} rows/s, CPU {cost.cpu / rows * 1000:.3f} s/1000, "
          f"peak {cost.rss / 1e6:.0f} MB; the same file again: {rows / (again.wall - idle):,.0f} rows/s")  # fmt: skip


def _write(file: Path, rows: int) -> None:
    today = datetime.now(UTC).date()
    names = ("Sam Lee", "Zoë O'Neill", "Jürgen van der Berg", "Priya Okafor")
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out)
        writer.writerow(("name", "email", "phone", "treatment", "treatment_date", "consent_on", "client_ref"))
        for number in range(rows):
            on = today - timedelta(days=number % 3)
            phone = f"01632 96{number % 10000:04}"
            row = (names[number % 4], f"client{number}@example.com", phone, PROTOCOL, on, on, f"R{number}")
            writer.writerow(row)
