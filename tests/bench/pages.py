"""The desk's pages under load: percentiles for each page while a worker sends, with a large table behind them."""

from __future__ import annotations

import http.client
import subprocess
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

import sqlalchemy as sa

from service.actions import clinic_setup, sign_in
from service.actions.revise import Who
from service.domain.finding import found_by
from service.store import client_words, clinics
from service.store.engine import Store
from service.store.tables import clients as people
from tests.bench.figures import heading
from tests.bench.process import PYTHON, Failed, clean_environment
from tests.bench.sink import HOST, smtp_sink
from tests.bench.stock import Database, Databases, fill
from tests.support.processes import free_port

PASSWORD = "violet anchor biscuit moon"
AT_ONCE = 4
CHUNK = 5000
PATHS = (
    "/",
    "/clients",
    "/clients?q=okaf",
    "/clients?q=sam+le",
    "/clients?q=client5",
    "/clients/7777",
    "/clients/new",
    "/calls",
    "/outbox?show=wrong",
    "/outbox?show=waiting",
    "/outbox?show=sent",
    "/outbox?show=all",
    "/forecast",
    "/texts",
    "/texts/1",
    "/settings",
    "/audit",
)


def pages(databases: Databases, kind: str, clients: int, requests: int) -> None:
    """`requests` for each page by AT_ONCE people at once; the worker sends into smtp-sink meanwhile."""
    heading(f"Pages, {kind}, {clients:,} clients, {3 * clients:,} e-mails, {AT_ONCE} people at once, a worker sending")
    with databases.fresh(kind) as database, smtp_sink() as port:
        store = Store(database.url)
        now = datetime.now(UTC)
        # As many as a worker sends while the pages are asked.
        fill(store, now, due=min(60_000, clients // 10), future=3 * clients)
        _findable(store)
        email = _owner(store, now)
        store.close()
        with _serving(database, port) as at:
            cookie = _signed_in(at, email)
            print(f"  {'page':<24}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'bytes':>9}")
            for path in PATHS:
                _line(path, *_asked(at, path, cookie, requests))
            store = Store(database.url)
            with store.read() as connection:
                left = connection.exec_driver_sql(
                    "SELECT count(*) FROM emails WHERE state IN ('planned', 'claimed', 'sending')"
                ).scalar_one()
            store.close()
            print(f"  the worker had {left - 3 * clients:,} of the due e-mails left at the end", flush=True)


def _findable(store: Store) -> None:
    """The words that clients are found by: the bulk fill leaves them out."""
    last = 0
    while True:
        with store.write() as connection:
            query = sa.select(people.c.id, people.c.clinic_id, people.c.name).where(people.c.id > last)
            rows = connection.execute(query.order_by(people.c.id).limit(CHUNK)).all()
            words = [(row.clinic_id, word, row.id) for row in rows for word in found_by(row.name, "")]
            client_words.add(connection, words)
            lines = [{"b_id": row.id, "line": client_words.line(found_by(row.name, ""))} for row in rows]
            if lines:
                change = sa.update(people).where(people.c.id == sa.bindparam("b_id"))
                connection.execute(change.values(found_by=sa.bindparam("line")), lines)
        if len(rows) < CHUNK:
            return
        last = rows[-1].id


def _owner(store: Store, now: datetime) -> str:
    """The address of an owner who may sign in."""
    with store.write() as connection:
        clinic = clinics.every(connection)[0]
        who = Who("bench", now)
        given = {"email": "owner@northgate.example.com", "name": "Owner", "role": "owner"}
        staff_id = clinic_setup.add_staff(connection, clinic, given, who)
        token = sign_in.make_link(connection, clinic.id, staff_id, who)
    sign_in.choose_password(store, token, PASSWORD, now)
    return given["email"]


@contextmanager
def _serving(database: Database, relay: int) -> Iterator[int]:
    """`aftercare serve` on a port of loopback, until the block ends."""
    port = free_port()
    environment = clean_environment(
        data_dir=str(database.folder),
        database_url=database.url,
        bind=f"{HOST}:{port}",
        relay_host=HOST,
        relay_port=str(relay),
        relay_tls="none",
        trial_allow="example.com",
    )
    log = Path(database.folder) / "serve.log"
    with log.open("wb") as told:
        process = subprocess.Popen([PYTHON, "-m", "service", "serve"], env=environment, stdout=told, stderr=told)
    try:
        _wait(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait(60)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            connection = http.client.HTTPConnection(HOST, port, timeout=5)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise Failed(f"serve did not start: {log.read_text()[-2000:]}")


def _signed_in(port: int, email: str) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    body = urllib.parse.urlencode({"email": email, "password": PASSWORD, "then": "/"})
    connection.request("POST", "/login", body, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    answer.read()
    cookie = answer.getheader("set-cookie")
    if answer.status != 303 or cookie is None:
        raise Failed(f"nobody could sign in: {answer.status}")
    return cookie.partition(";")[0]


def _asked(port: int, path: str, cookie: str, requests: int) -> tuple[list[float], int]:
    """Seconds of each request, and the size of a page."""

    def one_person(_: int) -> tuple[list[float], int]:
        connection, took, size = http.client.HTTPConnection(HOST, port, timeout=120), [], 0
        for _ in range(requests // AT_ONCE):
            began = time.perf_counter()
            connection.request("GET", path, headers={"Cookie": cookie})
            answer = connection.getresponse()
            size = len(answer.read())
            took.append(time.perf_counter() - began)
            if answer.status != 200:
                raise Failed(f"{path} answered {answer.status}")
        connection.close()
        return took, size

    with ThreadPoolExecutor(AT_ONCE) as together:
        found = list(together.map(one_person, range(AT_ONCE)))
    return [one for took, _ in found for one in took], found[0][1]


def _line(path: str, took: Sequence[float], size: int) -> None:
    cuts = quantiles(took, n=100, method="inclusive")
    p50, p95, p99 = (cuts[at - 1] * 1000 for at in (50, 95, 99))
    print(f"  {path:<24}{p50:9.1f}{p95:9.1f}{p99:9.1f}{size:9,}", flush=True)
