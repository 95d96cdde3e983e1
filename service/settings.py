"""Every process setting: unit, default, sentence. The only reader of the environment and of aftercare.toml.

Clinics, texts and protocols are data, not settings. Secrets may also come from a file named by <SETTING>_FILE.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from service.errors import BadConfiguration

PREFIX = "AFTERCARE_"
FILE = "aftercare.toml"
SECRETS = ("relay_password", "secret_key", "database_url")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class Settings(BaseModel):
    """Process settings. Environment wins over aftercare.toml in the working folder; a name nobody knows is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    database_url: SecretStr | None = Field(None, description="SQLite or postgresql:// URL; several hosts allowed")
    data_dir: Path = Field(Path("aftercare-data"), description="database, caught mail, secret key")
    mode: Literal["trial", "live"] = Field("trial", description="trial: only the catcher or the allow-list receives")
    trial_allow: str = Field("", description="addresses or domains that may receive real mail in trial mode")
    relay_host: str | None = Field(None, description="mail relay; none: the built-in catcher")
    relay_port: int = Field(587, ge=1, le=65535, description="port of the relay")
    relay_username: str | None = Field(None, description="user name at the relay")
    relay_password: SecretStr | None = Field(None, description="password at the relay")
    relay_tls: Literal["starttls", "implicit", "none"] = Field(
        "starttls", description="starttls (required, verified), implicit, none (loopback only)"
    )
    relay_ca_file: Path | None = Field(None, description="certificate authority of the relay; none: the system's")
    relay_connections: int = Field(4, ge=1, le=256, description="kept-open conversations at once per worker")
    relay_connect_timeout: float = Field(30, gt=0, description="seconds")
    relay_reply_timeout: float = Field(300, gt=0, description="seconds for each reply")
    relay_dot_timeout: float = Field(600, gt=0, description="seconds for the reply to the message's end")
    relay_session_timeout: float = Field(900, gt=0, description="seconds for one message altogether")
    doubt_retries: int = Field(1, ge=0, le=1, description="repeats of an e-mail whose reply was lost; 0 = never twice")
    lease_seconds: int = Field(1200, ge=1, description="how long a worker holds a row; longer than a conversation")
    tick_seconds: float = Field(5, gt=0, le=3600, description="seconds between two rounds")
    public_url: str | None = Field(None, description="https address of the pages behind links; none: no links")
    secret_key: SecretStr | None = Field(None, description="signs links and Message-IDs; comma-separated, newest first")
    bind: str = Field("127.0.0.1:8025", description="address and port of the pages")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")
    log_format: Literal["text", "json"] | None = Field(None, description="none: text on a terminal, json elsewhere")
    now: str | None = Field(None, description="trial mode: the clock of one command, ISO 8601 with zone")

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
    def allowed_in_trial(self) -> frozenset[str]:
        """Addresses and domains (without @) that may receive real mail in trial mode, in small letters."""
        return frozenset(word.strip().lower().lstrip("@") for word in self.trial_allow.split(",") if word.strip())


def read_settings(environment: dict[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Settings from the environment and aftercare.toml. Raises BadConfiguration naming each setting at fault.

    environment, folder: what to read instead of the process's own (tests, the demo).
    """
    given = dict(os.environ if environment is None else environment)
    values = _from_file((folder or Path()) / FILE)
    named = {name for name in given if name.startswith(PREFIX) and not name.startswith(f"{PREFIX}TEST_")}
    for name in sorted(named - {_variable("require_browser")}):
        values[name.removeprefix(PREFIX).lower()] = given[name]
    for secret in SECRETS:
        path = values.pop(f"{secret}_file", None)
        if path is not None:
            values[secret] = _secret_from(Path(str(path)), secret)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise _explained(error) from error
    _check_together(settings)
    return settings


def _from_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfiguration(
            f"{path} cannot be read: {error}", field=str(path), next_step="Mend the file."
        ) from error


def _secret_from(path: Path, secret: str) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise BadConfiguration(
            f"{_variable(secret)}_FILE: {path} cannot be read: {reason}",
            field=f"{_variable(secret)}_FILE",
            next_step="Name a file that this user may read.",
        ) from error


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _explained(error: ValidationError) -> BadConfiguration:
    """All faults in one sentence each, without the values: a value may be a secret."""
    faults = []
    for fault in error.errors(include_input=False, include_url=False):
        name = str(fault["loc"][0]) if fault["loc"] else "settings"
        problem = "is not a setting" if fault["type"] == "extra_forbidden" else fault["msg"].lower()
        faults.append((_variable(name), problem))
    message = "; ".join(f"{name}: {problem}" for name, problem in faults)
    return BadConfiguration(message, field=faults[0][0], next_step="See `aftercare config show` for names and units.")


def _check_together(settings: Settings) -> None:
    """Faults that only two settings together make."""
    if settings.relay_tls == "none" and settings.relay_host not in (None, *LOOPBACK):
        raise BadConfiguration(
            f"AFTERCARE_RELAY_TLS=none would send clients' mail in clear to {settings.relay_host}",
            field="AFTERCARE_RELAY_TLS",
            next_step="Use starttls or implicit; none is only for a relay on this machine.",
        )
    if settings.lease_seconds <= settings.relay_session_timeout:
        raise BadConfiguration(
            "AFTERCARE_LEASE_SECONDS is not longer than AFTERCARE_RELAY_SESSION_TIMEOUT",
            field="AFTERCARE_LEASE_SECONDS",
            next_step="A lease must outlive a conversation: make it longer, or the session time-out shorter.",
        )
    if settings.public_url is not None and not settings.public_url.startswith("https://"):
        raise BadConfiguration(
            "AFTERCARE_PUBLIC_URL does not begin with https://",
            field="AFTERCARE_PUBLIC_URL",
            next_step="Clients' links must be https.",
        )
    if settings.live and settings.now is not None:
        raise BadConfiguration(
            "AFTERCARE_NOW is set in live mode", field="AFTERCARE_NOW", next_step="Only trial mode may move the clock."
        )


def describe(settings: Settings) -> list[dict[str, str]]:
    """Each setting as variable, value (secrets masked) and meaning; the README's table is made of the same."""
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        shown = "" if value is None else str(value)  # a SecretStr shows stars
        rows.append({"setting": _variable(name), "value": shown, "meaning": field.description or ""})
    return rows
