"""Writes the golden files anew: python -m tests.mail.regenerate_golden. Read the difference before you commit it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.mail.samples import pages, render, shipped

FOLDER = Path(__file__).parent / "golden"


def golden() -> Iterator[tuple[str, str]]:
    """(file name, content) of every shipped e-mail and page on each of its days."""
    for label, text, protocol, day in (*shipped(), *pages()):
        rendered = render(text, protocol, day)
        yield f"{label}.txt", f"Subject: {rendered.subject}\n\n{rendered.text}"
        yield f"{label}.html", rendered.html


if __name__ == "__main__":
    for old in FOLDER.glob("*.*"):
        old.unlink()
    for name, content in golden():
        (FOLDER / name).write_text(content, encoding="utf-8", newline="\n")
