"""Every process setting: unit, default, sentence. The only reader of the environment and of aftercare.toml.

Clinics, texts and protocols are data, not settings. Secrets may also come from a file named by <SETTING>_FILE.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from service.errors import BadConfiguration
from service.settings.checks import PREFIX, check_names, check_together, variable
from service.settings.mailbox_url import LOOPBACK

FILE = "aftercare.toml"
__all__ = ["LOOPBACK", "Settings", "describe", "read_settings", "without_password"]

SECRETS = (
    "relay_password",
    "secret_key",
    "database_url",
    "alert_webhook",
    "heartbeat_url",
    "backup_key",
    "mailbox_url",
)
_IN_SECONDS = ("_seconds", "_timeout")


class Settings(BaseModel):
    """Process settings. Environment wins over aftercare.toml in the working folder; a name nobody knows is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, allow_inf_nan=False)

    database_url: SecretStr | None = Field(
        default=None, description="SQLite or postgresql:// URL; several hosts allowed"
    )
    data_dir: Path = Field(default=Path("aftercare-data"), description="database, caught mail, secret key")
    mode: Literal["trial", "live"] = Field(
        default="trial", description="trial: only the catcher or the allow-list receives"
    )
    trial_allow: str = Field(default="", description="addresses or domains that may receive real mail in trial mode")
    relay_host: str | None = Field(default=None, description="mail relay; none: the built-in catcher")
    relay_port: int = Field(default=587, ge=1, le=65535, description="port of the relay")
    relay_username: str | None = Field(default=None, description="user name at the relay")
    relay_password: SecretStr | None = Field(default=None, description="password at the relay")
    relay_tls: Literal["starttls", "implicit", "none"] = Field(
        default="starttls", description="starttls (required, verified), implicit, none (loopback only)"
    )
    relay_ca_file: Path | None = Field(
        default=None, description="certificate authority of the relay; none: the system's"
    )
    relay_connections: int = Field(default=4, ge=1, le=256, description="kept-open conversations at once per worker")
    relay_connect_timeout: float = Field(default=30, gt=0, description="seconds until the relay must have greeted")
    relay_reply_timeout: float = Field(default=300, gt=0, description="seconds for each reply")
    relay_dot_timeout: float = Field(default=600, gt=0, description="seconds for the reply to the message's end")
    relay_session_timeout: float = Field(default=900, gt=0, description="seconds for one message altogether")
    relay_per_minute: int | None = Field(
        default=None, ge=1, le=100_000, description="never more mails in any minute, over all workers; none: no limit"
    )
    doubt_retries: int = Field(
        default=1, ge=0, le=1, description="repeats of an e-mail whose reply was lost; 0 = never twice"
    )
    lease_seconds: int = Field(
        default=1200, ge=1, le=86400, description="how long a worker holds a row; longer than a conversation"
    )
    tick_seconds: float = Field(default=5, gt=0, le=3600, description="seconds between two rounds")
    public_url: str | None = Field(default=None, description="https address of the pages behind links; none: no links")
    bounce_domain: str | None = Field(
        default=None,
        description="domain of signed envelope addresses, where returned mail comes to; none: no such",
    )
    mailbox_url: SecretStr | None = Field(
        default=None,
        description="where returned mail is read: imaps://user:password@host/FOLDER or maildir:/path; none: by hand",
    )
    mailbox_ca_file: Path | None = Field(
        default=None, description="certificate authority of the mailbox; none: the system's"
    )
    secret_key: SecretStr | None = Field(
        default=None, description="signs links and Message-IDs; comma-separated, newest first"
    )
    alert_webhook: SecretStr | None = Field(
        default=None, description="https address that gets alerts as JSON: a channel that is not the mail server"
    )
    heartbeat_url: SecretStr | None = Field(
        default=None, description="dead man's switch: called after a good round, at most once a minute"
    )
    digest_to: str | None = Field(default=None, description="address of the morning digest; none: no digest")
    backup_key: SecretStr | None = Field(default=None, description="encrypts backups; keep a copy elsewhere")
    bind: str = Field(default="127.0.0.1:8025", description="address and port of the pages")
    trust_proxy: str | None = Field(
        default=None,
        description="address of the web server in front (several: commas), alone believed as to X-Forwarded-*; "
        "none: 127.0.0.1",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="least level that is logged"
    )
    log_format: Literal["text", "json"] | None = Field(
        default=None, description="none: text on a terminal, json elsewhere"
    )
    now: str | None = Field(default=None, description="trial mode: the clock of one command, ISO 8601 with zone")

    @property
    def database(self) -> str:
        """The database URL; the default is a SQLite file in the data folder."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'aftercare.db'}"

    @property
    def live(self) -> bool:
        return self.mode == "live"

    @property
    def stop_domain(self) -> str | None:
        """The domain of clients' own stop addresses: only where somebody reads what comes there."""
        return self.bounce_domain if self.mailbox_url is not None else None

    @property
    def allowed_in_trial(self) -> frozenset[str]:
        """Addresses and domains (without @) that may receive real mail in trial mode, in small letters."""
        return frozenset(word.strip().lower().lstrip("@") for word in self.trial_allow.split(",") if word.strip())

    @property
    def trusted_proxies(self) -> list[str]:
        """Addresses and networks from which X-Forwarded-* is believed."""
        return [word.strip() for word in (self.trust_proxy or "127.0.0.1").split(",") if word.strip()]


