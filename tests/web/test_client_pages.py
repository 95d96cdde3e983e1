"""The pages behind a client's links, in the eyes of clients, mail providers, scanners and strangers."""

from __future__ import annotations

import asyncio
import random
import re
import socket
import string
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from httpx2 import Response
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient

import service.web
from service.actions import previewing, revise
from service.actions.answer import CHECK_IN, NOT_ME, STOP, TODAY, link_of, write_link
from service.actions.previewing import Desk, Wanted
from service.actions.shelf import Shelf
from service.actions.writing import Writer
from service.mail.signing import Signer, new_key
from service.store import clinics
from service.store.engine import Store
from service.store.tables import calls, metadata
from service.web.app import load_pages
from service.web.client_check_in import check_in_routes
from service.web.client_pages import ClientParts, client_routes
from service.web.client_today import today_routes
from service.web.limits import MOST_BODY, PublicDoor, RateLimit
from service.web.security import HEADERS, LOOPBACK_HOSTS, Secured
from service.web.serving import Pages
from tests.support.processes import free_port, wait_for
from tests.support.world import SMP, World, at, make_world

PUBLIC = "https://notes.northgate.org"
NOW = at("2026-11-21 12:00")
# Fixed, so that tests have the same names in every run.
OLD_KEY, KEY = (b"an older key of these tests alone", b"the newest key of these tests alone")
FORM = "application/x-www-form-urlencoded"
ONE_CLICK = "List-Unsubscribe=One-Click"
SCANNERS = [
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 SafeLinks Edg/120.0",
    "Barracuda Sentinel (EE)",
    "Mimecast URL Protect",
    "Proofpoint URL Defense",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "facebookexternalhit/1.1",
    "WhatsApp/2.23.20.0",
    "curl/8.5.0",
]


class Place:
    """The pages over one world, and how they are asked."""

    def __init__(self, world: World, limit: RateLimit | None = None) -> None:
        self.world = world
        shelf = Shelf(world.service.catalogue, drafts_count=True)
        limit = limit or RateLimit(burst=100_000)
        self.parts = ClientParts(world.store, Signer([KEY, OLD_KEY]), lambda: NOW, limit, shelf)
        self.app = FastAPI(openapi_url=None)
        self.app.add_middleware(PublicDoor)
        self.app.add_middleware(Secured, hosts=LOOPBACK_HOSTS | {"notes.northgate.org"})
        self.app.include_router(client_routes(self.parts, load_pages()))
        self.app.include_router(today_routes(self.parts, shelf, load_pages()))
        self.app.include_router(check_in_routes(self.parts, shelf.catalogue, load_pages()))
        self.app.mount("/static", StaticFiles(directory=Path(service.web.__path__[0]) / "static"), name="static")
        self.app.add_api_route("/inbox", lambda: "ours alone")
        self.http = self.browser("203.0.113.7")

    def browser(self, address: str) -> TestClient:
        return TestClient(self.app, base_url=PUBLIC, follow_redirects=False, client=(address, 40000))

    def post(self, path: str, body: str | bytes, content_type: str = FORM) -> Response:
        return self.http.post(path, content=body, headers={"Content-Type": content_type})

    def everything(self) -> dict[str, list[Any]]:
        with self.world.store.read() as connection:
            return {
                table.name: sorted(connection.execute(sa.select(table)), key=str) for table in metadata.sorted_tables
            }

    def reasons(self) -> list[str]:
        with self.world.store.read() as connection:
            return list(connection.execute(sa.select(calls.c.reason).order_by(calls.c.id)).scalars())


def treated(store: Store, folder: Path) -> World:
    world = make_world(store, folder)
    world.treat(world.client(), "2026-11-20")
    return world


@pytest.fixture
def place(store: Store, tmp_path: Path) -> Place:
    """For what the database has a part in: on both."""
    return Place(treated(store, tmp_path))


