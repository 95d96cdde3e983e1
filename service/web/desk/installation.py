"""How the installation stands, in words: the line to the relay, the program, what watches it. No client, no secret."""

from __future__ import annotations

import platform
from datetime import timedelta
from typing import Any

from service.store import figures, pace, watch
from service.store.figures import Span
from service.store.line import line
from service.store.schema import HEAD
from service.web.desk.visit import Visit
from service.web.ops import program_version

_LOOK_BACK = timedelta(days=30)
_TLS = {"starttls": "encrypted (STARTTLS)", "implicit": "encrypted (TLS)", "none": "not encrypted, on this machine"}


def installation(visit: Visit, *, whole: bool) -> dict[str, Any]:
    """Facts for a page. whole: for those who look after the machine; else only whether the line works."""
    settings, now = visit.service.settings, visit.now
    with visit.store.read() as connection:
        facts: dict[str, Any] = {"line": line(connection, now), "live": settings.live, "whole": whole}
        if not whole:
            return facts
        gaps = figures.gaps(connection, Span(now - _LOOK_BACK, now))
        facts |= {
            "gaps": len(gaps),
            "last_gap": gaps[-1] if gaps else None,
            "trouble": watch.last_trouble(connection, now - timedelta(days=1)),
            "last_good": watch.last_good(connection),
            "alerts": sorted(watch.standing(connection).values(), key=lambda alert: alert.opened_at),
            "per_minute": settings.relay_per_minute,
            "room": pace.room(connection, settings.relay_per_minute) if settings.relay_per_minute else None,
        }
    return facts | _around(visit)


def _around(visit: Visit) -> dict[str, Any]:
    """What is set where the program is installed; of a secret only whether there is one."""
    settings = visit.service.settings
    relay = f"{settings.relay_host}, port {settings.relay_port}, {_TLS[settings.relay_tls]}"
    who = "with a user name" if settings.relay_username else "without a user name"
    return {
        "relay": f"{relay}, {who}" if settings.relay_host else "",
        "allowed": sorted(settings.allowed_in_trial),
        "public_url": settings.public_url,
        "bounce_domain": settings.bounce_domain,
        "reads_mailbox": settings.mailbox_url is not None,
        "digest_to": settings.digest_to,
        "alerts_go_out": settings.alert_webhook is not None,
        "is_watched": settings.heartbeat_url is not None,
        "versions": (
            ("Aftercare", program_version()),
            ("Python", platform.python_version()),
            ("Database", "SQLite" if visit.store.is_sqlite else "PostgreSQL"),
            ("Database version", HEAD.replace("_", " ")),
        ),
    }
