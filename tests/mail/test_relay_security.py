"""Nothing travels in clear that should not: TLS and log-in with a relay that misbehaves."""

import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from service.domain.replies import CONNECTION_LOST, NOT_SMTP, TIMED_OUT, Heard, Kind, Stage, classify
from service.mail.relay import NotOpened, RelayAddress
from tests.support.relay_talk import (
    EITHER_WAY,
    HOW,
    MESSAGE,
    PARCEL,
    SHORT,
    How,
    Marks,
    address_of,
    hasty,
    not_opened,
    run,
    secured,
    server_side,
    talk,
    usable_after,
)
from tests.support.scripted_relay import (
    AcceptAndDrop,
    Action,
    Drop,
    Each,
    Garbage,
    Hang,
    Read,
    Reply,
    Script,
    ScriptedRelay,
    Security,
    at,
)


@HOW
@EITHER_WAY
def test_messages_travel_encrypted(how: How, pipelining: bool, secure: ssl.SSLContext, ca_file: Path) -> None:
    with ScriptedRelay(tls=Security(secure, implicit=how == "implicit"), pipelining=pipelining) as relay:
        heard = run(talk(secured(relay, how, ca_file), PARCEL, PARCEL))
        relay.wait_until_alone()
    assert [one.code for one in heard] == [250, 250]
    assert [one.data for one in relay.log] == [MESSAGE, MESSAGE]
    assert ("STARTTLS" in relay.commands) is (how == "starttls")


@HOW
@pytest.mark.parametrize("fault", [Drop(), Hang(), AcceptAndDrop()], ids=str)
def test_a_reply_lost_on_an_encrypted_connection_is_in_doubt_as_well(
    how: How, fault: Action, secure: ssl.SSLContext, ca_file: Path
) -> None:
    with ScriptedRelay(at("dot", fault), tls=Security(secure, implicit=how == "implicit")) as relay:
        heard, usable = run(usable_after(replace(secured(relay, how, ca_file), dot_timeout=SHORT)))
    assert (heard.stage, heard.code, usable) == (Stage.MESSAGE, None, False)


@HOW
def test_the_mark_guards_an_encrypted_message_too(how: How, secure: ssl.SSLContext, ca_file: Path) -> None:
    with ScriptedRelay(tls=Security(secure, implicit=how == "implicit")) as relay:
        heard = run(talk(secured(relay, how, ca_file), PARCEL, mark=Marks(answer=False)))
        relay.wait_until_alone()
    assert heard[0].stage is Stage.MARK
    assert (relay.log, relay.cut_off) == ([], [b""])


def test_a_stripped_starttls_sends_neither_password_nor_mail(secure: ssl.SSLContext, ca_file: Path) -> None:
    with ScriptedRelay(tls=Security(secure, offered=False), auth={"clinic": "secret"}) as relay:
        heard = not_opened(replace(secured(relay, "starttls", ca_file), username="clinic", password="secret"))
        relay.wait_until_alone()
    assert heard == Heard(Stage.TLS, failure="STARTTLS is not offered")
    assert classify(heard).kind is Kind.CONFIGURATION
    assert relay.commands == ["EHLO desk.clinic.test"]


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        (Reply(454, "4.7.0 not now"), Kind.TEMPORARY),
        (Reply(501, "5.5.4 no"), Kind.CONFIGURATION),
        (Drop(), Kind.TEMPORARY),
        (Hang(), Kind.TEMPORARY),
        (Garbage(), Kind.CONFIGURATION),
        (Each((Reply(220, "go"), Hang())), Kind.TEMPORARY),
        (Each((Reply(220, "go"), Drop())), Kind.TEMPORARY),
        (Each((Reply(220, "go"), Read(1), Garbage(b"250 plain text\r\n"), Hang())), Kind.CONFIGURATION),
    ],
    ids=str,
)
def test_trouble_with_starttls_is_heard_as_such(
    action: Action, kind: Kind, secure: ssl.SSLContext, ca_file: Path
) -> None:
    with ScriptedRelay(at("starttls", action), tls=Security(secure)) as relay:
        heard = not_opened(hasty(secured(relay, "starttls", ca_file)))
        relay.wait_until_alone()
    assert heard.stage is Stage.TLS
    assert classify(heard).kind is kind
    assert not relay.counts["mail"]