def read_settings(environment: dict[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Settings from the environment and aftercare.toml. Raises BadConfiguration naming each setting at fault.

    environment, folder: what to read instead of the process's own (tests, the demo). An empty value is none.
    """
    given = dict(os.environ if environment is None else environment)
    check_names(given)
    values = _from_file((folder or Path()) / FILE)
    named = {name for name in given if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_")}
    for name in sorted(named - {variable("require_browser")}):
        if given[name] != "":
            values[name.removeprefix(PREFIX).lower()] = given[name]
    for secret in SECRETS:
        path = values.pop(f"{secret}_file", None)
        if path is not None:
            values[secret] = _secret_from(Path(str(path)), secret, twice=secret in values)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _explained(error) from None  # its own text may hold a secret
    check_together(settings)
    return settings


def _from_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        # A decoder's words quote what it read, which may be a secret: only a place is told.
        place = re.search(r"at line \d+, column \d+", str(error)) if isinstance(error, ValueError) else None
        reason = error.strerror if isinstance(error, OSError) else f"not TOML {place[0] if place else ''}".strip()
        fix = "Mend the file."
        raise BadConfiguration(f"{path} cannot be read: {reason}", field=str(path), next_step=fix) from None


def _secret_from(path: Path, secret: str, *, twice: bool) -> str:
    field = f"{variable(secret)}_FILE"
    if twice:
        fix = "Leave one of them out."
        raise BadConfiguration(f"{variable(secret)} and {field} are both set", field=field, next_step=fix)
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        fix = "Name a file that this user may read."
        raise BadConfiguration(f"{field}: {path} cannot be read: {reason}", field=field, next_step=fix) from None


def _explained(error: ValidationError) -> BadConfiguration:
    """All faults in one sentence each, without the values: a value may be a secret."""
    faults = []
    next_step = "See `aftercare config show` for names and units."
    for fault in error.errors(include_input=False, include_url=False):
        name = str(fault["loc"][0]) if fault["loc"] else "settings"
        problem = _problem(fault["type"], fault.get("ctx", {}), fault["msg"])
        faults.append((variable(name), problem))
        close = difflib.get_close_matches(name, Settings.model_fields, n=1)
        if fault["type"] == "extra_forbidden" and close and len(faults) == 1:
            next_step = f"Did you mean {variable(close[0])}?"
    message = "; ".join(f"{name} {problem}" for name, problem in faults)
    return BadConfiguration(message, field=faults[0][0], next_step=next_step)


_PROBLEMS = {
    "extra_forbidden": "is not a setting",
    "int_parsing": "is not a whole number",
    "int_from_float": "is not a whole number",
    "float_parsing": "is not a number",
    "finite_number": "is not a number",
    "literal_error": "must be {expected}",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
}


def _problem(kind: str, limits: dict[str, Any], otherwise: str) -> str:
    return _PROBLEMS.get(kind, f"is wrong: {otherwise.lower()}").format(**limits)


def without_password(url: str) -> str:
    """A database URL as it may be shown: the password as stars. Its query is left out, it may hold another."""
    scheme, _, rest = url.partition("://")
    who, at, where = rest.rpartition("@")
    user, colon, _ = who.partition(":")
    return f"{scheme}://{user}{':***' if colon else ''}{at}{where.partition('?')[0]}"


def describe(settings: Settings) -> list[dict[str, str]]:
    """Each setting as variable, value (secrets masked), default, unit and meaning; the README's table is the same."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if name == "database_url" and value is not None:
            value = without_password(value.get_secret_value())
        rows.append(
            {
                "setting": variable(name),
                "value": "" if value is None else str(value),  # a SecretStr shows stars
                "default": "" if field.default is None else str(field.default),
                "unit": "seconds" if name.endswith(_IN_SECONDS) else "",
                "meaning": field.description or "",
            }
        )
    return rows
