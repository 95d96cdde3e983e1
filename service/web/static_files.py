"""Stylesheets and scripts: compressed, and kept by browsers. The same for everybody: nothing leaks by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

#: Files with their version in their name never change; of the others a browser asks each time whether they did.
_NEVER_CHANGES, _ASK = "public, max-age=31536000, immutable", "no-cache"


class _Kept(StaticFiles):
    def file_response(self, full_path: Any, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(full_path, *args, **kwargs)
        response.headers["Cache-Control"] = _NEVER_CHANGES if "/vendor/" in str(full_path) else _ASK
        return response


def static_files() -> ASGIApp:
    """The application under /static."""
    return GZipMiddleware(_Kept(directory=Path(__file__).parent / "static"), minimum_size=500)