@pytest.fixture
def small_store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "aftercare.db"
    path.write_bytes(sqlite_template.read_bytes())
    opened = Store(f"sqlite:///{path}")
    yield opened
    opened.close()


@pytest.fixture
def small_place(small_store: Store, tmp_path: Path) -> Place:
    return Place(treated(small_store, tmp_path))


def path_of(purpose: str, key: bytes = KEY, client_id: int = 1) -> str:
    letter = {STOP: "s", NOT_ME: "n", CHECK_IN: "c", TODAY: "t"}[purpose]
    return f"/{letter}/{write_link(Signer([key]), purpose, link_of(client_id, 'sam@example.com'))}"


STOP_PATH, NOT_ME_PATH = path_of(STOP), path_of(NOT_ME)


def words_of(answer: Response) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", answer.text))


# --- what a client sees and does


def test_the_stop_page_says_what_stopping_means_before_the_button(small_place: Place) -> None:
    answer = small_place.http.get(STOP_PATH)
    assert answer.status_code == 200
    before_the_button = answer.text.partition("<button")[0]
    assert "will send you no more of these e-mails" in before_the_button
    assert "will phone you once, to tell you what to watch for" in before_the_button
    assert 'href="tel:01632960001"' in answer.text
    assert f'href="..{NOT_ME_PATH}"' in answer.text


@pytest.mark.parametrize(
    ("path", "answer", "state", "reason", "words"),
    [
        (STOP_PATH, "stop", "cancelled: stopped", "stopped", "You have stopped these notes"),
        (NOT_ME_PATH, "not-me", "cancelled: suppressed", "wrong_person", "Thank you for telling us"),
    ],
)
def test_the_button_of_a_page_does_what_it_says_once(
    place: Place, path: str, answer: str, state: str, reason: str, words: str
) -> None:
    page = place.http.get(path).text
    assert f'<button type="submit" name="answer" value="{answer}">' in page
    for _ in range(2):
        done = place.post(path, f"answer={answer}")
        assert (done.status_code, words in done.text) == (200, True)
    assert set(place.world.states().values()) == {state}
    assert place.reasons() == [reason]


ONE_CLICK_PART = 'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (FORM, ONE_CLICK),
        (f"{FORM}; charset=utf-8", f"{ONE_CLICK}\r\n"),
        ("multipart/form-data; boundary=x1", f"--x1\r\n{ONE_CLICK_PART}--x1--\r\n"),
        ("Multipart/Form-Data; boundary=x1", f"--x1\r\nContent-Type: text/plain\r\n{ONE_CLICK_PART}--x1--"),
    ],
)
@pytest.mark.parametrize("path", [STOP_PATH, NOT_ME_PATH])
def test_one_click_is_answered_at_once_without_redirect_or_cookie(
    place: Place, path: str, content_type: str, body: str
) -> None:
    answer = place.post(path, body, content_type)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers
    assert len(place.reasons()) == 1


def test_links_made_with_an_older_key_still_work(place: Place) -> None:
    assert place.post(path_of(STOP, OLD_KEY), ONE_CLICK).status_code == 200
    assert place.reasons() == ["stopped"]


def test_a_client_who_stopped_and_comes_back_sees_the_same_page(place: Place) -> None:
    before = place.http.get(STOP_PATH).text
    place.post(STOP_PATH, ONE_CLICK)
    assert place.http.get(STOP_PATH).text == before


# --- what a stranger learns


@pytest.mark.parametrize("path", [STOP_PATH, NOT_ME_PATH])
def test_a_forwarded_reader_learns_the_discreet_name_and_phone_and_nothing_about_health(
    small_place: Place, path: str
) -> None:
    for answer in (small_place.http.get(path), small_place.post(path, ONE_CLICK)):
        words = words_of(answer).lower()
        assert "northgate" in words
        for word in ("clinic", "sam", "reed", "scalp", "treat", "skin", "heal", "aftercare", "day", "example.com"):
            assert word not in words, word
        assert "2026" not in words


