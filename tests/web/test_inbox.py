"""The inbox in a browser's eyes: what it shows, what it never does, and the headers on every answer."""

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from service.web.app import WebParts, create_app
from service.web.inbox import LISTED
from service.web.security import FOREIGN_HTML_POLICY, HEADERS, host_name

MESSAGE = (
    "Return-Path: <care@clinic.example>\r\nDelivered-To: ann@example.org\r\nFrom: Riverside <care@clinic.example>\r\n"
    "Subject: Your <b>first</b> day\r\nDate: Sun, 22 Nov 2026 10:00:00 +0100\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/alternative; boundary="x"\r\n\r\n'
    "--x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello <Zoë> & co\r\n"
    "--x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<h1>Hello</h1><script>alert(1)</script>\r\n--x--\r\n"
).encode()
READY = (True, "ready")


def browser(maildir: Path | None, **parts: Any) -> TestClient:
    made = WebParts(maildir, **{"is_ready": lambda: READY, "live_check": lambda: True, **parts})
    return TestClient(create_app(made), base_url="http://127.0.0.1:8025", follow_redirects=False)


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("tmp", "new", "cur"):
        (tmp_path / "box" / name).mkdir(parents=True)
    return tmp_path / "box"


@pytest.fixture
def http(maildir: Path) -> Iterator[TestClient]:
    with browser(maildir) as client:
        yield client


def put(maildir: Path, name: str = "a.1", content: bytes = MESSAGE, at: int = 1_800_000_000) -> None:
    (maildir / "new" / name).write_bytes(content)
    os.utime(maildir / "new" / name, (at, at))


