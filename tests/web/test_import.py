"""A table of clients comes in by the desk: looked at first, imported once, each wrong row in its place."""

from __future__ import annotations

import csv
import html
import io
import re

import pytest
import sqlalchemy as sa

from service.store.tables import Role, audit, emails, uploads
from service.store.tables import clients as people
from tests.support.desk import Browser, signed_in
from tests.support.world import World, another_clinic, at

NOON = "2026-11-21 12:00"
HEADER = "Name,E-mail,Treatment,Treatment date,Notes\n"
GOOD = (
    HEADER + "Sam Reed,sam@example.com,Scalp tattoo,2026-11-20,tea\nLou Day,lou@example.com,Scalp tattoo,2026-11-10,\n"
)
BAD = GOOD + "Kim,no address,Unknown,2026-11-20,=1+1\n"


def upload(browser: Browser, content: str | bytes = GOOD, **fields: str) -> str:
    """The path of the page on which the file is looked at; "" if it was refused."""
    browser.get("/import")
    data = content if isinstance(content, bytes) else content.encode()
    answer = browser.post("/import", fields, files={"file": ("clients.csv", data, "text/csv")})
    return str(answer.headers.get("location", ""))


def words(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page.partition("<main")[2])).split())


def names(world: World) -> list[str]:
    with world.store.read() as connection:
        return list(connection.execute(sa.select(people.c.name).order_by(people.c.id)).scalars())


def test_nothing_is_written_before_somebody_says_so(world: World) -> None:
    with signed_in(world, now=NOON) as browser:
        path = upload(browser, BAD)
        page = browser.get(path).text
        told = words(page)
        assert "Nothing is imported yet" in told
        assert "To import 2 Known already 0 Rejected 1 E-mails that go out at once 2 E-mails already too late 2" in told
        assert "Import these 2" in told
        assert "Stored as UTF-8, its columns separated by commas, 3 rows without the first line." in told
        assert "Treatment date day of the treatment 2026-11-20 · 2026-11-10" in told
        assert "Notes not used tea · =1+1" in told
        assert "4 e-mail The e-mail address has no @" in told
        assert "4 treatment 'Unknown' is no treatment known here." in told
        assert names(world) == []
        done = words(browser.after(browser.post(path, {"step": "save"})))
    assert "2 rows imported" in done
    assert names(world) == ["Sam Reed", "Lou Day"]
    assert len(world.rows()) == 6


def test_importing_twice_adds_nothing(world: World) -> None:
    with signed_in(world, now=NOON) as browser:
        path = upload(browser)
        for _ in range(2):
            assert "2 rows imported" in browser.after(browser.post(path, {"step": "save"}))
        again = words(browser.get(upload(browser)).text)
        assert "Known already 2" in again
        assert "Nothing in this file is new." in again
    assert len(world.rows()) == 6
    with world.store.read() as connection:
        lines = connection.execute(sa.select(audit.c.actor).where(audit.c.action == "file imported")).scalars()
        assert list(lines) == ["reception1@northgate-clinic.org"]


def test_days_that_may_be_two_are_asked_about_before_anything_else(world: World) -> None:
    content = HEADER + "Sam Reed,sam@example.com,Scalp tattoo,03/04/2026,\n"
    with signed_in(world, now=NOON) as browser:
        path = upload(browser, content)
        page = words(browser.get(path).text)
        assert "In which order are the dates written?" in page
        assert "Day, month, year: 03/04/2026 is Fri 3 Apr 2026" in page
        assert "Month, day, year: 03/04/2026 is Wed 4 Mar 2026" in page
        assert "Import th" not in page
        unsaid = browser.post(path, {"step": "again"})
        assert unsaid.status_code == 400
        assert "Say which order the dates are in." in unsaid.text
        assert "Import this 1" in words(browser.after(browser.post(path, {"step": "again", "date_order": "dmy"})))
        browser.post(path, {"step": "save"})
    with world.store.read() as connection:
        assert str(connection.execute(sa.text("SELECT treated_on FROM treatments")).scalar_one()) == "2026-04-03"


