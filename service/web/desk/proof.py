"""What proves that a request is meant: it comes from a page of ours, with that page's proof; and who it comes from."""

from __future__ import annotations

import hashlib
from hmac import compare_digest

from starlette.requests import Request

from service.mail.signing import Signer
from service.web.desk.forms import CSRF, Form
from service.web.limits import asker

#: Hexadecimal digits of each half of a form's proof.
_HALF = 32


def csrf_of(signer: Signer, token: str, staff_id: int) -> str:
    """What a form must bring along: whoever knows it has read a page of this session.

    Its second half says whose form it is, also once the session is over.
    """
    return hashlib.sha256(f"form {token}".encode()).hexdigest()[:_HALF] + _typist(signer, staff_id)


def _typist(signer: Signer, staff_id: int) -> str:
    return signer.mac("typist", str(staff_id))[:_HALF]


def typist_said(request: Request, form: Form) -> str:
    """Whose form it is, as its proof says: for `is_typist` alone."""
    return _given(request, form)[_HALF:]


def is_typist(signer: Signer, said: str, staff_id: int) -> bool:
    """Whether what was typed into that form is this staff member's own."""
    return compare_digest(said.encode("utf-8", "replace"), _typist(signer, staff_id).encode())


def is_from_here(request: Request) -> bool:
    """Whether the browser says that a page of ours sent it; one too old to say anything is believed."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or origin == f"{request.url.scheme}://{request.headers.get('host', '')}"


def says_from_here(request: Request) -> bool:
    """Whether the browser itself says that a page of ours sent it. Needed where a page shows what was posted: nobody
    else may put words into a form of ours.
    """
    site = request.headers.get("sec-fetch-site")
    return site == "same-origin" if site is not None else "origin" in request.headers and is_from_here(request)


def is_meant(request: Request, form: Form, csrf: str) -> bool:
    return is_from_here(request) and compare_digest(_given(request, form).encode("utf-8", "replace"), csrf.encode())


def _given(request: Request, form: Form) -> str:
    return form[CSRF] or request.headers.get("x-csrf", "")


def address_of(request: Request) -> str:
    """Who counts as one asker, where tries are counted."""
    return asker(request.client.host if request.client else "")


def safe_path(raw: str) -> str:
    """Where to go after signing in: a path of ours, or the start."""
    plain = raw.startswith("/") and not raw.startswith("//") and "\\" not in raw
    return raw if plain and raw.isascii() and raw.isprintable() and len(raw) < 500 else "/"
