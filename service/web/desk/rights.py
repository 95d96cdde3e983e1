"""Who may open what: the one table of roles and routes. A route that is not listed here cannot be built."""

from __future__ import annotations

from collections.abc import Mapping

from service.store.tables import Role

CLINICIAN, OWNER, OPS = Role.CLINICIAN, Role.OWNER, Role.OPS
#: Ops keep the machine running and see no client.
DESK = frozenset(Role) - {OPS}
ALL = frozenset(Role)

RIGHTS: Mapping[str, frozenset[Role]] = {
    "GET /": DESK,
    "GET /keys": ALL,
    "POST /logout": ALL,
    # Clients and what is done for them.
    "GET /clients": DESK,
    "GET /clients/new": DESK,
    "POST /clients/new": DESK,
    "GET /clients/{client_id}": DESK,
    # Calls, e-mails, the days to come.
    "GET /calls": DESK,
    "GET /calls/{call_id}": DESK,
    "POST /calls/{call_id}/close": DESK,
    "POST /calls/{call_id}/reopen": DESK,
    "GET /outbox": DESK,
    "GET /forecast": DESK,
    "GET /outages": ALL,
}