def test_a_name_that_looks_like_markup_is_only_a_name(small_place: Place) -> None:
    with small_place.world.store.write() as connection:
        clinics.change(connection, small_place.world.clinic.id, {"sender_name": "<script>alert(1)</script> & Söhne"})
    for path in (STOP_PATH, NOT_ME_PATH):
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; Söhne" in small_place.http.get(path).text
        assert "<script" not in small_place.http.get(path).text


def test_a_clinic_without_a_phone_is_reached_by_mail(small_place: Place) -> None:
    with small_place.world.store.write() as connection:
        clinics.change(connection, small_place.world.clinic.id, {"phone": ""})
    assert 'href="mailto:desk@northgate-clinic.org"' in small_place.http.get(STOP_PATH).text
    with small_place.world.store.write() as connection:
        clinics.change(connection, small_place.world.clinic.id, {"reply_to": ""})
    assert "Answer the e-mail you got." in small_place.http.get(STOP_PATH).text


def bad_paths(world: World) -> dict[str, str]:
    """Links that open nothing, each for another reason."""
    erased = world.client("Gone Person")
    with world.store.write() as connection:
        revise.erase(connection, world.clinic, erased, world.who("2026-11-21 12:00"))
    alphabet, dice = string.ascii_letters + string.digits + "-_", random.Random(7)
    token = STOP_PATH.removeprefix("/s/")
    flipped = {
        f"letter {place}": f"/s/{token[:place]}{alphabet[alphabet.index(token[place]) ^ 1]}{token[place + 1 :]}"
        for place in range(len(token))
    }
    return {
        "random": "/s/" + "".join(dice.choices(alphabet, k=40)),
        "another purpose": f"/s/{NOT_ME_PATH.removeprefix('/n/')}",
        "a lost key": path_of(STOP, new_key()),
        "erased": path_of(STOP, client_id=erased),
        "unknown": path_of(STOP, client_id=erased + 1),
        "cut short": f"/s/{token[:-1]}",
        "too long": f"/s/{token}A",
        "very long": "/s/" + "a" * 5000,
        "not letters": "/s/%00%ff%0d%0aSet-Cookie:%20a=b",
        "a number": "/s/1",
        **flipped,
    }


def test_every_link_that_opens_nothing_gets_the_same_page_and_changes_nothing(place: Place) -> None:
    paths = bad_paths(place.world)
    before = place.everything()
    answers = {}
    for why, path in paths.items():
        answers[f"GET {why}"] = place.http.get(path)
        answers[f"POST {why}"] = place.post(path, ONE_CLICK)
    assert {answer.status_code for answer in answers.values()} == {404}
    assert len({answer.content for answer in answers.values()}) == 1
    kept = {tuple(sorted(answer.headers.items())) for answer in answers.values()}
    assert len(kept) == 1
    assert place.everything() == before


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        (FORM, "", 400),
        (FORM, "answer=", 400),
        (FORM, "answer=not-me", 400),
        (FORM, "answer=Stop", 400),
        (FORM, "answer=stop&answer=stop", 400),
        (FORM, f"{ONE_CLICK}&{ONE_CLICK}", 400),
        (FORM, f"{ONE_CLICK}&client_id=2", 400),
        (FORM, "list-unsubscribe=one-click", 400),
        (FORM, "&" * 9_000, 400),
        (FORM, b"\xff\x00=%zz", 400),
        ("application/json", '{"answer": "stop"}', 415),
        ("text/plain", ONE_CLICK, 415),
        ("", ONE_CLICK, 415),
        ("multipart/form-data; boundary=x1", "", 400),
        ("multipart/form-data; boundary=x1", f"--x1\r\n{ONE_CLICK_PART}--x1\r\n{ONE_CLICK_PART}--x1--\r\n", 400),
        ("multipart/form-data; boundary=x1", "--x1\r\n" * 1_500, 400),
        (FORM, "a" * (MOST_BODY + 1), 413),
        ("multipart/form-data; boundary=x1", b"a" * 10_000_000, 413),
    ],
)
def test_a_form_that_is_not_exactly_ours_changes_nothing_and_tells_nothing(
    small_place: Place, content_type: str, body: str | bytes, status: int
) -> None:
    before = small_place.everything()
    good, bad = (small_place.post(path, body, content_type) for path in (STOP_PATH, "/s/" + "a" * 40))
    assert (good.status_code, bad.status_code) == (status, status)
    assert good.content == bad.content
    assert "Nothing was changed." in good.text
    assert small_place.everything() == before


