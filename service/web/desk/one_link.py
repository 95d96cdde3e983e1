"""The one-time link on the page that made it: a press sent twice, or that page loaded again, shows the same link.

Only its digest is kept. The token follows from the form's nonce, from who pressed, and from the installation's key, so
for a short time the same form of the same person leads to it again, and nothing else does.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Any

from service.actions.sign_in import digest
from service.errors import NotAllowed
from service.store import staff
from service.web.desk.visit import Visit
from service.wiring import desk_url

AGAIN_FOR = timedelta(minutes=5)
_NONCE = re.compile(r"[A-Za-z0-9_-]{22}")


def new_nonce() -> str:
    return secrets.token_urlsafe(16)


def token_of(visit: Visit, whose: str) -> str:
    """What the link of this press carries. whose: tells apart whom the forms of one page are about."""
    nonce = visit.form["nonce"]
    if not _NONCE.fullmatch(nonce):
        return secrets.token_urlsafe(32)
    return visit.service.signer.mac("one-time-link", f"{visit.staff.id} {nonce} {whose}")


def was_made(connection: Any, visit: Visit, token: str) -> bool:
    """Whether this press has made its link already. Raises NotAllowed once that one is not shown any more."""
    link = staff.link(connection, visit.clinic.id, digest(token))
    if link is None:
        return False
    if link["used_at"] is not None or visit.now - link["made_at"] > AGAIN_FOR:
        fix = "If they still need one, open the list of staff, and make another link."
        raise NotAllowed("This link was made already, and is not shown again", next_step=fix)
    return True


def shown_link(connection: Any, visit: Visit, token: str) -> dict[str, Any]:
    """The link for the page: whose it is, its address, until when it opens."""
    link = staff.link(connection, visit.clinic.id, digest(token))
    assert link is not None
    url = desk_url(visit.service.settings, f"/welcome/{token}")
    return {"name": link["name"], "url": url, "until": link["until"]}
