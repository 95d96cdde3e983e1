"""One-time links for staff, as commands print them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.cli.output import say

if TYPE_CHECKING:
    from service.wiring import Service


def welcome_link(service: Service, token: str) -> str:
    """The whole address of a one-time link."""
    from service.wiring import desk_url

    return desk_url(service.settings, f"/welcome/{token}")


def show_link(link: str) -> None:
    """The link alone on standard output; what it is for on standard error."""
    say("This link opens once, to choose a password, while `aftercare serve` runs here.")
    say("Whoever has it gets in: give it to nobody else.")
    click.echo(link)