class Tags(HTMLParser):
    """Collects start tags with their attributes, and the words between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_the_front_page_leads_to_the_inbox(http: TestClient) -> None:
    answer = http.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")


def test_an_empty_inbox_says_what_will_appear_and_how_to_start(http: TestClient) -> None:
    page = http.get("/inbox")
    assert page.status_code == 200
    assert "Nothing caught yet" in page.text
    assert "aftercare tick" in page.text


def test_the_list_shows_recipient_subject_and_the_mails_own_date_newest_first(http: TestClient, maildir: Path) -> None:
    put(maildir)
    put(maildir, "b.2", MESSAGE.replace(b"first", b"third").replace(b"22 Nov", b"24 Nov"), at=1_800_000_001)
    page = Tags(http.get("/inbox").text)
    assert [link["href"] for link in page.all("a")][1:] == ["/inbox/b.2", "/inbox/a.1"]
    words = re.sub(r"\s+", " ", page.words)
    assert "Your <b>third</b> day ann@example.org Tue 24 Nov 2026, 10:00" in words
    assert "Your <b>first</b> day ann@example.org Sun 22 Nov 2026, 10:00" in words
    assert page.all("time")[1]["title"] == "2026-11-22 10:00:00+01:00"


def test_a_long_list_shows_the_newest_and_says_so(http: TestClient, maildir: Path) -> None:
    for number in range(LISTED + 5):
        put(maildir, f"n.{number:04d}")
    page = Tags(http.get("/inbox").text)
    assert len(page.all("li")) == LISTED
    assert "The newest 200 of 205." in page.words
    assert page.all("a")[1]["href"] == "/inbox/n.0204"


def test_a_message_page_shows_head_text_and_source_as_words_never_as_markup(http: TestClient, maildir: Path) -> None:
    put(maildir)
    answer = http.get("/inbox/a.1")
    page = Tags(answer.text)
    assert "Your <b>first</b> day" in page.words
    assert "Hello <Zoë> & co" in page.words
    assert "Riverside <care@clinic.example>" in page.words
    assert MESSAGE.decode().replace("\r\n", "\n") in page.words.replace("\r\n", "\n")
    assert not page.all("script")
    assert not page.all("b")
    assert "alert(1)" not in str(page.tags)


def test_the_html_is_framed_without_any_right(http: TestClient, maildir: Path) -> None:
    put(maildir)
    [frame] = Tags(http.get("/inbox/a.1").text).all("iframe")
    assert frame["src"] == "/inbox/a.1/html"
    assert "sandbox" in frame
    assert not frame["sandbox"]
    shown = http.get("/inbox/a.1/html")
    assert shown.text == "<h1>Hello</h1><script>alert(1)</script>"
    policy = shown.headers["content-security-policy"]
    assert policy == FOREIGN_HTML_POLICY
    assert set(policy.split("; ")) >= {"default-src 'none'", "sandbox", "frame-ancestors 'self'"}


@pytest.mark.parametrize(
    ("asked", "shown"),
    [("", "600"), ("?width=320", "320"), ("?width=1200", "1200"), ("?width=7", "600"), ("?width=x%22", "600")],
)
def test_the_width_of_the_frame_is_a_link(http: TestClient, maildir: Path, asked: str, shown: str) -> None:
    put(maildir)
    page = Tags(http.get(f"/inbox/a.1{asked}").text)
    assert page.all("iframe")[0]["class"] == f"width-{shown}"
    current = [link["href"] for link in page.all("a") if "aria-current" in link]
    assert current == [f"?width={shown}#html"]


def test_text_and_source_stand_alone_as_plain_text(http: TestClient, maildir: Path) -> None:
    put(maildir)
    text, source = http.get("/inbox/a.1/text"), http.get("/inbox/a.1/source")
    assert text.text == "Hello <Zoë> & co"
    assert source.content == MESSAGE
    for answer in (text, source):
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_message_without_parts_says_so_and_has_no_frame(http: TestClient, maildir: Path) -> None:
    put(maildir, "bare", b"\xff\xfe")
    page = Tags(http.get("/inbox/bare").text)
    assert not page.all("iframe")
    assert "no HTML part" in page.words
    assert "(no subject)" in page.words
    assert http.get("/inbox/bare/html").status_code == 404


def test_a_very_long_source_is_cut_on_the_page_only(http: TestClient, maildir: Path) -> None:
    content = MESSAGE + b"y" * 200_000
    put(maildir, content=content)
    page = http.get("/inbox/a.1")
    assert "Only the beginning" in page.text
    assert len(page.text) < 150_000
    assert http.get("/inbox/a.1/source").content == content


def test_right_to_left_and_hostile_words_are_only_words(http: TestClient, maildir: Path) -> None:
    hostile = '"><img src=x onerror=alert(1)>{{ 7*7 }} \N{RIGHT-TO-LEFT OVERRIDE}'
    put(maildir, content=f"Subject: {hostile}\r\nFrom: مريم\r\nDelivered-To: {hostile}\r\n\r\n{hostile}".encode())
    for path in ("/inbox", "/inbox/a.1"):
        page = Tags(http.get(path).text)
        assert not page.all("img")
        assert "49" not in page.words
        assert "{{ 7*7 }}" in page.words


@pytest.mark.parametrize("path", ["/inbox/none", "/inbox/..%2f..%2fetc", "/inbox/a.1/other", "/inbox/none/html", "/x"])
@pytest.mark.parametrize("trial", [True, False])
def test_what_is_not_there_is_a_plain_page(maildir: Path, path: str, trial: bool) -> None:
    with browser(maildir if trial else None) as client:
        answer = client.get(path)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text
    assert "etc" not in answer.text
    assert bool(Tags(answer.text).all("p")[1:]) is trial


def test_without_a_maildir_there_is_no_inbox(maildir: Path) -> None:
    put(maildir)
    with browser(None) as client:
        assert {client.get(path).status_code for path in ("/", "/inbox", "/inbox/a.1", "/inbox/a.1/html")} == {404}


def test_no_documentation_routes_are_served(http: TestClient) -> None:
    assert {http.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json", "/static/")} == {404}


def test_health_says_live_and_ready_or_why_not(maildir: Path) -> None:
    with browser(maildir) as client:
        assert client.get("/healthz").json() == {"live": True}
        assert client.get("/readyz").json() == {"ready": True, "message": "ready"}
        assert client.head("/healthz").status_code == 200
    with browser(maildir, is_ready=lambda: (False, "no tick has ended yet"), live_check=lambda: False) as client:
        assert client.get("/healthz").status_code == 503
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["message"]) == (503, "no tick has ended yet")


EVERYWHERE = [
    *["/", "/inbox", "/inbox/a.1", "/inbox/a.1/html", "/inbox/a.1/text", "/inbox/a.1/source", "/healthz", "/readyz"],
    *["/static/aftercare.css", "/none"],
]


@pytest.mark.parametrize("path", EVERYWHERE)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "TRACK"])
def test_every_answer_carries_the_security_headers(http: TestClient, maildir: Path, path: str, method: str) -> None:
    put(maildir)
    answer = http.request(method, path)
    own = {"content-security-policy"} if path.endswith("/html") and answer.status_code == 200 else set()
    if path.startswith("/static") and answer.status_code == 200:
        own = {"cache-control"}  # the same for everybody, so a browser may keep it
    for name, value in HEADERS.items():
        assert name.lower() in own or answer.headers[name] == value
    assert "'unsafe" not in answer.headers["content-security-policy"].replace("style-src 'unsafe-inline'", "") or own
    assert "set-cookie" not in answer.headers
    if method not in ("GET", "HEAD"):
        assert answer.status_code in ((405,) if method in ("TRACE", "TRACK") else (404, 405))


def test_reading_changes_nothing_in_the_maildir(http: TestClient, maildir: Path) -> None:
    put(maildir)

    def state() -> list[tuple[str, float, str]]:
        files = sorted(path for path in maildir.rglob("*") if path.is_file())
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
        return [(str(path), path.stat().st_mtime, digest) for path, digest in zip(files, digests, strict=True)]

    before = state()
    for path in EVERYWHERE:
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            http.request(method, path)
    assert state() == before


def test_https_answers_ask_to_stay_with_https(maildir: Path) -> None:
    app = create_app(WebParts(maildir, lambda: READY, lambda: True))
    with TestClient(app, base_url="https://localhost") as client:
        assert "max-age=31536000" in client.get("/inbox").headers["strict-transport-security"]
    with TestClient(app, base_url="http://localhost") as client:
        assert "strict-transport-security" not in client.get("/inbox").headers


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8025", "localhost:1", "LOCALHOST", "[::1]", "[::1]:8025"])
def test_loopback_names_are_answered(http: TestClient, host: str) -> None:
    assert http.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *[
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "127.0.0.1:x",
            "[::1",
            "[::1]x",
            "[::1]:",
        ],
        *["localhost:80:80", "", "localhost."],
    ],
)
def test_other_names_are_refused(http: TestClient, maildir: Path, host: str) -> None:
    put(maildir)
    answer = http.get("/inbox", headers={"Host": host})
    assert answer.status_code == 400
    assert "ann@" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_server_may_have_a_name_of_its_own(maildir: Path) -> None:
    with browser(maildir, hosts=("Desk.example",)) as client:
        assert client.get("/inbox", headers={"Host": "desk.example:443"}).status_code == 200
        assert client.get("/inbox").status_code == 400


def test_a_host_header_is_read_to_its_end() -> None:
    assert host_name("a:80") == "a"
    assert host_name("[::1]:80") == "::1"
    assert host_name("a:80:80") == host_name("[::1]80") == host_name("[::1") == ""


def test_a_failing_request_says_sorry_with_all_headers_and_logs_no_words(
    maildir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> bool:
        raise RuntimeError("about ann@example.org")

    caplog.set_level(logging.DEBUG, logger="service")
    with browser(maildir, live_check=broken) as client:
        answer = client.get("/healthz")
    assert answer.status_code == 500
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert "RuntimeError" not in answer.text
    assert "RuntimeError at test_inbox.py:" in caplog.text
    assert "ann@" not in caplog.text


def test_no_page_has_a_script_a_style_attribute_or_anything_from_elsewhere(http: TestClient, maildir: Path) -> None:
    put(maildir)
    for path in ("/inbox", "/inbox/a.1", "/none"):
        page = Tags(http.get(path).text)
        assert not page.all("script")
        assert not page.all("style")
        for _, attributes in page.tags:
            assert not any(name == "style" or name.startswith("on") for name in attributes)
            for name in ("src", "href"):
                assert (attributes.get(name) or "/").startswith(("/", "?", "#"))
    sheet = http.get("/static/aftercare.css").text
    assert "url(" not in sheet
    assert "@import" not in sheet
