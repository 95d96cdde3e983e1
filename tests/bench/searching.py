"""How long the desk waits for an answer to what it types, with a million clients."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from typing import Any

import sqlalchemy as sa

from service.domain.finding import found_by, read_sought
from service.domain.persons import fold_name
from service.store import bulk, client_words, search
from service.store.engine import Instant, Store
from service.store.tables import clients
from tests.bench.figures import heading, p50_p95
from tests.bench.stock import AREA, PROTOCOL, Databases, fill

CHUNK = 5000
ASKED = 15
_NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
#: The newest day of treatment; 400 are treated on each day.
LAST_DAY = date(2026, 11, 20)
A_DAY = 400
_FIRST = "Sam Zoë Ana Jürgen Priya Søren María Oluwaseun Anne-Marie Łukasz Ólafur Chloé Rees Sara Reece Saoirse".split()  # noqa: SIM905
_LAST = "Lee Okafor O'Neill Reed García Müller Sato Nguyễn Kowalska Smith Sánchez Reeve Salah Иванова 王小明 Παπαδοπούλου".split()  # noqa: SIM905
_SYLLABLES = [
    "ba",
    "be",
    "bo",
    "da",
    "de",
    "do",
    "fa",
    "ga",
    "ha",
    "ka",
    "ki",
    "la",
    "le",
    "li",
    "lo",
    "ma",
    "me",
    "mi",
    "mo",
    "na",
    "ne",
    "no",
    "pa",
    "ra",
    "re",
    "ri",
    "ro",
    "sa",
    "se",
    "so",
    "ta",
    "te",
    "to",
    "va",
    "za",
]

#: What is typed, from one letter to a whole number; the words are those of the most frequent names and of rare ones.
QUERIES = (
    "s",
    "sa",
    "sam",
    "ree sa",
    "sam reed",
    "sa re le",
    "s r",
    "zoe okaf",
    "kalimo",
    "小明",
    "ива",
    "xyzzy",
    "xyzzy sa",
    "client7",
    "client123456@example.com",
    "01632",
    "01632 960 123",
    "+44 1632 999999",
    "9601",
    "2026-11-20",
    "20.11.",
)


def searching(databases: Databases, kind: str, number: int) -> None:
    """For each query p50 and p95 of whole answers: reading, finding, and the lines that are shown."""
    with databases.fresh(kind) as database:
        store = Store(database.url)
        began = time.perf_counter()
        _fill(store, number)
        heading(f"Search, {kind}, {number:,} clients (filled in {time.perf_counter() - began:,.0f} s)")
        print("  " + "typed".ljust(28) + "p50 ms".rjust(10) + "p95 ms".rjust(10) + "shown".rjust(8))
        worst = 0.0
        for typed in QUERIES:
            spent, shown = _asked(store, typed)
            middle, slow = p50_p95(spent)
            worst = max(worst, slow)
            print(f"  {typed:28}{middle:10.1f}{slow:10.1f}{shown:8}", flush=True)
        print(f"  the slowest p95: {worst:.0f} ms", flush=True)
        store.close()


def _asked(store: Store, typed: str) -> tuple[list[float], str]:
    """Seconds of each answer, and how many people the last one shows; the first counts, too."""
    now, spent, found = datetime.combine(LAST_DAY, datetime.min.time(), UTC), [], search.Found([])
    for _ in range(ASKED):
        began = time.perf_counter()
        with store.read() as connection:
            found = search.find(connection, 1, read_sought(typed, LAST_DAY), now)
        spent.append(time.perf_counter() - began)
    return spent, f"{len(found.people)}{'+' if found.more else ''}"


def _fill(store: Store, number: int) -> None:
    """So many clients with words, a treatment each, and an e-mail each that went out; the newest wait for one more."""
    fill(store, _NOW, due=0, future=0)
    for rows in _people(number):
        with store.write() as connection:
            bulk.insert(connection, clients, rows)
            words = [(1, word, row["id"]) for row in rows for word in row["found_by"].split()]
            client_words.add(connection, words)
    with store.write() as connection:
        _hang_on(connection, number)
    if not store.is_sqlite:
        engine = sa.create_engine(store.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))  # as its autovacuum would soon
        engine.dispose()


def _people(number: int) -> Iterator[list[dict[str, Any]]]:
    """Made-up clients: a tenth have one of sixteen first names, as many one of sixteen last names, and so on down."""
    dice = random.Random(1)
    (firsts, often), (lasts, how_often) = _names(dice, _FIRST, 3000), _names(dice, _LAST, 30_000)
    for start in range(0, number, CHUNK):
        size = min(CHUNK, number - start)
        names = zip(
            dice.choices(firsts, cum_weights=often, k=size),
            dice.choices(lasts, cum_weights=how_often, k=size),
            strict=True,
        )
        yield [_client(client_id, f"{first} {last}") for client_id, (first, last) in enumerate(names, start + 1)]


def _client(client_id: int, name: str) -> dict[str, Any]:
    phone, email = f"01632 {client_id:06}", f"client{client_id}@example.com"
    return {
        "id": client_id,
        "clinic_id": 1,
        "name": name,
        "name_folded": fold_name(name),
        "email": email,
        "email_folded": email,
        "phone": phone,
        "language": "en",
        "client_ref": "",
        "consent_on": LAST_DAY,
        "consent_by": "bench",
        "created_at": _NOW,
        "found_by": client_words.line(found_by(name, phone)),
    }


def _names(dice: random.Random, common: list[str], rare: int) -> tuple[list[str], list[float]]:
    """Names and their summed weights, each name rarer than the one before."""
    made = ["".join(dice.choices(_SYLLABLES, k=dice.randint(2, 4))).capitalize() for _ in range(rare)]
    names = common + made
    return names, list(accumulate(1 / (10 + place) for place in range(len(names))))


def _hang_on(connection: sa.Connection, number: int) -> None:
    sent = {"due": datetime.combine(LAST_DAY, datetime.min.time(), UTC), "now": _NOW}
    typed = [sa.bindparam("due", type_=Instant()), sa.bindparam("now", type_=Instant())]
    for first in range(1, number + 1, A_DAY):
        on = LAST_DAY - timedelta(days=(first // A_DAY) % 2500)
        connection.execute(
            sa.text(
                "INSERT INTO treatments (id, clinic_id, client_id, protocol, area, treated_on, created_at, created_by)"
                f" SELECT id, 1, id, '{PROTOCOL}', '{AREA}', :on, :now, 'bench' FROM clients WHERE id BETWEEN :a AND :b"
            ).bindparams(sa.bindparam("on", type_=sa.Date()), typed[1]),
            {"on": on, "now": sent["now"], "a": first, "b": first + A_DAY - 1},
        )
    for step, state in (("day-01", "sent"), ("day-10", "planned")):
        until = sent["due"] + timedelta(days=300)
        connection.execute(
            sa.text(
                "INSERT INTO emails (clinic_id, client_id, treatment_id, kind, protocol, step, day, language, state,"
                " due_at, useful_until, not_before, planned_at, sent_at, ended_at)"
                f" SELECT 1, id, id, 'reminder', '{PROTOCOL}', :step, 1, 'en', :state, :due, :until, :due, :now,"
                " :sent, :sent FROM clients WHERE :state = 'sent' OR id % 10 = 0"
            ).bindparams(*typed, sa.bindparam("until", type_=Instant()), sa.bindparam("sent", type_=Instant()),
                         sa.bindparam("state", type_=sa.String())),
            {**sent, "step": step, "state": state, "until": until, "sent": sent["due"] if state == "sent" else None},
        )  # fmt: skip
