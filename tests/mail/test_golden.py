"""What a client reads is under review: every shipped e-mail and page equals its golden file, in both parts."""

from __future__ import annotations

from tests.mail.regenerate_golden import FOLDER, golden


def test_every_shipped_email_renders_to_its_golden_file() -> None:
    for name, content in golden():
        kept = (FOLDER / name).read_text(encoding="utf-8")
        assert content == kept, f"{name} changed: run python -m tests.mail.regenerate_golden and read the difference"


def test_no_golden_file_is_left_of_an_email_that_is_gone() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {name for name, _ in golden()}
