"""Settings: from the environment and a file, checked as a whole, secrets never told."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from service.errors import BadConfiguration
from service.settings import Settings, describe, read_settings, without_password
from service.settings.mailbox_url import MailboxUrl, read_mailbox_url


def refused(folder: Path, **given: str) -> BadConfiguration:
    with pytest.raises(BadConfiguration) as error:
        read_settings({f"AFTERCARE_{name.upper()}": value for name, value in given.items()}, folder)
    assert error.value.next_step
    assert error.value.__cause__ is None  # what it was made of may hold a secret
    return error.value


def test_nothing_set_is_a_complete_trial_installation(tmp_path: Path) -> None:
    settings = read_settings({}, tmp_path)
    assert settings == Settings()
    assert (settings.mode, settings.relay_host, settings.doubt_retries) == ("trial", None, 1)
    assert settings.database == "sqlite:///aftercare-data/aftercare.db"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "aftercare.toml").write_text('relay_port = 25\ntick_seconds = 2.5\nmode = "trial"\n')
    settings = read_settings({"AFTERCARE_RELAY_PORT": "2525"}, tmp_path)
    assert (settings.relay_port, settings.tick_seconds) == (2525, 2.5)


def test_an_empty_value_is_none(tmp_path: Path) -> None:
    assert read_settings({"AFTERCARE_RELAY_HOST": "", "AFTERCARE_NOW": ""}, tmp_path) == Settings()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("relay_prot", "RELAY_PORT"), ("databse_url", "DATABASE_URL"), ("lease_second", "LEASE_SECONDS"), ("tls", None)],
)
def test_a_name_that_nobody_knows_is_refused_with_the_one_that_was_meant(
    tmp_path: Path, wrong: str, right: str | None
) -> None:
    error = refused(tmp_path, **{wrong: "25"})
    assert error.field == f"AFTERCARE_{wrong.upper()}"
    assert "is not a setting" in error.message
    assert error.next_step is not None
    assert (f"AFTERCARE_{right}?" if right else "config show") in error.next_step


def test_a_wrong_name_in_the_file_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "aftercare.toml").write_text("relay_prot = 25\n")
    with pytest.raises(BadConfiguration, match="AFTERCARE_RELAY_PROT is not a setting"):
        read_settings({}, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("doubt_retries", "7", "at most 1"),
        ("doubt_retries", "-1", "at least 0"),
        ("doubt_retries", "one", "not a whole number"),
        ("relay_port", "65536", "at most 65535"),
        ("relay_port", "25.5", "not a whole number"),
        ("relay_connections", "0", "at least 1"),
        ("tick_seconds", "0", "more than 0"),
        ("tick_seconds", "nan", "not a number"),
        ("relay_dot_timeout", "inf", "not a number"),
        ("relay_reply_timeout", "soon", "not a number"),
        ("mode", "production", "'trial' or 'live'"),
        ("relay_tls", "off", "'starttls', 'implicit' or 'none'"),
        ("log_level", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("lease_seconds", "600", "not longer than AFTERCARE_RELAY_SESSION_TIMEOUT"),
        ("lease_seconds", "900", "not longer than AFTERCARE_RELAY_SESSION_TIMEOUT"),
        ("public_url", "http://clinic.example.com", "not an https:// address"),
        ("public_url", "https://", "not an https:// address"),
        ("public_url", "https://user@clinic.example.com", "not an https:// address"),
        ("trust_proxy", "proxy.example.org", "no address and no network"),
        ("trust_proxy", "*", "no address and no network"),
        ("trust_proxy", "127.0.0.1;10.0.0.1", "no address and no network"),
        ("trust_proxy", "10.0.0.1, 0.0.0.0/0", "would believe strangers"),
        ("trust_proxy", "::/0", "would believe strangers"),
        ("now", "2026-11-20T16:00:00", "not an instant with its zone"),
        ("mailbox_url", "pop3://u:p@h/INBOX", "neither imaps://, imap:// nor maildir:"),
        ("mailbox_url", "/var/mail/returned", "neither imaps://, imap:// nor maildir:"),
        ("mailbox_url", "imaps:u:p@h", "neither imaps://, imap:// nor maildir:"),
        ("mailbox_url", "maildir:returned", "by its whole path"),
        ("mailbox_url", "imaps://mail.example.org/INBOX", "no user or no password"),
        ("mailbox_url", "imaps://u@mail.example.org/INBOX", "no user or no password"),
        ("mailbox_url", "imaps://u:p%0d%0a@mail.example.org", "control character"),
        ("mailbox_url", "imaps://u:p@", "no host"),
        ("mailbox_url", "imaps://u:p@mail.example.org:port", "no host, or a port"),
        ("mailbox_url", "imaps://u:p@mail.example.org:0", "no host, or a port"),
        ("mailbox_url", "imaps://u:p@mail.example.org:65536", "no host, or a port"),
        ("mailbox_url", "imaps://u:p@mail.example.org/IN%22BOX", "a folder with other signs"),
        ("mailbox_url", "imap://u:p@mail.example.org/INBOX", "in clear"),
        ("now", "tomorrow", "not an instant with its zone"),
        ("now", "9999-12-31T23:59:59-12:00", "not an instant with its zone"),
        ("database_url", "mysql://h/x", "not a database this program knows"),
        ("database_url", "aftercare.db", "not a database this program knows"),
        ("database_url", "postgresql://h:port/x", "no number as its port"),
        ("database_url", "postgresql://h:5432,i:5432/x", "no number as its port"),
    ],
)
def test_a_value_that_cannot_be_is_refused_naming_the_setting(tmp_path: Path, name: str, value: str, said: str) -> None:
    error = refused(tmp_path, **{name: value})
    assert error.field == f"AFTERCARE_{name.upper()}"
    assert error.message.startswith(f"AFTERCARE_{name.upper()} ")
    assert said in error.message


def test_several_faults_are_told_together(tmp_path: Path) -> None:
    error = refused(tmp_path, doubt_retries="7", relay_port="many", nonsense="1")
    assert error.message.count("AFTERCARE_") == 3


@pytest.mark.parametrize("host", ["mail.example.com", "10.0.0.7", "127.0.0.1.example.com"])
def test_mail_never_leaves_this_machine_in_clear(tmp_path: Path, host: str) -> None:
    assert refused(tmp_path, relay_host=host, relay_tls="none").field == "AFTERCARE_RELAY_TLS"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_a_relay_on_this_machine_needs_no_tls(tmp_path: Path, host: str) -> None:
    given = {"AFTERCARE_RELAY_HOST": host, "AFTERCARE_RELAY_TLS": "none"}
    assert read_settings(given, tmp_path).relay_tls == "none"


def test_the_clock_is_never_moved_in_live_mode(tmp_path: Path) -> None:
    assert refused(tmp_path, mode="live", now="2026-11-20T16:00:00Z").field == "AFTERCARE_NOW"


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    settings = read_settings({"AFTERCARE_RELAY_PASSWORD_FILE": str(tmp_path / "password")}, tmp_path)
    assert settings.relay_password is not None
    assert settings.relay_password.get_secret_value() == "hunter2"


def test_a_secret_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name in ("nowhere", "bytes", "."):
        error = refused(tmp_path, secret_key_file=str(tmp_path / name))
        assert error.field == "AFTERCARE_SECRET_KEY_FILE"


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hunter2")
    error = refused(tmp_path, relay_password="hunter3", relay_password_file=str(tmp_path / "password"))
    assert error.field == "AFTERCARE_RELAY_PASSWORD_FILE"
    assert "hunter" not in error.message


@pytest.mark.parametrize("content", [b'relay_password = "hunter2\n', b"\xff\xfe", b"relay_password = hunter2"])
def test_a_file_that_is_no_toml_is_named_without_what_it_holds(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "aftercare.toml").write_bytes(content)
    with pytest.raises(BadConfiguration) as error:
        read_settings({}, tmp_path)
    assert error.value.field == str(tmp_path / "aftercare.toml")
    assert "hunter" not in error.value.message
    assert error.value.__cause__ is None


@pytest.mark.parametrize(
    "given",
    [
        {"relay_password": "hunter2", "relay_prot": "1"},
        {"secret_key": "hunter2", "doubt_retries": "7"},
        {"database_url": "mysql://u:hunter2@h/x"},
        {"database_url": "postgresql://u@h/x?password=hunter2"},
        {"database_url": "postgresql://u:hunter2@h:x/x"},
        {"doubt_retries": "hunter2"},
        {"mode": "hunter2"},
        {"mailbox_url": "hunter2"},
        {"mailbox_url": "imap://u:hunter2@mail.example.org"},
        {"mailbox_url": "imaps://u:hunter2@mail.example.org:x/INBOX"},
        {"mailbox_url": "imaps://u:hunter2%00@mail.example.org"},
    ],
)
def test_no_error_tells_a_value(tmp_path: Path, given: dict[str, str]) -> None:
    error = refused(tmp_path, **given)
    assert "hunter2" not in str(error.as_document())


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:secret@h:5432/x", "postgresql://u:***@h:5432/x"),
        ("postgresql://u:sec/r@e?t@h/x?a=b", "postgresql://u:***@h/x"),
        ("postgresql://u:se?cret@h/x", "postgresql://u:***@h/x"),
        ("postgresql://u@h/x", "postgresql://u@h/x"),
        ("postgresql:///x?password=secret", "postgresql:///x"),
        ("sqlite:////data/aftercare.db", "sqlite:////data/aftercare.db"),
    ],
)
def test_a_database_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_every_setting_has_a_default_a_unit_where_it_is_a_time_and_a_sentence() -> None:
    for row in describe(Settings()):
        name = row["setting"].removeprefix("AFTERCARE_").lower()
        assert len(row["meaning"].split()) >= 3, name
        assert row["value"] == row["default"], name
        assert (row["unit"] == "seconds") == name.endswith(("_seconds", "_timeout")), name


def test_secrets_are_described_by_stars(tmp_path: Path) -> None:
    given = {"AFTERCARE_SECRET_KEY": "hunter2", "AFTERCARE_RELAY_PASSWORD": "hunter3"}
    rows = {row["setting"]: row["value"] for row in describe(read_settings(given, tmp_path))}
    assert rows["AFTERCARE_SECRET_KEY"] == rows["AFTERCARE_RELAY_PASSWORD"] == "**********"


def test_the_allow_list_holds_addresses_and_domains_in_any_case() -> None:
    allowed = Settings(trial_allow=" Me@Example.com, @example.ORG ,,").allowed_in_trial
    assert allowed == {"me@example.com", "example.org"}


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("imaps://u:p@mail.example.org", MailboxUrl("imaps", "INBOX", "mail.example.org", 993, "u", "p")),
        ("imaps://u:p@h.example:994/", MailboxUrl("imaps", "INBOX", "h.example", 994, "u", "p")),
        (
            "imaps://returns@clinic.example:p%40/%3A:s@h.example/Returned%20mail/new",
            MailboxUrl("imaps", "Returned mail/new", "h.example", 993, "returns@clinic.example", "p@/::s"),
        ),
        ("imap://u:p@[::1]:1143/A", MailboxUrl("imap", "A", "::1", 1143, "u", "p")),
        ("imap://u:p@localhost", MailboxUrl("imap", "INBOX", "localhost", 143, "u", "p")),
        ("maildir:/var/mail/returned", MailboxUrl("maildir", "/var/mail/returned")),
        ("maildir:///var/mail/returned", MailboxUrl("maildir", "/var/mail/returned")),
    ],
)
def test_the_mailbox_is_an_imap_folder_or_a_maildir(tmp_path: Path, url: str, read: MailboxUrl) -> None:
    assert read_mailbox_url(url) == read
    assert read_settings({"AFTERCARE_MAILBOX_URL": url}, tmp_path).mailbox_url is not None
    assert "p@/" not in repr(read_mailbox_url(url))


def test_the_mailbox_may_come_from_a_file_and_is_shown_by_stars(tmp_path: Path) -> None:
    (tmp_path / "mailbox").write_text("imaps://u:hunter2@mail.example.org\n")
    settings = read_settings({"AFTERCARE_MAILBOX_URL_FILE": str(tmp_path / "mailbox")}, tmp_path)
    rows = {row["setting"]: row["value"] for row in describe(settings)}
    assert rows["AFTERCARE_MAILBOX_URL"] == "**********"
    assert "hunter2" not in repr(settings)


def test_stop_addresses_need_a_domain_and_somebody_who_reads_what_comes_there() -> None:
    mailbox = SecretStr("maildir:/var/mail/returned")
    assert Settings(bounce_domain="bounce.example.org").stop_domain is None
    assert Settings(mailbox_url=mailbox).stop_domain is None
    assert Settings(bounce_domain="bounce.example.org", mailbox_url=mailbox).stop_domain == "bounce.example.org"


@pytest.mark.parametrize(
    ("given", "trusted"),
    [
        ("", ["127.0.0.1"]),
        ("10.0.0.2", ["10.0.0.2"]),
        ("127.0.0.1, ::1 ,10.0.0.0/24,", ["127.0.0.1", "::1", "10.0.0.0/24"]),
    ],
)
def test_one_proxy_on_this_machine_is_trusted_unless_others_are_named(
    tmp_path: Path, given: str, trusted: list[str]
) -> None:
    assert read_settings({"AFTERCARE_TRUST_PROXY": given}, tmp_path).trusted_proxies == trusted


@pytest.mark.parametrize("name", ["AFTERCAER_MODE", "aftercare_mode", "Aftercare_Mode", "AFTERCARES_MODE"])
def test_a_prefix_that_is_misspelt_is_told_and_not_passed_over(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="does not begin with AFTERCARE_") as refusal:
        read_settings({name: "live"}, tmp_path)
    assert "AFTERCARE_MODE" in (refusal.value.next_step or "")


@pytest.mark.parametrize("name", ["AFTER_MODE", "CARE_MODE", "PATH", "AFTERCARE", "HEALTHCARE_MODE"])
def test_names_of_other_programs_are_left_alone(name: str, tmp_path: Path) -> None:
    assert read_settings({name: "live"}, tmp_path).mode == "trial"
