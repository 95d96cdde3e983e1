"""The command `preview`: a sample without a database, or a client's next e-mail with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from service.cli.options import ID, desk_for, desk_options, find_protocol
from service.cli.output import example, print_document

if TYPE_CHECKING:
    from service.actions.writing import Written
    from service.cli.options import Desk

_FORMATS = click.Choice(["html", "text", "eml"])


@click.command(
    "preview",
    epilog=example(
        "aftercare preview scalp-micropigmentation day-03",
        "aftercare preview scalp-micropigmentation day-03 --client 7 --format eml",
    ),
)
@click.argument("protocol")
@click.argument("step")
@click.option("--client", "client_id", type=ID, metavar="ID", help="With this client's data; default: a sample.")
@click.option("--language", help="Default: the client's, or English.")
@click.option("--format", "format_", type=_FORMATS, default="text", show_default=True, help="What to print.")
@desk_options
def preview_command(
    json_: bool, now: str | None, clinic_id: int | None, protocol: str, step: str, **given: Any
) -> None:
    """One e-mail as it would look, on standard output. A sample needs no database."""
    if given["client_id"] is None:
        written = _of_sample(protocol, step, given["language"] or "en")
    else:
        with desk_for(clinic_id, now) as desk:
            written = _of_client(desk, (protocol, step), given["client_id"], given["language"])
    if json_:
        print_document(_parts(written.message))
    elif given["format_"] == "eml":
        click.echo(written.message, nl=False)
    else:
        click.echo(_parts(written.message)[given["format_"]], nl=False)


def _parts(message: bytes) -> dict[str, str]:
    """Subject, text and HTML as a reader's mail program sees them."""
    import email
    import email.policy

    parsed = email.message_from_bytes(message, policy=email.policy.default)
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert text is not None
    assert html is not None
    return {"subject": str(parsed["Subject"]), "text": text.get_content(), "html": html.get_content()}


def _of_sample(protocol_key: str, step: str, language: str) -> Written:
    from service.actions import previewing
    from service.cli.protocols import catalogue

    shipped = catalogue()
    return previewing.of_sample(shipped, find_protocol(shipped, protocol_key), step, language)


def _of_client(desk: Desk, which: tuple[str, str], client_id: int, language: str | None) -> Written:
    from service.actions import previewing
    from service.actions.shelf import Shelf
    from service.actions.writing import Writer

    service = desk.service
    protocol = find_protocol(service.catalogue, which[0])
    writer = Writer(service.signer, service.settings.public_url)
    desk_of = previewing.Desk(desk.clinic, Shelf(service.catalogue, not service.settings.live), writer)
    with service.store.read() as connection:
        wanted = previewing.Wanted(protocol, which[1], client_id, language)
        return previewing.of_client(connection, desk_of, wanted, desk.now)