def test_plain_text_slipped_in_before_the_handshake_is_never_read_as_a_reply(
    secure: ssl.SSLContext, ca_file: Path
) -> None:
    injected = at("starttls", Reply(220, "go\r\n250-injected\r\n250 SIZE 1"))
    with ScriptedRelay(injected, tls=Security(secure)) as relay:
        assert run(talk(secured(relay, "starttls", ca_file), PARCEL))[0].code == 250


def test_bytes_nobody_asked_for_inside_tls_are_trouble_with_tls(secure: ssl.SSLContext, ca_file: Path) -> None:
    script = at("ehlo", Reply(250, ("hello", "PIPELINING\r\n250 and this")))
    with ScriptedRelay(script, tls=Security(secure, implicit=True)) as relay:
        assert not_opened(secured(relay, "implicit", ca_file)) == Heard(Stage.TLS, failure=NOT_SMTP)


@HOW
@pytest.mark.parametrize("fault", ["another name", "self-signed", "expired", "unknown authority"])
def test_a_certificate_that_proves_nothing_ends_it(
    how: How, fault: str, authority: trustme.CA, secure: ssl.SSLContext, ca_file: Path
) -> None:
    trusted: Path | None = ca_file
    context = secure
    if fault == "another name":
        context = server_side(authority.issue_cert("relay.elsewhere.test"))
    elif fault == "self-signed":
        context = server_side(trustme.CA().issue_cert("127.0.0.1"))
    elif fault == "expired":
        past = datetime.now(UTC) - timedelta(days=1)
        context = server_side(authority.issue_cert("127.0.0.1", not_before=past - timedelta(days=9), not_after=past))
    else:
        trusted = None
    with ScriptedRelay(tls=Security(context, implicit=how == "implicit"), auth={"clinic": "secret"}) as relay:
        address = replace(secured(relay, how, trusted), username="clinic", password="secret")
        heard = not_opened(address)
        relay.wait_until_alone()
    assert heard.stage is Stage.TLS
    assert classify(heard).kind is Kind.CONFIGURATION
    assert heard.failure.startswith("TLS: ")
    assert "AUTH" not in relay.commands
    assert not relay.counts["mail"]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@HOW
def test_a_relay_that_speaks_only_old_tls_hears_no_command(how: How, secure: ssl.SSLContext, ca_file: Path) -> None:
    secure.maximum_version = ssl.TLSVersion.TLSv1_1
    with ScriptedRelay(tls=Security(secure, implicit=how == "implicit")) as relay:
        assert not_opened(secured(relay, how, ca_file)).stage is Stage.TLS
        relay.wait_until_alone()
    assert not relay.counts["mail"]


def test_an_unreadable_authority_file_is_trouble_with_tls(tmp_path: Path) -> None:
    (tmp_path / "odd.pem").write_text("no certificate")
    for name in ("missing.pem", "odd.pem"):
        heard = not_opened(RelayAddress("127.0.0.1", 1, ca_file=tmp_path / name))
        assert (heard.stage, classify(heard).kind) == (Stage.TLS, Kind.CONFIGURATION)


def test_a_relay_without_tls_behind_the_implicit_port_is_trouble_with_tls(ca_file: Path) -> None:
    with ScriptedRelay() as relay:
        heard = not_opened(secured(relay, "implicit", ca_file))
    assert heard.stage is Stage.TLS


