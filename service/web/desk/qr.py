"""A picture for a phone's camera, as SVG inside a page: no file, no inline style, dark on light in both schemes."""

from __future__ import annotations

import segno
from markupsafe import Markup


def picture(words: str, says: str) -> Markup:
    """The QR code of a text. says: what it is, for those who cannot see it."""
    made = segno.make(words, error="m", micro=False)
    return Markup(made.svg_inline(border=4, omitsize=True, light="#fff", dark="#000", svgclass="qr", title=says))  # noqa: S704
