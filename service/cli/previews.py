"""The command `preview`: a sample without a database, or a client's next e-mail with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from service.cli.options import ID, desk_for, desk_options, find_protocol
from service.cli.output import example, print_document
from service.errors import BadInput

if TYPE_CHECKING:
    from service.actions.today import Spoken
    from service.actions.writing import Written
    from service.cli.options import Desk

_FORMATS = click.Choice(["html", "text", "eml"])


@click.command(
    "preview",
    epilog=example(
        "aftercare preview scalp-micropigmentation day-03",
        "aftercare preview scalp-micropigmentation day-03 --client 7 --format eml",
        "aftercare preview scalp-micropigmentation today-06 --format html",
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
    """One e-mail as it would look, on standard output. A sample needs no database.

    STEP is a step's key, catch-up-NN, or today-NN: the page behind a client's link on day NN.
    """
    if given["client_id"] is None:
        shown = _of_sample(protocol, step, given["language"] or "en")
    else:
        with desk_for(clinic_id, now) as desk:
            shown = _of_client(desk, (protocol, step), given["client_id"], given["language"])
    if given["format_"] == "eml" and not json_:
        click.echo(_message(shown), nl=False)
        return
    parts = _parts(shown)
    if json_:
        print_document(parts)
    else:
        click.echo(parts[given["format_"]], nl=False)


def _message(shown: Written | Spoken) -> bytes:
    message: bytes | None = getattr(shown, "message", None)
    if message is None:
        fix = "Use --format html or text."
        raise BadInput("this is a page, not an e-mail", field="format", next_step=fix)
    return message


def _parts(shown: Written | Spoken) -> dict[str, str]:
    """Subject, text and HTML as a reader's mail program sees them, or those of a page."""
    import email
    import email.policy

    from service.actions.page_preview import as_document
    from service.actions.today import Spoken

    if isinstance(shown, Spoken):
        return {"subject": shown.title, "text": shown.text, "html": as_document(shown)}
    parsed = email.message_from_bytes(shown.message, policy=email.policy.default)
    text, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert text is not None
    assert html is not None
    return {"subject": str(parsed["Subject"]), "text": text.get_content(), "html": html.get_content()}


def _of_sample(protocol_key: str, step: str, language: str) -> Written | Spoken:
    from service.actions import page_preview, previewing
    from service.cli.protocols import catalogue

    shipped = catalogue()
    protocol = find_protocol(shipped, protocol_key)
    day = page_preview.page_day(protocol, step)
    if day is not None:
        return page_preview.of_sample(shipped, protocol, day, language)
    return previewing.of_sample(shipped, protocol, step, language)


def _of_client(desk: Desk, which: tuple[str, str], client_id: int, language: str | None) -> Written | Spoken:
    from service.actions import page_preview, previewing
    from service.actions.reading import note_read
    from service.actions.shelf import Shelf
    from service.actions.writing import Writer
    from service.store import clients

    service = desk.service
    protocol = find_protocol(service.catalogue, which[0])
    writer = Writer(service.signer, service.settings.public_url, service.settings.stop_domain)
    desk_of = previewing.Desk(desk.clinic, Shelf(service.catalogue, not service.settings.live), writer)
    with service.store.read() as connection:
        clients.get(connection, desk.clinic.id, client_id)
    # Before anything is shown: what cannot be noted is not.
    note_read(service.store, desk.clinic.id, desk.actor, client_id, desk.now)
    with service.store.read() as connection:
        wanted = previewing.Wanted(protocol, which[1], client_id, language)
        if page_preview.page_day(protocol, which[1]) is not None:
            return page_preview.of_client(connection, desk_of, wanted, desk.now)
        return previewing.of_client(connection, desk_of, wanted, desk.now)
