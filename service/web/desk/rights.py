"""Who may open what: the one table of roles and routes. A route that is not listed here cannot be built."""

from __future__ import annotations

from collections.abc import Mapping

from service.store.tables import Role

CLINICIAN, OWNER, OPS = Role.CLINICIAN, Role.OWNER, Role.OPS
#: Ops keep the machine running and see no client.
DESK = frozenset(Role) - {OPS}
ALL = frozenset(Role)
OWNERS = frozenset({OWNER})

RIGHTS: Mapping[str, frozenset[Role]] = {
    "GET /": DESK,
    "GET /keys": ALL,
    "POST /logout": ALL,
    # Clients and what is done for them.
    "GET /clients": DESK,
    "GET /clients/new": DESK,
    "POST /clients/new": DESK,
    "GET /clients/{client_id}/treatments/new": DESK,
    "POST /clients/{client_id}/treatments/new": DESK,
    "GET /clients/{client_id}/registered": DESK,
    "GET /clients/{client_id}/hello": DESK,
    "POST /clients/{client_id}/address": DESK,
    "POST /clients/{client_id}/undo": DESK,
    "GET /clients/{client_id}/card": DESK,
    "GET /import": DESK,
    "POST /import": DESK,
    "GET /import/{upload_id}": DESK,
    "POST /import/{upload_id}": DESK,
    "GET /import/{upload_id}/rejected": DESK,
    "GET /clients/{client_id}": DESK,
    "GET /clients/{client_id}/correct": DESK,
    "POST /clients/{client_id}/correct": DESK,
    "GET /clients/{client_id}/stop": DESK,
    "POST /clients/{client_id}/stop": DESK,
    "GET /clients/{client_id}/unstop": DESK,
    "POST /clients/{client_id}/unstop": DESK,
    "GET /clients/{client_id}/pause": DESK,
    "POST /clients/{client_id}/pause": DESK,
    "POST /clients/{client_id}/resume": DESK,
    "GET /clients/{client_id}/lift": DESK,
    "POST /clients/{client_id}/lift": DESK,
    "POST /clients/{client_id}/export": DESK,
    "GET /clients/{client_id}/sent": DESK,
    "GET /clients/{client_id}/erase": OWNERS,
    "POST /clients/{client_id}/erase": OWNERS,
    "GET /clients/{client_id}/treatments/{treatment_id}/correct": DESK,
    "POST /clients/{client_id}/treatments/{treatment_id}/correct": DESK,
    "GET /clients/{client_id}/treatments/{treatment_id}/cancel": DESK,
    "POST /clients/{client_id}/treatments/{treatment_id}/cancel": DESK,
    "GET /clients/{client_id}/treatments/{treatment_id}/remarks": DESK,
    "POST /clients/{client_id}/treatments/{treatment_id}/remarks": DESK,
    "GET /clients/{client_id}/emails/{email_id}": DESK,
    "GET /clients/{client_id}/emails/{email_id}/words": DESK,
    "GET /clients/{client_id}/emails/{email_id}/skip": DESK,
    "POST /clients/{client_id}/emails/{email_id}/skip": DESK,
    "GET /clients/{client_id}/emails/{email_id}/again": DESK,
    "POST /clients/{client_id}/emails/{email_id}/again": DESK,
    # Calls, e-mails, the days to come.
    "GET /calls": DESK,
    "GET /calls/{call_id}": DESK,
    "POST /calls/{call_id}/close": DESK,
    "POST /calls/{call_id}/reopen": DESK,
    "GET /check-ins": DESK,
    "GET /outbox": DESK,
    "GET /forecast": DESK,
    "GET /outages": ALL,
    "POST /outages": OWNERS,
    "GET /figures": frozenset({CLINICIAN, OWNER}),
    # The words: everybody may read them, a clinician signs.
    "GET /texts": DESK,
    "GET /texts/{text_id}": DESK,
    "POST /texts/{text_id}": frozenset({CLINICIAN, OWNER}),
    "GET /texts/{text_id}/look": DESK,
    "POST /texts/{text_id}/look": frozenset({CLINICIAN, OWNER}),
    "POST /texts/{text_id}/findings": frozenset({CLINICIAN, OWNER}),
    "GET /texts/{text_id}/changes": DESK,
    "POST /texts/{text_id}/approve": frozenset({CLINICIAN}),
    "POST /texts/{text_id}/test": frozenset({CLINICIAN, OWNER}),
    # One's own account.
    "GET /account": ALL,
    "POST /account/password": ALL,
    "POST /account/sessions/end": ALL,
    "GET /account/code": ALL,
    "POST /account/code": ALL,
    "POST /account/code/remove": ALL,
    # Settings and the audit: the owner changes.
    "GET /settings": ALL,
    "GET /settings/clinic": OWNERS,
    "POST /settings/clinic": OWNERS,
    "GET /settings/protocols": ALL,
    "GET /settings/protocols/step": OWNERS,
    "POST /settings/protocols/step": OWNERS,
    "GET /settings/staff": OWNERS,
    "POST /settings/staff": OWNERS,
    "POST /settings/staff/code": OWNERS,
    "POST /settings/staff/{staff_id}/link": OWNERS,
    "POST /settings/staff/{staff_id}/role": OWNERS,
    "POST /settings/staff/{staff_id}/sessions/end": OWNERS,
    "POST /settings/staff/{staff_id}/code/remove": OWNERS,
    "POST /settings/staff/{staff_id}/disable": OWNERS,
    "POST /settings/staff/{staff_id}/enable": OWNERS,
    "GET /audit": OWNERS,
}
