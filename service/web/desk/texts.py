"""The words: which are approved, the editor with its preview, what changed, approving, a test to oneself."""

from __future__ import annotations

from datetime import date, timedelta
from html import escape
from typing import NamedTuple

from service import wiring
from service.actions import wording, words
from service.actions.previewing import Desk
from service.actions.reading import note_read
from service.actions.shelf import Shelf
from service.actions.trying import Told, try_relay
from service.actions.wording import Look, Reader
from service.actions.words import Approval, TextKey
from service.actions.writing import Writer
from service.errors import BadInput, BadText, NotAllowed
from service.mail.relay import Parcel
from service.store import audit, texts
from service.store.audit import Deed
from service.store.texts import TextVersion
from service.web.desk import one_try
from service.web.desk.forms import sentence
from service.web.desk.one_try import waited_for
from service.web.desk.visit import Answer, Frame, Go, Page, Route, Visit

REVIEW_AFTER = timedelta(days=365)
_DONE = {"saved": "Saved as a draft. A clinician can approve it now.", "approved": "Approved."}
_LATE = "your e-mail may have gone out all the same. Look into your mailbox before you send another."
MOST_SOURCE = 60_000  # characters


def _list(visit: Visit) -> Answer:
    with visit.store.read() as connection:
        versions = texts.versions(connection, [visit.clinic.id])
    newest: dict[TextKey, list[TextVersion]] = {}
    for version in versions:
        newest.setdefault(_key(version), []).append(version)
    protocols = visit.service.catalogue.protocols
    shown = []
    for key, protocol in protocols.items():
        order = {name: place for place, name in enumerate(protocol.texts)}
        mine = [(one, all_of[0], _approved(all_of)) for one, all_of in newest.items() if one.protocol == key]
        mine = [row for row in mine if row[0].name in order]
        shown.append((protocol, sorted(mine, key=lambda row: (order[row[0].name], row[0].language))))
    said = {"protocols": shown, "today": visit.now.astimezone(visit.clinic.zone).date()}
    return Page("texts.html", {**said, "live": visit.service.settings.live})


def _approved(versions: list[TextVersion]) -> TextVersion | None:
    """The version that is sent: the newest that a clinician has signed."""
    return next((one for one in versions if one.approved_at and not one.withdrawn_at), None)


def _key(version: TextVersion) -> TextKey:
    return TextKey(version.protocol, version.name, version.language)


def _desk(visit: Visit) -> Desk:
    shelf = Shelf(visit.service.catalogue, drafts_count=True)
    return Desk(visit.clinic, shelf, Writer(visit.service.signer, visit.service.settings.public_url))


def _text(visit: Visit) -> Answer:
    return _shown(visit)


def _shown(visit: Visit, problem: str = "", status: int = 200) -> Answer:
    """The editor: what was typed, else what is stored; its findings, versions, and what may be done."""
    with visit.store.read() as connection:
        version = texts.get(connection, visit.clinic.id, visit.id("text_id"))
        source = visit.form["source"] or texts.source(connection, version.id)
        every = [one for one in texts.versions(connection, [visit.clinic.id]) if _key(one) == _key(version)]
        looked = wording.look(connection, _desk(visit), _key(version), source, Reader(_client(visit)))
    said = {
        "version": version,
        "versions": every,
        "approved": _approved(every),
        "is_newest": every[0].id == version.id,
        "title": visit.service.catalogue.protocols[version.protocol].title,
        "source": source,
        # Who only looks goes on from the version they began with: saving still tells them of a newer one.
        "over": visit.form["over"] if visit.form["step"] == "look" else every[0].id,
        "look": looked,
        "client": visit.form["client"] or visit.query.get("client", ""),
        "problem": problem,
        "done": _DONE.get(visit.query.get("done", ""), ""),
        "review_by": (visit.now.astimezone(visit.clinic.zone).date() + REVIEW_AFTER).isoformat(),
    }
    return Page("text.html", said, status)


def _client(visit: Visit) -> int:
    raw = visit.form["client"] or visit.query.get("client", "")
    return int(raw) if raw.isascii() and raw.isdigit() and len(raw) < 19 else 0


def _looked(visit: Visit, to: str = "") -> tuple[TextVersion, Look]:
    if _client(visit):
        note_read(visit.store, visit.clinic.id, visit.staff.email, _client(visit), visit.now)
    with visit.store.read() as connection:
        version = texts.get(connection, visit.clinic.id, visit.id("text_id"))
        source = visit.form["source"] or texts.source(connection, version.id)
        reader = Reader(_client(visit), to)
        return version, wording.look(connection, _desk(visit), _key(version), source[:MOST_SOURCE], reader)


def _look(visit: Visit) -> Answer:
    """The preview, in a frame of its own: nothing in it is loaded or run."""
    _, looked = _looked(visit)
    as_text = (visit.form["as"] or visit.query.get("as", "")) == "text"
    return Frame(_as_html(looked.text or looked.problem) if as_text or not looked.html else looked.html)


def _as_html(text: str) -> str:
    head = '<meta charset="utf-8"><title>As text</title>'
    return f'<!DOCTYPE html><html lang="en"><head>{head}</head><body><pre>{escape(text)}</pre></body></html>'


