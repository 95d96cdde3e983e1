"""Which relay takes which mail: the configured one, or the built-in catcher."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from service.errors import BadConfiguration
from service.settings import Settings

if TYPE_CHECKING:
    from service.actions.deliver import Route
    from service.mail.relay import RelayAddress
    from service.wiring import Service


def relay_address(settings: Settings) -> RelayAddress | None:
    """The configured relay, None if mail goes to the catcher."""
    from service.mail.relay import RelayAddress  # noqa: PLC0415

    if settings.relay_host is None:
        return None
    password = settings.relay_password
    return RelayAddress(
        host=settings.relay_host,
        port=settings.relay_port,
        username=settings.relay_username,
        password=password.get_secret_value() if password else None,
        tls=settings.relay_tls,
        ca_file=settings.relay_ca_file,
        connect_timeout=settings.relay_connect_timeout,
        reply_timeout=settings.relay_reply_timeout,
        dot_timeout=settings.relay_dot_timeout,
        session_timeout=settings.relay_session_timeout,
    )


@asynccontextmanager
async def post_office(service: Service) -> AsyncIterator[Route]:
    """Which relay takes which address. In trial mode only allow-listed addresses leave; the catcher takes the rest."""
    from service.mail.catcher import Catcher  # noqa: PLC0415

    settings, real = service.settings, relay_address(service.settings)
    if settings.live:
        if real is None:
            raise BadConfiguration(
                "live mode needs a mail relay", field="AFTERCARE_RELAY_HOST", next_step="Set AFTERCARE_RELAY_HOST."
            )
        yield lambda _: real
        return
    allowed = settings.allowed_in_trial
    async with Catcher(service.maildir) as catcher:
        caught = _catcher_address(catcher.host, catcher.port)

        def route(address: str) -> RelayAddress:
            folded = address.lower()
            may_leave = folded in allowed or folded.partition("@")[2] in allowed
            return real if real is not None and may_leave else caught

        yield route


def _catcher_address(host: str, port: int) -> RelayAddress:
    from service.mail.relay import RelayAddress  # noqa: PLC0415

    return RelayAddress(host=host, port=port, username=None, password=None, tls="none", ca_file=None)