def test_other_methods_are_refused_politely(small_place: Place) -> None:
    before = small_place.everything()
    for method in ("PUT", "PATCH", "DELETE"):
        answer = small_place.http.request(method, STOP_PATH, content=ONE_CLICK, headers={"Content-Type": FORM})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    assert small_place.everything() == before


def test_every_answer_is_private_and_loads_nothing_from_elsewhere(small_place: Place) -> None:
    answers = [
        small_place.http.get(STOP_PATH),
        small_place.http.get(NOT_ME_PATH),
        small_place.http.get("/s/none"),
        small_place.post(STOP_PATH, "x=y"),
        small_place.post(STOP_PATH, ONE_CLICK),
        small_place.post(NOT_ME_PATH, ONE_CLICK),
    ]
    for answer in answers:
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        assert "set-cookie" not in answer.headers
        assert '<meta name="robots" content="noindex, nofollow">' in answer.text
        assert not re.search(r"<script|<style|\son\w+=|\sstyle=|http:|https:|//", answer.text)
    sheet = re.search(r'href="\.\.(/static/[^"]*css)"', answers[0].text)
    assert sheet
    assert small_place.http.get(sheet[1]).status_code == 200


# --- scanners


def links_of_a_mail(place: Place) -> set[str]:
    """Every web address in the headers and words of an e-mail with links, and those on the pages behind them."""
    world = place.world
    desk = Desk(world.clinic, Shelf(world.service.catalogue, drafts_count=True), Writer(place.parts.signer, PUBLIC))
    with world.store.read() as connection:
        wanted = Wanted(world.service.catalogue.protocols[SMP], "day-01", 1)
        message = previewing.of_client(connection, desk, wanted, NOW).message
    whole = message.replace(b"=\r\n", b"").decode()
    found = set(re.findall(rf"{PUBLIC}(/[A-Za-z0-9/_-]+)", whole))
    for path in list(found):
        found |= set(re.findall(r'href="\.\.(/[snct]/[^"]*)"', place.http.get(path).text))
    return found


def test_a_storm_of_scanners_over_every_link_of_a_mail_leaves_the_database_as_it_was(place: Place) -> None:
    links = links_of_a_mail(place)
    assert links == {STOP_PATH, NOT_ME_PATH, path_of(CHECK_IN), path_of(TODAY)}
    before = place.everything()
    for path in sorted(links):
        for scanner in SCANNERS:
            for method in ("GET", "HEAD", "OPTIONS"):
                for query in ("", "?answer=stop&List-Unsubscribe=One-Click", "?at=q1&q1=breathing&go=next"):
                    headers = {"User-Agent": scanner, "Purpose": "prefetch"}
                    assert place.http.request(method, path + query, headers=headers).status_code in (200, 204)
    assert place.everything() == before


# --- too many, too much, and trouble of our own


def test_a_thousand_requests_from_one_address_are_mostly_refused_and_the_next_address_is_served(
    small_store: Store, tmp_path: Path
) -> None:
    seconds = [0.0]
    place = Place(treated(small_store, tmp_path), RateLimit(seconds=lambda: seconds[0]))
    before = place.everything()
    statuses = [place.http.get("/s/" + "a" * 40).status_code for _ in range(1_000)]
    assert statuses == [404] * 60 + [429] * 940
    refused = place.post(STOP_PATH, ONE_CLICK)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert "Too many tries" in refused.text
    assert place.everything() == before
    assert place.browser("203.0.113.8").get(STOP_PATH).status_code == 200
    seconds[0] = 1.0
    assert place.post(STOP_PATH, ONE_CLICK).status_code == 200


