"""Commands that take in data from files."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.cli.options import desk_for, desk_options, find_protocol
from service.cli.output import example, print_document, print_table, say

if TYPE_CHECKING:
    from service.actions.importing import Report


@click.command("import", epilog=example("aftercare import clients.csv --dry-run --date-order dmy"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Report what would happen, and write nothing.")
@click.option("--date-order", type=click.Choice(["dmy", "mdy", "ymd"]), help="Of dates that are not like 2026-04-03.")
@click.option("--protocol", metavar="KEY", help="The treatment of all rows; then the file needs no such column.")
@click.option("--encoding", metavar="NAME", help="utf-8, utf-16 or windows-1252; default: decided from the file.")
@desk_options
def import_command(
    json_: bool, now: str | None, clinic_id: int | None, file: Path, dry_run: bool, **given: Any
) -> None:
    """Clients and treatments from a CSV file: all good rows at once, the bad ones reported.

    Columns: name, email, treatment, treatment_date; also treatment_time, phone, language, consent_on, client_ref.
    """
    from service.actions.csv_rows import CsvOptions, read_rows
    from service.actions.importing import ImportJob, import_file
    from service.domain.schedule import local_day

    # Python's own pace: that of a short command would let a long one keep what it no longer needs.
    gc.set_threshold(700, 10, 10)
    with desk_for(clinic_id, now) as desk:
        catalogue = desk.service.catalogue
        titles = {key: protocol.title for key, protocol in catalogue.protocols.items()}
        if given["protocol"] is not None:
            given["protocol"] = find_protocol(catalogue, given["protocol"]).key
        rows = read_rows(file, CsvOptions(local_day(desk.now, desk.clinic.zone), titles, **given))
        job = ImportJob(desk.clinic, catalogue.protocols, desk.who)
        # What is loaded stays: each of its full rounds would look through all of that again.
        gc.freeze()
        with _progress() as progress:
            report = import_file(desk.service.store, rows, job, dry_run=dry_run, progress=progress)
    if json_:
        print_document(report.as_document())
    else:
        _show(report)


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Counts the rows on a terminal, and is silent elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    try:
        yield lambda rows: click.echo(f"\r{rows:,} rows", err=True, nl=False)
    finally:
        click.echo("\r\033[K", err=True, nl=False)


def _show(report: Report) -> None:
    if report.ignored_columns:
        say(f"Columns that nobody reads: {', '.join(report.ignored_columns)}.")
    if report.errors:
        faults = [{"row": one.row, "column": one.column, "problem": one.problem} for one in report.errors]
        print_table(faults, {"row": "row", "column": "column", "problem": "what is wrong"}, "")
    done = "imported" if report.committed else "can be imported"
    say(
        f"{report.rows:,} rows ({report.encoding}): {report.accepted:,} {done}, {report.unchanged:,} known already, "
        f"{report.rejected:,} rejected."
    )
    if report.at_once:
        when = "go out with the next round" if report.committed else "would go out at once"
        say(f"{report.at_once:,} e-mails {when}: their hour has passed, and they are still right.")
    if report.registered_late:
        say(f"{report.registered_late:,} e-mails of old treatments are too late to be useful and never go out.")
    if not report.committed:
        say("Nothing was written. Leave out --dry-run to import.")
