"""What must be right before a process begins."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from service.errors import BadConfiguration
from service.settings import LOOPBACK, Settings
from service.store.lists import newest_record

if TYPE_CHECKING:
    from service.wiring import Service

log = structlog.get_logger()


def require_ready(service: Service) -> None:
    """Live mode starts only when every clinic is complete and every text in use is approved."""
    from service.actions.words import unapproved  # noqa: PLC0415
    from service.store import clinics  # noqa: PLC0415

    if not service.settings.live:
        return
    faults = []
    with service.store.read() as connection:
        for clinic in clinics.every(connection):
            faults += [f"clinic {clinic.id} has no {field}" for field in clinic.missing]
            faults += [
                f"clinic {clinic.id}: {text.protocol}/{text.name} ({text.language}) is not approved"
                for text in unapproved(connection, service.catalogue, clinic)
            ]
    if faults:
        raise BadConfiguration(
            f"live mode cannot start: {'; '.join(faults)}",
            field="AFTERCARE_MODE",
            next_step="Use `aftercare clinic set …` and `aftercare texts approve …`, or stay in trial mode.",
        )


def bind_address(settings: Settings) -> tuple[str, int]:
    """Host and port of the pages. Raises BadConfiguration for an address others could reach without https.

    Other machines may be let in only through a web server with https whose word about them can be believed.
    """
    host, _, port = settings.bind.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise BadConfiguration(
            f"{settings.bind!r} is not HOST:PORT", field="AFTERCARE_BIND", next_step="Write it like 127.0.0.1:8025."
        )
    if host.strip("[]") not in LOOPBACK and settings.public_url is None:
        raise BadConfiguration(
            f"AFTERCARE_BIND={settings.bind} would show clients' data to other machines without https",
            field="AFTERCARE_BIND",
            next_step="Bind to 127.0.0.1, or set AFTERCARE_PUBLIC_URL and AFTERCARE_TRUST_PROXY.",
        )
    if host.strip("[]") not in LOOPBACK and settings.trust_proxy is None:
        raise BadConfiguration(
            f"with AFTERCARE_BIND={settings.bind} anybody could say where they come from",
            field="AFTERCARE_TRUST_PROXY",
            next_step="Name the address of the web server with https in front, or bind to 127.0.0.1.",
        )
    return host.strip("[]"), int(port)


def desk_url(settings: Settings, path: str) -> str:
    """A page of the desk as a whole address: for a link that somebody opens in a browser. path: from / on."""
    return f"{(settings.public_url or f'http://{settings.bind}').rstrip('/')}{path}"


def public_hosts(settings: Settings) -> frozenset[str]:
    """The name clients reach the pages under, if there is one."""
    name = urlsplit(settings.public_url or "").hostname
    return frozenset({name} if name else ())


def warn_if_earlier(service: Service) -> None:
    """Say when a moved clock is earlier than what is recorded: times in the lists will look odd."""
    if service.settings.now is None:
        return
    with service.store.read() as connection:
        newest = newest_record(connection)
    if newest is not None and service.now() < newest:
        log.warning("--now is earlier than what is recorded", now=str(service.now()), recorded=str(newest))
