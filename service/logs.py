"""Log lines people and programs can read. The last step before writing takes addresses out (P10)."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

_ADDRESS = re.compile(r"[^\s<>\"'=,;:()\[\]]+@[^\s<>\"'=,;:()\[\]]+")


def without_addresses(_: object, __: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
    """Replace e-mail addresses in every text of an event, at any depth, tracebacks included."""
    return {key: _clean(value) for key, value in event.items()}


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _ADDRESS.sub("<address>", value)
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def set_up(level: str, shape: Literal["text", "json"] | None) -> None:
    """Send our own and the libraries' log lines to standard error. shape None: text on a terminal, JSON elsewhere."""
    as_json = shape == "json" or (shape is None and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    last = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=False)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, without_addresses, last],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # A skipped ring is normal while a round is long; SQL and commands of a conversation hold personal data.
    for noisy in ("apscheduler", "sqlalchemy", "aiosmtplib", "mail.log", "mail.debug"):
        logging.getLogger(noisy).setLevel(max(logging.ERROR, root.level))
