"""The command line. Commands live in one file a group and are imported when they run: --help stays quick.

Exit status: 0 done, 1 the work failed, 2 bad usage or configuration. No traceback for anything a user can cause.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from service.cli.output import example, show_error
from service.errors import AftercareError, BadInput, Unavailable

#: command -> (module, one sentence). The sentences stand here so that --help imports nothing.
COMMANDS = {
    "demo": ("run", "See it work: a made-up clinic, twelve days in seconds, every mail in an inbox page."),
    "init": ("setup", "Make or update the database, the first clinic and its texts."),
    "serve": ("run", "Daemon and web pages in one process."),
    "worker": ("run", "The daemon alone."),
    "web": ("run", "The web pages alone."),
    "tick": ("run", "One round of sending now."),
    "clinic": ("clinics", "Show, change, add or list clinics."),
    "staff": ("clinics", "Add, list, disable staff members; links to sign in."),
    "client": ("clients", "Clients: add, show, list, set, stop, pause, erase, export."),
    "treatment": ("treatments", "Treatments: add, correct, cancel, list."),
    "import": ("data", "Clients and treatments from a CSV file."),
    "outbox": ("lists", "The e-mails: planned, sent, missed, and why."),
    "attempts": ("lists", "Every conversation with the relay about an e-mail."),
    "calls": ("calls", "Who must be phoned, and why."),
    "check-ins": ("check_ins", "What clients answered through the link in their e-mails."),
    "outages": ("watching", "When nothing could be sent, whom it touched, what became of each."),
    "forecast": ("lists", "What goes out in the next days."),
    "plan": ("protocols", "When the e-mails of a treatment would go out; no database needed."),
    "protocols": ("protocols", "Treatment types: list, show, check."),
    "triage": ("triage", "How urgent the answers of a check-in are, and the advice; no database needed."),
    "texts": ("texts", "The words: list, show, edit, preview, approve, check."),
    "preview": ("previews", "One e-mail as it would look."),
    "simulate": ("promises", "What each client would get, also through an outage."),
    "config": ("setup", "Show or check the settings (secrets masked)."),
    "check": ("promises", "Do the promises hold in this database?"),
    "doctor": ("doctor", "Is everything around the program well?"),
    "returned": ("returned", "Read returned mail: bounces, complaints, stops, replies; and do what follows."),
    "backup": ("backup", "One verified file while everything goes on; encrypted if a key is set."),
    "restore": ("backup", "Bring a backup back; asks about what may have gone out since."),
    "uncertain": ("uncertain", "E-mails that may have gone out after the restored backup: answer."),
    "suppressions": ("evidence", "Addresses that are not written to any more: list, lift."),
    "audit": ("evidence", "Who did what, when; --verify checks the seals."),
    "alert-test": ("watching", "Send one test alert to the webhook."),
    "test-email": ("run", "Send yourself one neutral e-mail through the relay."),
    "completion": ("setup", "Completion for your shell."),
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            # The library knows only commands that are imported already; a typo deserves a hint.
            raise click.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, (_, sentence) in COMMANDS.items()])


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"aftercare {version('aftercare')}")
    except PackageNotFoundError:
        click.echo("aftercare (from its source folder)")
    ctx.exit()


@click.command(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=example("aftercare demo"),
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show it.")
def aftercare() -> None:
    """Follow-up e-mails after a treatment: on the right day, once, and a phone call when an e-mail could not do it."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and exit with its status. arguments: without the program's name; None: the process's own."""
    # Imports make many objects and next to no garbage: collecting meanwhile costs an eighth of a short command.
    gc.set_threshold(50_000, 20, 20)
    sys.exit(perform(list(sys.argv[1:] if arguments is None else arguments)))


def perform(arguments: list[str]) -> int:
    """Run one command; its exit status. What a user can cause is told in sentences, or as a document with --json."""
    as_json = "--json" in arguments
    try:
        _require_text(arguments)
        status = aftercare.main(arguments, prog_name="aftercare", standalone_mode=False)
        sys.stdout.flush()
    except AftercareError as error:
        show_error(error, as_json=as_json)
        return error.exit_status
    except click.ClickException as error:
        if as_json:
            show_error(_as_ours(error), as_json=True)
        else:
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        _give_up_output()
        return 0
    except OSError as error:
        _give_up_output()
        show_error(_about_file(error), as_json=as_json)
        return Unavailable.exit_status
    return status if isinstance(status, int) else 0


def _give_up_output() -> None:
    """Nobody takes it any more: the interpreter's own flush at exit must not complain, nor change the status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _require_text(arguments: list[str]) -> None:
    """No database and no mail takes a NUL or half a character."""
    for argument in arguments:
        if "\0" in argument or any("\ud800" <= character <= "\udfff" for character in argument):
            raise BadInput("an argument holds bytes that are no text", next_step="Type it again by hand, in UTF-8.")


def _as_ours(error: click.ClickException) -> BadInput:
    """A mistake that the option parser found, as the document that every other mistake gets."""
    field = next_step = None
    if isinstance(error, click.BadParameter) and error.param is not None:
        is_option = isinstance(error.param, click.Option)
        field = _bare(max(error.param.opts, key=len)) if is_option else error.param.name
    elif isinstance(error, click.NoSuchOption):
        field = _bare(error.option_name)
    if isinstance(error, click.UsageError) and error.ctx is not None:
        next_step = f"See `{error.ctx.command_path} --help`."
    return BadInput(error.format_message(), field=field, next_step=next_step)


def _bare(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


def _about_file(error: OSError) -> Unavailable:
    place = f"{error.filename}: " if error.filename else ""
    return Unavailable(
        f"{place}{error.strerror or error}",
        field=str(error.filename) if error.filename else None,
        next_step="Check that it exists, that this user may write it, and that its disk is not full.",
    )
