"""Commands about the words: list, show, edit, approve, check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, BinaryIO

import click

from service.cli.options import desk_for, desk_options, json_option, read_date, shortened, writing
from service.cli.output import example, print_document, print_lines, print_table, say
from service.cli.previews import preview_command
from service.cli.protocols import catalogue
from service.errors import BadInput, BadText, NotFound

if TYPE_CHECKING:
    from service.actions.words import TextKey
    from service.store.texts import TextVersion

language_option = click.option("--language", default="en", show_default=True, help="Like en or es-MX.")
version_option = click.option("--version", type=click.IntRange(1, 2**31 - 1), help="Default: the newest.")


@click.group("texts", epilog=example("aftercare texts list"))
def texts_command() -> None:
    """The words: list, show, edit, preview, approve, check."""


texts_command.add_command(preview_command, "preview")


def _key(text: str, language: str) -> TextKey:
    from service.actions.words import TextKey

    protocol, slash, name = text.partition("/")
    if not slash:
        fix = "Write it like scalp-micropigmentation/day-01."
        raise BadInput(f"{shortened(text)} is not PROTOCOL/NAME", field="text", next_step=fix)
    return TextKey(protocol, name, language)


@texts_command.command("list", epilog=example("aftercare texts list --json"))
@desk_options
def list_texts(json_: bool, now: str | None, clinic_id: int | None) -> None:
    """Every version, newest first, with its approval."""
    from service.store import texts

    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        rows = [_shown(one) for one in texts.versions(connection, [desk.clinic.id])]
    if json_:
        print_lines(rows)
        return
    told = [row | {"text": f"{row['protocol']}/{row['name']}", "v": row["version"]} for row in rows]
    columns = {"text": "text", "language": "lang", "v": "v", "state": "state"}
    columns |= {"review_by": "review by", "approved_by": "approved by"}
    print_table(told, columns, "No texts yet. Run: aftercare init")


def _shown(one: TextVersion) -> dict[str, Any]:
    return {
        "id": one.id,
        "protocol": one.protocol,
        "name": one.name,
        "language": one.language,
        "version": one.version,
        "state": "withdrawn" if one.withdrawn_at else "approved" if one.approved_at else "draft",
        "approved_by": one.approved_by,
        "review_by": one.review_by,
        "sha256": one.sha256,
    }


@texts_command.command("show", epilog=example("aftercare texts show scalp-micropigmentation/day-01"))
@click.argument("text")
@language_option
@version_option
@desk_options
def show_text(
    json_: bool, now: str | None, clinic_id: int | None, text: str, language: str, version: int | None
) -> None:
    """The source of one version."""
    from service.store import texts

    key = _key(text, language)
    with desk_for(clinic_id, now) as desk, desk.service.store.read() as connection:
        found = texts.find(connection, desk.clinic.id, key.as_dict(), version)
        source = texts.source(connection, found.id)
    if json_:
        print_document({**_shown(found), "source": source})
    else:
        click.echo(source, nl=False)


@texts_command.command(
    "edit",
    epilog=example(
        "aftercare texts edit scalp-micropigmentation/day-01",
        "aftercare texts edit scalp-micropigmentation/day-01 day-01.en.md",
    ),
)
@click.argument("text")
@click.argument("file", required=False, type=click.File("rb"))
@language_option
@desk_options
def edit_text(
    json_: bool, now: str | None, clinic_id: int | None, text: str, file: BinaryIO | None, language: str
) -> None:
    """Save FILE (- for standard input; none: your editor) as a new draft. A text without its red flags is refused."""
    from service.actions import words
    from service.store import texts

    key = _key(text, language)
    with desk_for(clinic_id, now) as desk:
        if file is None:
            with desk.service.store.read() as connection:
                before = texts.source(connection, texts.find(connection, desk.clinic.id, key.as_dict()).id)
            source = click.edit(before, extension=".md")
        else:
            source = _decoded(file.read(), text)
        if source is None:
            raise BadInput("nothing was changed", field="file", next_step="Save the file in your editor, or name one.")
        with desk.service.store.write() as connection:
            saved = words.save(connection, desk.service.catalogue, desk.clinic, (key, source), desk.who)
    if json_:
        print_document(_shown(saved))
    else:
        say(f"Saved as version {saved.version}, a draft. Look at it with `aftercare texts preview`, then approve it.")


def _decoded(raw: bytes, text: str) -> str:
    try:
        source = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadText(f"{text}: is not UTF-8 text", field="file", next_step="Save it as UTF-8.") from error
    if "\0" in source:
        raise BadText(f"{text}: holds a NUL character", field="file", next_step="Save it as plain text.")
    return source


@texts_command.command(
    "approve",
    epilog=example(
        "aftercare texts approve scalp-micropigmentation/day-01 --by dr.lee@example.com --review-by 2027-11-20"
    ),
)
@click.argument("text")
@language_option
@version_option
@click.option("--by", required=True, metavar="EMAIL", help="A clinician of this clinic.")
@click.option("--review-by", required=True, metavar="DATE", help="When it must be read again; 12 months are usual.")
@desk_options
def approve_text(json_: bool, now: str | None, clinic_id: int | None, text: str, language: str, **given: Any) -> None:
    """Approve a version in a clinician's name."""
    from service.actions import words

    approval = words.Approval(given["by"], read_date(given["review_by"], "review_by"), given["version"])
    signed = (_key(text, language), approval)
    with writing(clinic_id, now) as (desk, connection):
        done = words.approve(connection, desk.service.catalogue, desk.clinic, signed, desk.who)
    if json_:
        print_document(_shown(done))
    else:
        say(f"{text} version {done.version} is approved by {done.approved_by}, to be reviewed by {done.review_by}.")


@texts_command.command("check", epilog=example("aftercare texts check scalp-micropigmentation"))
@click.argument("which", required=False, metavar="[PROTOCOL[/NAME]]")
@json_option
def check_texts(which: str | None, json_: bool) -> int:
    """Read the shipped texts as a strict editor would: words, cards, red flags, limits. Exit 1 on findings."""
    from service.mail.lint import lint

    shipped = catalogue()
    chosen = [key for key in shipped.sources if which in (None, key[0], f"{key[0]}/{key[1]}")]
    if not chosen:
        known = ", ".join(shipped.protocols)
        raise NotFound(f"there is no text {which}", field="which", next_step=f"Protocols: {known}.")
    rows = []
    for protocol, name, language in chosen:
        for finding in lint(shipped.compile(protocol, name, language), shipped.protocols[protocol]):
            place = f"{protocol}/{name}.{language}.md:{finding.line}"
            rows.append({"where": place, "rule": finding.rule, "message": finding.message, "fix": finding.fix})
    if json_:
        print_lines(rows)
    elif rows:
        told = [row | {"told": f"{row['message']}. {row['fix']}"} for row in rows]
        print_table(told, {"where": "where", "told": "what, and what to do"}, "")
    else:
        say(f"Nothing to mend in {len(chosen)} texts.")
    return 1 if rows else 0
