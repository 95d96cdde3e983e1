"""Faults of settings that no type can see, and those that only two of them together make."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from ipaddress import ip_network
from typing import TYPE_CHECKING

from service.errors import BadConfiguration
from service.settings.mailbox_url import LOOPBACK, read_mailbox_url

if TYPE_CHECKING:
    from service.settings import Settings

PREFIX = "AFTERCARE_"
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_PUBLIC = rf"(?=.{{1,300}}\Z)https://{_HOST}(?::\d{{1,5}})?(?:/[A-Za-z0-9._~/-]*)?"
_DATABASES = ("sqlite:///", "postgresql://", "postgresql+psycopg://")


def variable(name: str) -> str:
    """The environment's name of a setting."""
    return PREFIX + name.upper()


def check_names(names: Iterable[str]) -> None:
    """Raises BadConfiguration for a name whose beginning is misspelt: it would be passed over in silence."""
    for name in sorted(names):
        begins, line, rest = name.partition("_")
        if line and not name.startswith(PREFIX) and get_close_matches(begins.upper(), [PREFIX[:-1]], 1, 0.85):
            fix = f"Write {PREFIX}{rest.upper()}, or rename it if it belongs to another program."
            raise BadConfiguration(f"{name[:60]} does not begin with {PREFIX}", field=name[:60], next_step=fix)


def check_together(settings: Settings) -> None:
    """Raises BadConfiguration for the first fault."""
    _check_database(settings)
    if settings.relay_tls == "none" and settings.relay_host not in (None, *LOOPBACK):
        fix = "Use starttls or implicit; none is only for a relay on this machine."
        raise _wrong("relay_tls", f"none would send clients' mail in clear to {settings.relay_host}", fix)
    if settings.lease_seconds <= settings.relay_session_timeout:
        fix = "A lease must outlive a conversation: make it longer, or the session time-out shorter."
        raise _wrong("lease_seconds", "is not longer than AFTERCARE_RELAY_SESSION_TIMEOUT", fix)
    if settings.public_url is not None and not re.fullmatch(_PUBLIC, settings.public_url[:301]):
        raise _wrong("public_url", "is not an https:// address", "Clients' links must be https.")
    for name in ("alert_webhook", "heartbeat_url"):
        address = getattr(settings, name)
        if address is not None and not re.fullmatch(r"https?://[^/\s@]+(/\S*)?", address.get_secret_value()):
            raise _wrong(name, "is not an http(s):// address", "Copy it from the service that gave it to you.")
    _check_proxies(settings.trusted_proxies)
    if settings.bounce_domain is not None and not re.fullmatch(rf"(?=.{{1,190}}\Z){_HOST}", settings.bounce_domain):
        raise _wrong("bounce_domain", "is not a domain", "Write it like bounces.clinic.example.")
    _check_mailbox(settings)
    if settings.digest_to is not None and not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", settings.digest_to):
        raise _wrong("digest_to", "is not an address", "Write it like owner@example.org.")
    if settings.now is not None and settings.live:
        raise _wrong("now", "is set in live mode", "Only trial mode may move the clock.")
    if settings.now is not None and not _is_instant(settings.now):
        raise _wrong("now", "is not an instant with its zone", "Write it like 2026-11-21T10:00:00Z.")


def _wrong(name: str, problem: str, next_step: str) -> BadConfiguration:
    return BadConfiguration(f"{variable(name)} {problem}", field=variable(name), next_step=next_step)


def _check_proxies(words: list[str]) -> None:
    for word in words:
        try:
            network = ip_network(word)
        except ValueError:
            fix = "Write it like 127.0.0.1, or 10.0.0.0/24; several with commas."
            raise _wrong("trust_proxy", f"{word[:60]!r} is no address and no network", fix) from None
        if network.prefixlen < (8 if network.version == 4 else 32):
            raise _wrong("trust_proxy", f"{word} would believe strangers", "Name the web server's own address.")


def _check_database(settings: Settings) -> None:
    url = settings.database
    if not url.startswith(_DATABASES):
        fix = "Use sqlite:///file.db or postgresql://user@host/name."
        raise _wrong("database_url", "is not a database this program knows", fix)
    place, _, query = url.partition("://")[2].rpartition("@")[2].partition("?")
    if re.search(r"(?i)(^|&)password=", query):
        raise _wrong("database_url", "has its password in the query", "Write postgresql://user:password@host/name.")
    port = re.fullmatch(r"(\[[^\]]*\]|[^:/]*):(.*)", place.partition("/")[0])
    if port and not port[2].isdecimal():
        raise _wrong("database_url", "has no number as its port", "Several hosts go like ?host=a:5432&host=b:5432.")


def _check_mailbox(settings: Settings) -> None:
    if settings.mailbox_url is None:
        return
    fix = "Write imaps://user:password@mail.example.org/INBOX or maildir:/path; imap:// only to this machine."
    try:
        read_mailbox_url(settings.mailbox_url.get_secret_value())
    except ValueError as error:
        raise _wrong("mailbox_url", str(error), fix) from None


def _is_instant(raw: str) -> bool:
    """Whether a clock can stand there: ISO 8601 with a zone, far from the ends of the calendar."""
    try:
        found = datetime.fromisoformat(raw)
    except ValueError:
        return False
    return found.tzinfo is not None and 1900 <= found.year < 2200