def test_the_limit_remembers_only_so_many_addresses() -> None:
    limit = RateLimit(burst=1, known=10, seconds=lambda: 0.0)
    for number in range(1_000):
        assert limit.wait(f"10.0.{number // 250}.{number % 250}") == 0
    assert limit.remembered == 10
    assert limit.wait("10.0.3.249") == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "no address", True),
    ],
)
def test_who_counts_as_one_asker(one: str, other: str, same: bool) -> None:
    limit = RateLimit(burst=1, seconds=lambda: 0.0)
    assert limit.wait(one) == 0
    assert (limit.wait(other) > 0) is same


def test_without_its_database_a_page_asks_to_try_again(tmp_path: Path) -> None:
    lost = Store(f"sqlite:///{tmp_path / 'nowhere' / 'lost.db'}")
    app = FastAPI(openapi_url=None)
    app.include_router(client_routes(ClientParts(lost, Signer([KEY]), lambda: NOW), load_pages()))
    with TestClient(app, base_url=PUBLIC) as http:
        for answer in (http.get(STOP_PATH), http.post(STOP_PATH, content=ONE_CLICK, headers={"Content-Type": FORM})):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
            assert "try again in a few minutes" in answer.text
    lost.close()


def test_from_elsewhere_only_the_clients_pages_are_reached(small_place: Place) -> None:
    assert small_place.http.get("/inbox").status_code == 404
    assert small_place.http.get("/").status_code == 404
    assert small_place.http.get("/inbox").headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert small_place.browser("127.0.0.1").get("/inbox", headers={"Host": "127.0.0.1"}).status_code == 200
    assert small_place.http.get(STOP_PATH).status_code == 200


@contextmanager
def serving(app: FastAPI) -> Iterator[int]:
    """A real server on loopback; its port."""
    port = free_port()
    server = Pages.on(app, "127.0.0.1", port)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        wait_for(lambda: server.started, "the server")
        yield port
    finally:
        server.should_exit = True
        thread.join()


def talk(port: int, *said: bytes) -> bytes:
    """All that a server answers until it closes the line; what it does not want to hear is not forced on it."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        for some in said:
            line.sendall(some)
        answer = b""
        while chunk := line.recv(65536):
            answer += chunk
        return answer


HEAD = f"POST {STOP_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {FORM}\r\n".encode()


def test_a_body_of_10_mb_is_refused_before_it_is_sent(small_place: Place) -> None:
    before = small_place.everything()
    with serving(small_place.app) as port:
        announced = talk(port, HEAD + b"Content-Length: 10000000\r\n\r\n")
        chunked = talk(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"2711\r\n" + b"a" * 10_001 + b"\r\n")
    for answer in (announced, chunked):
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in answer.lower()
    assert small_place.everything() == before


def test_half_a_form_is_no_wish(small_place: Place) -> None:
    before = small_place.everything()
    with serving(small_place.app) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        line.sendall(HEAD + b"Content-Length: 99\r\n\r\n" + ONE_CLICK.encode())
    assert small_place.everything() == before


def test_behind_a_proxy_each_client_has_a_limit_of_its_own(small_store: Store, tmp_path: Path) -> None:
    place = Place(treated(small_store, tmp_path), RateLimit(burst=1, seconds=lambda: 0.0))

    def ask(port: int, address: str) -> bytes:
        ask = f"GET /s/none HTTP/1.0\r\nHost: notes.northgate.org\r\nX-Forwarded-For: {address}\r\n\r\n"
        return talk(port, ask.encode())[:12]

    with serving(place.app) as port:
        assert [ask(port, "198.51.100.1") for _ in range(2)] == [b"HTTP/1.1 404", b"HTTP/1.1 429"]
        assert ask(port, "198.51.100.2") == b"HTTP/1.1 404"
