"""The command `triage`: the rules of the check-in alone, without a database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from service.cli.options import find_protocol, json_option, shortened
from service.cli.output import example, print_document, print_table
from service.domain.plain import LEVELS
from service.errors import BadInput

if TYPE_CHECKING:
    from service.domain.triage import Outcome

#: Every question answered with every option takes a tenth of this.
_LONGEST = 10_000
_FIX = """Write them like '{"q1": ["none"], "q3": ["fading"]}', in single quotes."""


@click.command(
    "triage",
    epilog=example(
        """aftercare triage scalp-micropigmentation --day 3 --answers '{"q1": ["none"], "q3": ["fading"]}'"""
    ),
)
@click.argument("protocol")
@click.option("--day", required=True, type=int, metavar="N", help="Days after the treatment; 0 is its own day.")
@click.option("--answers", required=True, metavar="JSON", help="Question to list of answers; left out = unanswered.")
@click.option("--language", default="en", show_default=True, help="Of the advice.")
@json_option
def triage_command(protocol: str, day: int, answers: str, language: str, json_: bool) -> None:
    """How urgent the answers of a check-in are, and the advice; no database needed.

    Where a phone number or a date of the clinic would stand, the advice has neutral words.
    """
    from service.cli.protocols import catalogue
    from service.domain import triage

    found = find_protocol(catalogue(), protocol)
    words = triage.words_for(triage.check_in_of(found), language)
    outcome = triage.triage(found, day, _parsed(answers))
    advice = triage.advice(words, outcome.level, {"day": str(day)})
    if json_:
        print_document({"level": outcome.level, "advice": " ".join(advice), "rules": outcome.rules})
    else:
        _show(outcome, advice)


def _show(outcome: Outcome, advice: tuple[str, ...]) -> None:
    click.echo(f"{outcome.level}: {LEVELS[outcome.level]}\n")
    for sentence in advice:
        click.echo(sentence)
    click.echo()
    rows = [{"rule": finding.rule, "level": finding.level, "says": finding.says} for finding in outcome.findings]
    print_table(rows, {"level": "level", "rule": "rule", "says": "because"}, "No sign was ticked.")


def _parsed(text: str) -> object:
    """The answers as JSON says them. Raises BadInput (field "answers")."""
    if len(text) > _LONGEST:
        raise BadInput(f"more than {_LONGEST:,} characters are not answers", field="answers", next_step=_FIX)
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{shortened(text)} is not JSON", field="answers", next_step=_FIX) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. One question twice would silently lose the first answers, which may be the graver ones."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        fix = "Put all its answers into one list."
        raise BadInput(f"{shortened(twice)} stands there twice", field="answers", next_step=fix)
    return found
