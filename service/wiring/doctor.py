"""Everything around the program, one after the other, each with what to do. Changes nothing, sends nothing."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from service.clock import MOST, wall_clock
from service.errors import AftercareError
from service.settings import Settings
from service.wiring import Service, mailbox_address, open_service, relay_address
from service.wiring.readiness import require_ready

State = Literal["green", "yellow", "red"]
#: Less room than this on the disk is told: a full disk stops every e-mail.
LEAST_FREE = 200 * 1024 * 1024


@dataclass(frozen=True)
class Found:
    """What was found about one thing. next_step: empty if nothing is to be done."""

    name: str
    state: State
    message: str
    next_step: str = ""


def examine(settings: Settings) -> list[Found]:
    """Look at everything; what fails is a finding, never an exception."""
    looks: tuple[tuple[str, Callable[[Settings], Iterator[Found]]], ...] = (
        ("data folder", _folder),
        ("database", _database),
        ("words and clinics", _ready),
        ("mail relay", _relay),
        ("returned mail", _returned),
        ("web address", _web),
        ("watching", _watching),
    )
    found: list[Found] = []
    for name, look in looks:
        try:
            found += look(settings)
        except AftercareError as error:
            found.append(Found(name, "red", error.message, error.next_step or ""))
        except OSError as error:
            found.append(Found(name, "red", error.strerror or str(error), "Mend this first."))
    return found


def _folder(settings: Settings) -> Iterator[Found]:
    folder = settings.data_dir
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        yield Found("data folder", "red", f"{folder} is not there or not writable", "Run `aftercare init` as its user.")
        return
    open_to_others = stat.S_IMODE(folder.stat().st_mode) & 0o077
    if open_to_others:
        yield Found("data folder", "red", f"{folder} can be read by others", f"Run: chmod 700 {folder}")
    else:
        yield Found("data folder", "green", f"{folder} is private")
    free = shutil.disk_usage(folder).free
    state: State = "green" if free > LEAST_FREE else "red"
    step = "" if free > LEAST_FREE else "Make room: with a full disk nothing is sent."
    yield Found("disk", state, f"{free // 2**20:,} MB free", step)


def _database(settings: Settings) -> Iterator[Found]:
    with open_service(settings) as service:
        with service.store.write():
            pass  # begun and committed: it is writable
        there = service.store.now()
        kind = "SQLite" if service.store.is_sqlite else "PostgreSQL"
        yield Found("database", "green", f"{kind} answers, is writable and of this version")
    apart = abs(wall_clock() - there)
    if apart > MOST:
        fix = "Set both clocks by NTP."
        yield Found("clock", "red", f"this machine and the database differ by {apart}", fix)
    else:
        yield Found("clock", "green", "this machine and the database agree")


def _ready(settings: Settings) -> Iterator[Found]:
    with open_service(settings) as service:
        service.catalogue  # noqa: B018 - reading every protocol and text is the check
        yield Found("protocols and texts", "green", "every shipped protocol and text can be read")
        live = settings.model_copy(update={"mode": "live", "now": None})
        try:
            require_ready(type(service)(live, service.store))
        except AftercareError as error:
            state: State = "red" if settings.live else "yellow"
            yield Found("ready for live mode", state, error.message, error.next_step or "")
        else:
            yield Found("ready for live mode", "green", "clinics are complete, texts are approved")
        yield from _pages(service)


def _pages(service: Service) -> Iterator[Found]:
    """Words of the page of the day that live mode would not show."""
    from service.actions.words import unapproved_pages  # noqa: PLC0415
    from service.store import clinics  # noqa: PLC0415

    with service.store.read() as connection:
        silent = [
            f"clinic {clinic.id}: {text.protocol}/{text.name} ({text.language})"
            for clinic in clinics.every(connection)
            for text in unapproved_pages(connection, service.catalogue, clinic)
        ]
    if silent and service.settings.public_url is not None:
        words = f"not approved, so on their days a live page shows how to reach the clinic only: {'; '.join(silent)}"
        yield Found("page of the day", "yellow", words, "A clinician approves them: `aftercare texts approve …`.")


def _relay(settings: Settings) -> Iterator[Found]:
    address = relay_address(settings)
    if address is None:
        yield Found("mail relay", "yellow", "none: mail goes to the built-in catcher", "Set AFTERCARE_RELAY_HOST.")
        return
    from service.mail.relay import Conversation, NotOpened  # noqa: PLC0415

    async def greet() -> None:
        await (await Conversation.open(address)).close()

    try:
        asyncio.run(greet())
    except NotOpened as trouble:
        heard = trouble.heard
        words = f"{heard.stage}: {heard.code or ''} {heard.text or heard.failure}".replace("  ", " ")
        yield Found("mail relay", "red", f"{settings.relay_host} {words}", "Mend that, then `aftercare test-email`.")
        return
    how = {"none": "without TLS, on this machine", "starttls": "with STARTTLS", "implicit": "with TLS"}
    who = "logged in" if settings.relay_username else "without a log-in"
    yield Found("mail relay", "green", f"{settings.relay_host} answers {how[settings.relay_tls]}, {who}")
    fix = "Ask your mail provider; SPF, DKIM and DMARC are set there."
    yield Found("sender's domain", "yellow", "whether receivers trust it cannot be seen from here", fix)


def _returned(settings: Settings) -> Iterator[Found]:
    from service.actions.fetching import last_round  # noqa: PLC0415
    from service.mail.mailbox import open_mailbox  # noqa: PLC0415

    name, address = "returned mail", mailbox_address(settings)
    if address is None:
        yield Found(name, "yellow", "no mailbox: nobody reads what comes back", "Set AFTERCARE_MAILBOX_URL.")
        return
    open_mailbox(address, looking=True).close()
    with open_service(settings) as service, service.store.read() as connection:
        read_at, trouble = last_round(connection)
    said = f"last read at {read_at}" if read_at else "it was not read yet"
    if trouble:
        yield Found(name, "red", f"it answers here, but not to a worker: {trouble}", "See that worker's log.")
    elif settings.bounce_domain is None:
        fix = "Set AFTERCARE_BOUNCE_DOMAIN: without signed addresses no bounce is proven."
        yield Found(name, "yellow", f"the mailbox answers, {said}", fix)
    elif not read_at:
        yield Found(name, "yellow", f"the mailbox answers, {said}", "Start a worker: it reads it every minute.")
    else:
        yield Found(name, "green", f"the mailbox answers, {said}")


def _web(settings: Settings) -> Iterator[Found]:
    if settings.public_url is None:
        yield Found(
            "web address", "yellow", "none: e-mails carry no links", "Set AFTERCARE_PUBLIC_URL if you want them."
        )
    else:
        yield Found("web address", "green", settings.public_url)


def _watching(settings: Settings) -> Iterator[Found]:
    for name, value, what in (
        ("alerts", settings.alert_webhook, "AFTERCARE_ALERT_WEBHOOK"),
        ("dead man's switch", settings.heartbeat_url, "AFTERCARE_HEARTBEAT_URL"),
        ("morning digest", settings.digest_to, "AFTERCARE_DIGEST_TO"),
    ):
        if value is None:
            yield Found(name, "yellow", "none: nobody hears of trouble this way", f"Set {what}.")
        else:
            yield Found(name, "green", "set")