def test_rows_that_were_not_taken_can_be_had_as_a_file_that_runs_nothing(world: World) -> None:
    with signed_in(world, now=NOON) as browser:
        path = upload(browser, BAD)
        browser.post(path, {"step": "save"})
        answer = browser.get(f"{path}/rejected")
        assert upload(browser) != path
        assert browser.get(f"{upload(browser)}/rejected").status_code == 404
    assert answer.headers["content-disposition"] == 'attachment; filename="rows-to-mend.csv"'
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))
    assert [row[0] for row in rows] == ["row", "4"]
    assert rows[1][2:] == ["Kim", "no address", "Unknown", "2026-11-20", "'=1+1"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Choose a file first."),
        (b"\xef\xbb\xbf\r\n", "The file is empty."),
        (b"PK\x03\x04 a spreadsheet", "This is a spreadsheet or zip file, not a CSV file."),
        (b"a,b,c\n1,2,3\n", "The first line does not name the columns."),
        (b"name,email\nSam,sam@example.com\n", "The header lacks treatment, treatment_date."),
        (b"name,email,treatment,treatment_date\nJos\xe9,j@example.com,x,2026-11-20\n", "Line 2 is not utf-8"),
        (b"\x00\x01\x02\x03" * 50, "This is a binary file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(world: World, content: bytes, said: str) -> None:
    with signed_in(world, now=NOON) as browser:
        browser.get("/import")
        answer = browser.post("/import", files={"file": ("clients.csv", content, "text/csv")})
    assert answer.status_code == 400
    assert said in words(answer.text)
    with world.store.read() as connection:
        assert connection.execute(sa.select(uploads.c.id)).first() is None


def test_letters_and_treatment_may_be_said_beside_the_file(world: World) -> None:
    content = "name;email;treatment_date\nJosé;jose@example.com;2026-11-20\n".encode("windows-1252")
    with signed_in(world, now=NOON) as browser:
        path = upload(browser, content, encoding="windows-1252", protocol="scalp-tattoo")
        browser.post(path, {"step": "save"})
    assert names(world) == ["José"]
    assert {row.protocol for row in world.rows(emails.c.state == "planned")} == {"scalp-tattoo"}


def test_a_file_that_is_too_large_is_not_even_read(world: World) -> None:
    with signed_in(world, now=NOON) as browser:
        browser.get("/import")
        big = {"file": ("clients.csv", b"a" * 10_700_000, "text/csv")}
        assert browser.post("/import", files=big).status_code == 413
        # Within what a body may have, and yet more than a file may.
        large = browser.post("/import", files={"file": ("clients.csv", b"a" * (10 * 2**20 + 1), "text/csv")})
    assert (large.status_code, "larger than 10 MB" in large.text) == (400, True)


def test_a_file_that_never_ends_is_cut_off(world: World) -> None:
    with signed_in(world, now=NOON) as browser:
        browser.get("/import")
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="clients.csv"\r\n\r\n'
        pieces = iter([head, *[b"a" * 1_000_000] * 12])
        kind = {"content-type": "multipart/form-data; boundary=x", "x-csrf": browser.csrf}
        assert browser.http.post("/import", content=pieces, headers=kind).status_code == 413


def test_a_file_can_be_thrown_away_and_is_gone_after_an_hour(world: World) -> None:
    with signed_in(world, now=NOON) as browser:
        path, other = upload(browser), upload(browser)
        assert "thrown away" in browser.after(browser.post(path, {"step": "drop"}))
        assert browser.get(path).status_code == 404
        assert browser.get(other).status_code == 200
    with world.store.write() as connection:
        connection.execute(sa.update(uploads).values(until=at(NOON)))
    with signed_in(world, Role.OWNER, now=NOON) as browser:
        assert browser.get(other).status_code == 404
    assert names(world) == []


def test_nobody_else_sees_what_somebody_uploaded(world: World) -> None:
    with signed_in(world, now=NOON) as browser:
        path = upload(browser, BAD)
    southgate = another_clinic(world, name="Southgate")
    for somewhere, role in ((world, Role.OWNER), (southgate, Role.RECEPTION)):
        with signed_in(somewhere, role, now=NOON) as browser:
            browser.get("/import")
            assert browser.get(path).status_code == 404
            assert browser.get(f"{path}/rejected").status_code == 404
            for step in ("save", "again"):
                assert browser.post(path, {"step": step, "date_order": "dmy"}).status_code == 404
            browser.post(path, {"step": "drop"})
    with world.store.read() as connection:
        assert connection.execute(sa.select(uploads.c.file)).scalar_one() == BAD.encode()
    assert names(world) == []


def test_what_stands_in_a_file_is_shown_as_text(world: World) -> None:
    content = (
        HEADER.replace("Notes", "<script>x</script>") + '"<b>Sam</b>",sam@,Scalp tattoo,<i>,"=cmd|\' /C calc\'!A0"\n'
    )
    with signed_in(world, now=NOON) as browser:
        page = browser.get(upload(browser, content)).text
    for tag in ("<script>x", "<b>Sam", "<i>"):
        assert tag not in page
    assert "&lt;b&gt;Sam&lt;/b&gt;" in page


def test_an_import_under_way_says_so_and_looks_again(world: World) -> None:
    with signed_in(world, now=NOON) as browser:
        path = upload(browser)
        with world.store.write() as connection:
            connection.execute(sa.update(uploads).values(begun_at=at(NOON)))
        page = browser.get(path).text
        assert "Being imported" in page
        assert 'hx-trigger="every 2s"' in page
        browser.post(path, {"step": "save"})
        assert names(world) == []
        with world.store.write() as connection:
            connection.execute(sa.update(uploads).values(begun_at=at("2026-11-21 11:50")))
        assert "was interrupted" in browser.get(path).text
        browser.post(path, {"step": "save"})
    assert len(names(world)) == 2


def test_ops_import_nobody(world: World) -> None:
    with signed_in(world, Role.OPS, now=NOON) as browser:
        assert browser.get("/import").status_code == 403
