"""Where every page is: of the desk by its one table of routes, and behind a client's links."""

from __future__ import annotations

from service.actions.answer import CHECK_IN, NOT_ME, STOP, TODAY
from service.store.tables import Role
from service.web.desk.pages import ROUTES
from service.web.desk.rights import RIGHTS
from tests.browser import story
from tests.browser.site import NOW, Site
from tests.browser.story import Ids

#: What is looked at inside another page, or downloaded. test_every_page.py checks that none of these is a page.
PARTS = frozenset({
    "/clients/{client_id}/hello",
    "/clients/{client_id}/emails/{email_id}/words",
    "/texts/{text_id}/look",
    "/import/{upload_id}/rejected",
})  # fmt: skip
PATHS = sorted({route.path for route in ROUTES if route.method == "GET"} - PARTS)
#: Everything is the owner's but these: what another role sees there is not the same.
OTHERS = (
    (Role.CLINICIAN, "/texts/{text_id}"),
    (Role.RECEPTION, "/"),
    (Role.RECEPTION, "/texts/{text_id}"),
    (Role.OPS, "/settings"),
    (Role.OPS, "/outages"),
)
#: Pages behind a client's link: letter of the path, purpose of the link.
CLIENT_PAGES = (("t", TODAY), ("c", CHECK_IN), ("s", STOP), ("n", NOT_ME))
_WHO = (Role.OWNER, Role.CLINICIAN, Role.RECEPTION, Role.OPS)


def role_for(path: str) -> Role:
    """Who may open it: the owner, if they may."""
    return next(role for role in _WHO if role in RIGHTS[f"GET {path}"])


def prepare(clinic: Site) -> Ids:
    """Rows for the pages that nobody has made yet in site.py's story: a signed text and its draft, an upload."""
    text_id = story.approve_a_text(clinic.world, clinic.staff[Role.CLINICIAN], NOW)
    upload_id = story.upload(clinic.world, clinic.staff[Role.OWNER], NOW)
    return story.find_ids(clinic.world, text_id, upload_id)
