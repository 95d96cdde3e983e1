"""The command line. Commands live in one file a group and are imported when they run: --help stays quick.

Exit status: 0 done, 1 the work failed, 2 bad usage or configuration. No traceback for anything a user can cause.
"""

from __future__ import annotations

import importlib
import sys
from typing import NoReturn

import click

from service.cli.output import show_error
from service.errors import AftercareError

#: command -> (module, one sentence). The sentences stand here so that --help imports nothing.
COMMANDS = {
    "demo": ("run", "See it work: a made-up clinic, twelve days in seconds, every mail in an inbox page."),
    "init": ("setup", "Make or update the database, the first clinic and its texts."),
    "serve": ("run", "Daemon and web pages in one process."),
    "worker": ("run", "The daemon alone."),
    "web": ("run", "The web pages alone."),
    "tick": ("run", "One round of sending now."),
    "clinic": ("setup", "Show, change, add or list clinics."),
    "staff": ("setup", "Add, list or disable staff members."),
    "client": ("desk", "Clients: add, show, list, set, stop, pause, erase, export."),
    "treatment": ("desk", "Treatments: add, correct, cancel, list."),
    "import": ("data", "Clients and treatments from a CSV file."),
    "outbox": ("lists", "The e-mails: planned, sent, missed, and why."),
    "attempts": ("lists", "Every conversation with the relay about an e-mail."),
    "calls": ("lists", "Who must be phoned, and why."),
    "forecast": ("lists", "What goes out in the next days."),
    "plan": ("words", "When the e-mails of a treatment would go out; no database needed."),
    "protocols": ("words", "Treatment types: list, show, check."),
    "texts": ("words", "The words: list, show, edit, preview, approve, check."),
    "preview": ("words", "One e-mail as it would look."),
    "simulate": ("promises", "What each client would get, also through an outage."),
    "config": ("setup", "Show or check the settings (secrets masked)."),
    "check": ("promises", "Do the promises hold in this database?"),
    "test-email": ("run", "Send yourself one neutral e-mail through the relay."),
    "completion": ("setup", "The line that switches on completion in your shell."),
}


class Commands(click.Group):
    """Knows the commands by name; imports the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"service.cli.{COMMANDS[cmd_name][0]}")
        command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Begin with: aftercare demo",
)
@click.version_option(package_name="aftercare", prog_name="aftercare")
def aftercare() -> None:
    """Follow-up e-mails after a treatment: on the right day, once, and a phone call when an e-mail could not do it."""


def main() -> NoReturn:
    """Run one command and exit with its status."""
    try:
        aftercare.main(standalone_mode=False)
    except AftercareError as error:
        show_error(error)
        sys.exit(error.exit_status)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        sys.stderr.close()
        sys.exit(0)
    sys.exit(0)