@HOW
@pytest.mark.parametrize("method", ["PLAIN", "LOGIN"])
def test_logging_in_works(how: How, method: str, secure: ssl.SSLContext, ca_file: Path) -> None:
    security = Security(secure, implicit=how == "implicit")
    with ScriptedRelay(tls=security, auth={"clinic": "secret"}, auth_methods=(method,)) as relay:
        address = replace(secured(relay, how, ca_file), username="clinic", password="secret")
        assert run(talk(address, PARCEL))[0].code == 250
    assert relay.counts["auth"] == 1


def test_a_relay_that_knows_only_challenges_can_be_logged_in_to(secure: ssl.SSLContext, ca_file: Path) -> None:
    script = at("auth", Reply(235, "2.7.0 welcome"))
    with ScriptedRelay(script, tls=Security(secure), auth={}, auth_methods=("CRAM-MD5",)) as relay:
        address = replace(secured(relay, "starttls", ca_file), username="clinic", password="secret")
        assert run(talk(address, PARCEL))[0].code == 250


@pytest.mark.parametrize(
    ("script", "password", "expected"),
    [
        (None, "wrong", Heard(Stage.AUTH, 535, "5.7.8 wrong")),
        (at("auth", Reply(454, "4.7.0 later")), "secret", Heard(Stage.AUTH, 454, "4.7.0 later")),
        (at("auth", Reply(534, "5.7.9 weak")), "secret", Heard(Stage.AUTH, 534, "5.7.9 weak")),
        (at("auth", Reply(530, "5.7.0 no")), "secret", Heard(Stage.AUTH, 530, "5.7.0 no")),
        (at("auth", Drop()), "secret", Heard(Stage.AUTH, failure=CONNECTION_LOST)),
        (at("auth", Hang()), "secret", Heard(Stage.AUTH, failure=TIMED_OUT)),
        (at("auth", Garbage()), "secret", Heard(Stage.AUTH, failure=NOT_SMTP)),
    ],
    ids=["wrong password", "454", "534", "530", "drop", "hang", "garbage"],
)
def test_a_failed_log_in_is_heard_and_tried_once(
    script: Script | None, password: str, expected: Heard, secure: ssl.SSLContext, ca_file: Path
) -> None:
    script = script or (lambda _stage, _argument, _count: None)
    with ScriptedRelay(script, tls=Security(secure), auth={"clinic": "secret"}) as relay:
        address = replace(secured(relay, "starttls", ca_file), username="clinic", password=password, reply_timeout=1)
        assert not_opened(address) == expected
        relay.wait_until_alone()
    assert relay.counts["auth"] == 1


@pytest.mark.parametrize("methods", [(), ("GSSAPI",)])
def test_a_user_name_without_a_way_to_log_in_is_a_fault_of_the_settings(
    methods: tuple[str, ...], secure: ssl.SSLContext, ca_file: Path
) -> None:
    with ScriptedRelay(tls=Security(secure), auth={"clinic": "secret"}, auth_methods=methods) as relay:
        heard = not_opened(replace(secured(relay, "starttls", ca_file), username="clinic", password="secret"))
    assert heard.stage is Stage.AUTH
    assert classify(heard).kind is Kind.CONFIGURATION


def test_a_password_never_travels_in_clear_beyond_this_machine() -> None:
    for host in ("192.0.2.1", "relay.test"):
        heard = not_opened(RelayAddress(host, 25, username="clinic", password="secret", tls="none"))
        assert (heard.stage, classify(heard).kind) == (Stage.AUTH, Kind.CONFIGURATION)
    with ScriptedRelay(auth={"clinic": "secret"}) as relay:
        for host in ("127.0.0.1", "localhost"):
            address = replace(address_of(relay), host=host, username="clinic", password="secret")
            assert run(talk(address, PARCEL))[0].code == 250


def test_an_address_and_its_errors_never_show_the_password() -> None:
    address = RelayAddress("relay.test", 587, username="clinic", password="hunter2")
    assert "hunter2" not in repr(address)
    refused = NotOpened(Heard(Stage.AUTH, 535, "5.7.8 wrong"))
    assert str(refused) == "auth: 535 5.7.8 wrong"