def _findings(visit: Visit) -> Answer:
    """What is to mend, beside the editor."""
    _, looked = _looked(visit)
    return Page("text_findings.html", {"look": looked})


def _save(visit: Visit) -> Answer:
    source = visit.form["source"]
    if visit.form["step"] == "look":
        return _shown(visit)
    with visit.store.read() as connection:
        version = texts.get(connection, visit.clinic.id, visit.id("text_id"))
        newest = texts.find(connection, visit.clinic.id, _key(version).as_dict())
        before = texts.source(connection, newest.id)
    if newest.id != version.id and visit.form["over"] != str(newest.id):
        fix = f"{newest.created_by} saved version {newest.version} meanwhile. Compare the two, then save yours again."
        return _shown(visit, fix, 409)
    if source == before:
        return _shown(visit, "Nothing was changed, so nothing was saved.", 400)
    if len(source) > MOST_SOURCE:
        return _shown(visit, "This text is too long for an e-mail.", 400)
    try:
        with visit.store.write() as connection:
            edited = (_key(version), source)
            saved = words.save(connection, visit.service.catalogue, visit.clinic, edited, visit.who)
    except BadText as error:
        return _shown(visit, f"This cannot be saved: {sentence(error)}", 400)
    return Go(f"/texts/{saved.id}?done=saved")


def _approve(visit: Visit) -> Answer:
    with visit.store.read() as connection:
        version = texts.get(connection, visit.clinic.id, visit.id("text_id"))
    try:
        review_by = date.fromisoformat(visit.form["review_by"])
    except ValueError:
        return _shown(visit, "Give the day of the next review.", 400)
    if visit.form["signed"] != "yes":
        return _shown(visit, "Tick the sentence above the button: it is what you sign.", 400)
    approval = Approval(visit.staff.email, review_by, version.version)
    try:
        with visit.store.write() as connection:
            signed = (_key(version), approval)
            words.approve(connection, visit.service.catalogue, visit.clinic, signed, visit.who)
    except (BadInput, NotAllowed) as error:
        return _shown(visit, sentence(error), 400)
    return Go(f"/texts/{version.id}?done=approved")


def _changes(visit: Visit) -> Answer:
    with visit.store.read() as connection:
        after = texts.get(connection, visit.clinic.id, visit.id("text_id"))
        every = [one for one in texts.versions(connection, [visit.clinic.id]) if _key(one) == _key(after)]
        earlier = [one for one in every if one.version < after.version]
        chosen = next(
            (one for one in earlier if str(one.id) == visit.query.get("from")), earlier[0] if earlier else None
        )
        lines = []
        if chosen is not None:
            lines = list(wording.changes(texts.source(connection, chosen.id), texts.source(connection, after.id)))
    return Page("text_changes.html", {"after": after, "before": chosen, "earlier": earlier, "lines": lines})


def _test(visit: Visit) -> Answer:
    """One test e-mail of these words to whoever asks for it, through the real line."""
    version, looked = _looked(visit, visit.staff.email)
    if not looked.message:
        return _shown(visit, looked.problem or "These are the words of a page, not of an e-mail.", 400)
    try:
        tried = waited_for((visit.store, visit.staff.id), lambda: _try(visit, looked.message))
    except NotAllowed as error:
        return _shown(visit, sentence(error), 409)
    accepted = tried.told.accepted if tried else "not known"
    detail = {"to": "oneself", "accepted": accepted} | ({"client": _client(visit)} if _client(visit) else {})
    with visit.store.write() as connection:
        deed = Deed(visit.staff.email, "test e-mail sent", f"text {version.id}", detail)
        audit.note(connection, visit.clinic.id, deed, visit.now)
    if tried is None:
        return _shown(visit, f"The relay did not answer within {one_try.WITHIN:.0f} seconds: {_LATE}", 504)
    if not tried.told.accepted:
        return _shown(visit, f"The mail server did not take it. {tried.told.next_step}", 502)
    said = {"version": version, "to": visit.staff.email, "caught": tried.caught}
    return Page("text_tested.html", said)


class _Tried(NamedTuple):
    told: Told
    caught: bool


async def _try(visit: Visit, message: bytes) -> _Tried:
    mail_from = visit.clinic.from_address or visit.clinic.reply_to
    async with wiring.post_office(visit.service) as route:
        address = route(visit.staff.email)
        told = await try_relay(address, Parcel(mail_from, visit.staff.email, message))
    return _Tried(told, address != wiring.relay_address(visit.service.settings))


ROUTES = (
    Route("GET", "/texts", _list),
    Route("GET", "/texts/{text_id}", _text),
    Route("POST", "/texts/{text_id}", _save),
    Route("GET", "/texts/{text_id}/look", _look),
    Route("POST", "/texts/{text_id}/look", _look),
    Route("POST", "/texts/{text_id}/findings", _findings, whole="/texts/{text_id}"),
    Route("GET", "/texts/{text_id}/changes", _changes),
    Route("POST", "/texts/{text_id}/approve", _approve),
    Route("POST", "/texts/{text_id}/test", _test),
)
