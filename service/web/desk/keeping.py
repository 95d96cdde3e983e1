"""What somebody typed into a form of ours that was not let in: it comes back, and goes on only when pressed again.

It comes back to the staff member who typed it, and to nobody else who signs in next at that browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starlette.requests import Request

from service.web.desk.forms import Form
from service.web.desk.proof import safe_path, says_from_here, typist_said
from service.web.desk.visit import Route


def kept_of(request: Request, row: Route, form: Form) -> Mapping[str, Any]:
    """then: where it goes on; kept: names and values; typist: whose they are.

    Empty for what nobody typed, and for what no page of ours sent. What a part of a page sent by itself leads back to
    the whole page, which shows it and saves nothing.
    """
    pairs = form.kept()
    if not pairs or form.upload is not None or not says_from_here(request):
        return {}
    if not row.whole:
        return {"then": safe_path(request.url.path), "kept": pairs, "typist": typist_said(request, form)}
    args = {name: quote(str(value), safe="") for name, value in request.path_params.items()}
    typed = [(name, value) for name, value in pairs if name != "step"]
    then, kept = safe_path(row.whole.format(**args)), [*typed, ("step", "look")]
    return {"then": then, "kept": kept, "typist": typist_said(request, form)}


#: To whoever signs in where somebody else had typed: title, sentence, next step.
NOT_YOURS = (
    "Somebody else typed here",
    "What was typed on that page is not yours, so it is not shown to you. Nothing of it was saved.",
    "If it is still needed: whoever typed it signs in, goes back to that page, and sends it once more.",
)
