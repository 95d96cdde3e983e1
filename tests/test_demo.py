from __future__ import annotations

import asyncio
import email
import email.policy
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from service.demo import proof, running
from service.demo.look import Look, look
from service.demo.page import open_door
from service.demo.running import play, throw_away
from service.demo.scenario import EVENTS

LONDON = ZoneInfo("Europe/London")
FRIDAY = date(2026, 11, 20)
#: The clocks go back on the night after the one, forward on the night after the other.
CLOCK_CHANGES = (date(2026, 10, 24), date(2027, 3, 27))
JOSES = "jose.nunez@example.com"
#: What each client must get in twelve days: greeted name -> (days after the first day, local time, which text).
EXPECTED = {
    "Sam": [(1, "10:00", "day-01"), (3, "10:00", "day-03"), (10, "10:00", "day-10")],
    "Zoë": [(1, "10:00", "day-01"), (3, "10:00", "day-03"), (10, "10:00", "day-10")],
    "Seán": [(1, "10:00", "day-03"), (8, "10:00", "day-10")],
    "Karim": [(1, "10:00", "day-01"), (3, "10:00", "day-03"), (8, "10:00", "day-01"), (10, "10:00", "day-03")],
    "Dwayne": [(1, "10:00", "day-01")],
    "Amara": [(2, "10:00", "day-01"), (6, "09:05", "catch-up"), (11, "10:00", "day-10")],
    "ليلى": [(3, "10:00", "day-01"), (6, "09:05", "day-03")],
    "José": [(6, "10:00", "day-03")],
    "Łukasz": [(6, "13:20", "day-01"), (8, "10:00", "day-03")],
    "Rosa": [(8, "10:00", "day-01"), (10, "10:00", "day-03")],
    "Marco": [(8, "10:00", "day-01"), (10, "10:00", "day-03")],
    "陳美玲": [(9, "10:00", "day-01"), (11, "10:00", "day-03")],
}


@dataclass(frozen=True)
class Played:
    """A demo that was played: what it said, what lies in its Maildir, its rows."""

    start: date
    said: list[str]
    mails: list[EmailMessage]
    maildir: Path
    seen: Look
    texts: dict[str, str]

    def got(self) -> dict[str, list[tuple[int, str, str]]]:
        """Greeted name -> (day of the demo, local time, which text), by the mails alone."""
        found: dict[str, list[tuple[int, str, str]]] = {}
        for mail in self.mails:
            sent = mail["Date"].datetime.astimezone(LONDON)
            line = (sent.date() - self.start).days, f"{sent:%H:%M}", self.texts[str(mail["Subject"])]
            found.setdefault(greeted(mail), []).append(line)
        return {name: sorted(lines) for name, lines in found.items()}

    def told(self, what: str) -> list[str]:
        """The story's lines with these words, unwrapped and without their time."""
        whole = re.sub(r"\n {9}", " ", "\n".join(self.said))
        return [line[9:] for line in whole.splitlines() if what in line]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def greeted(mail: EmailMessage) -> str:
    found = re.search(r"^Dear (.+),$", text_of(mail), re.MULTILINE)
    assert found is not None
    return found.group(1)


def perform(folder: Path, start: date, days: int = 12) -> Played:
    said: list[str] = []
    with throw_away(folder) as service:
        assert asyncio.run(play(service, (start, days), said.append))
        files = sorted((service.maildir / "new").iterdir(), key=lambda file: file.stat().st_mtime_ns)
        mails = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
        texts = {subject(source): name for (_, name, _), source in service.catalogue.sources.items()}
        seen = look(service.store, 1)
    return Played(start, said, mails, service.maildir, seen, texts)


def subject(source: str) -> str:
    found = re.search(r"^subject: (.+)$", source, re.MULTILINE)
    assert found is not None
    return found.group(1).replace("{{ sender_name }}", "Northgate")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    return perform(tmp_path_factory.mktemp("demo"), FRIDAY)


def test_every_client_gets_exactly_the_notes_of_the_story(played: Played) -> None:
    assert played.got() == EXPECTED


@pytest.mark.parametrize("start", CLOCK_CHANGES, ids=str)
def test_the_story_is_the_same_over_a_change_of_the_clocks(start: date, tmp_path: Path) -> None:
    assert perform(tmp_path, start).got() == EXPECTED


def test_a_short_demo_tells_the_first_days_only(tmp_path: Path) -> None:
    short = perform(tmp_path, FRIDAY, days=3)

    assert short.got() == {
        name: [line for line in lines if line[0] < 3] for name, lines in EXPECTED.items() if lines[0][0] < 3
    }
    assert "\nAfter 3 days" in short.said
    assert not short.told("Power cut")


def test_each_mail_goes_to_the_client_it_greets(played: Played) -> None:
    addresses = {
        (greeted(mail), str(mail["Delivered-To"])) for mail in played.mails if str(mail["To"]) == mail["Delivered-To"]
    }

    assert len(addresses) == len(EXPECTED)
    family = {name for name, address in addresses if address == "bellini.family@example.org"}
    assert family == {"Rosa", "Marco"}


def test_all_addresses_are_ones_that_belong_to_nobody(played: Played) -> None:
    domains = {str(mail[header]).rpartition("@")[2].strip(">") for mail in played.mails for header in ("To", "From")}

    assert domains <= {"example.com", "example.net", "example.org", "northgate.example.org"}


def test_no_message_id_is_caught_twice(played: Played) -> None:
    ids = Counter(str(mail["Message-ID"]) for mail in played.mails)

    assert set(ids.values()) == {1}
    assert len(ids) == sum(map(len, EXPECTED.values()))


def test_the_words_are_for_the_day_they_go_out_on_or_say_which_day_they_are_for(played: Played) -> None:
    late = [mail for mail in played.mails if greeted(mail) == "ليلى"][-1]
    catch_up = next(mail for mail in played.mails if played.texts[str(mail["Subject"])] == "catch-up")

    assert "Wednesday 25 November" in text_of(late)  # due on the day before
    assert "This note is for Thursday 26 November" in text_of(catch_up)
    assert "We should have written to you on Tuesday 24 November" in text_of(catch_up)


@pytest.mark.parametrize(
    "sentence",
    [
        "Missed: day 1 note to Seán O'Brien. Registered too late for it.",
        "To call by 15:10: Seán O'Brien, 07700 900104. The day 1 note was missed.",
        "Cancelled: day 3 and day 10 notes to Dwayne Carter. No more are wanted.",
        "Waiting: day 3 note to Amara Okafor. Still no power.",
        "Missed: day 3 note to Amara Okafor. Out of date by now.",
        "To call by 11:05: Amara Okafor, 07700 900106. The day 3 note was missed.",
        "Sent: catch-up note to Amara Okafor, with what is right today",
        "Sent late: day 3 note to ليلى منصور. 23 hours late, still right until Thu 26 Nov, 12:00.",
        "Call not needed any more: José Núñez. The next note has gone out in time.",
        "Replaced: day 1, day 3 and day 10 notes to Łukasz Wiśniewski. Planned anew for the right day.",
        "Replaced: day 10 note to Karim Haddad. The new treatment has notes of its own.",
    ],
)
def test_the_story_says_once_what_happened_and_why(sentence: str, played: Played) -> None:
    assert played.told(sentence) == [sentence]


def test_the_story_tells_each_caught_mail_in_a_line(played: Played) -> None:
    assert len(played.told("  Sent")) == len(played.mails) + 1  # and the summary's line


def test_the_summary_counts_what_the_mails_show(played: Played) -> None:
    summary = " ".join(" ".join(played.said[played.said.index("\nAfter 12 days") :]).split())

    assert f"Sent: {len(played.mails)} (of these 2 late but still right, 1 catch-up)" in summary
    assert "Missed: 3 " in summary
    assert "Replaced: 4 " in summary
    assert "Calls: 4 (2 made, 2 not needed any more, 0 to make)" in summary
    assert "no client got a note twice, none got one out of date." in summary


def test_the_story_is_plain_text_of_eighty_columns(played: Played) -> None:
    lines = "\n".join(played.said).splitlines()

    assert max(map(len, lines)) <= 80
    assert all(line.isprintable() for line in lines)
    assert all(re.match(r"  \d\d:\d\d  [A-Z]| {9}\S", line) for line in lines[3:-10] if line.startswith(" "))


def test_the_scenario_is_in_order_and_staff_act_only_while_the_clinic_is_open() -> None:
    moments = [(event.day, event.at) for event in EVENTS]

    assert moments == sorted(set(moments))
    assert all("10:10" <= event.at <= "13:50" for event in EVENTS if not type(event.what).__name__.startswith("Power"))


def test_the_proof_finds_nothing_wrong_with_the_demo(played: Played) -> None:
    assert list(proof.faults(proof.read_all(played.maildir), played.seen)) == []


def test_the_proof_finds_a_mail_that_was_caught_twice(played: Played, tmp_path: Path) -> None:
    shutil.copytree(played.maildir, tmp_path / "caught")
    first = next((tmp_path / "caught" / "new").iterdir())
    shutil.copy(first, first.with_name("again.caught"))

    assert list(proof.faults(proof.read_all(tmp_path / "caught"), played.seen)) == ["one note was caught 2 times"]


def test_the_proof_finds_a_mail_that_got_lost(played: Played) -> None:
    mails = proof.read_all(played.maildir)

    assert list(proof.faults(mails[1:], played.seen)) == ["a note counts as sent and was not caught"]


def test_the_proof_finds_a_mail_that_nobody_sent(played: Played) -> None:
    mails = proof.read_all(played.maildir)
    stranger = replace(mails[0], message_id="<x@example.org>")

    assert list(proof.faults([*mails, stranger], played.seen)) == ["a caught mail does not count as sent"]


@pytest.mark.parametrize("wrongly", ["2026-11-26 09:59", "2026-11-27 12:00"])
def test_the_proof_finds_a_mail_out_of_its_time(wrongly: str, played: Played) -> None:
    dated = datetime.fromisoformat(wrongly).replace(tzinfo=LONDON)
    mails = [replace(mail, dated=dated) if mail.to == JOSES else mail for mail in proof.read_all(played.maildir)]

    assert list(proof.faults(mails, played.seen)) == ["day-03 went out before or after its time"]


def test_the_proof_finds_a_mail_to_somebody_else(played: Played) -> None:
    caught = proof.read_all(played.maildir)
    mails = [replace(mail, to="other@example.org") if mail.to == JOSES else mail for mail in caught]

    assert list(proof.faults(mails, played.seen)) == ["day-03 went to another address"]


def test_the_proof_finds_a_missed_note_without_a_call(played: Played) -> None:
    calls = {call.id: call for call in played.seen.calls.values() if call.client != "Amara Okafor"}
    found = proof.faults(proof.read_all(played.maildir), Look(played.seen.notes, calls))

    assert list(found) == ["day-03 was missed and nobody is asked to call"]


@dataclass(frozen=True)
class Command:
    """`aftercare demo` as its own process, with every folder it could write to empty and its own."""

    folder: Path
    environment: dict[str, str]

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-X", "utf8", "-m", "service", "demo", *options],
            cwd=self.folder / "work",
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def left_behind(self) -> list[str]:
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    folders = {name: tmp_path / name for name in ("work", "home", "tmp", "data")}
    for folder in folders.values():
        folder.mkdir()
    return Command(
        tmp_path,
        os.environ
        | {"PYTHONPATH": str(Path.cwd()), "PYTHONDONTWRITEBYTECODE": "1"}
        | {"HOME": str(folders["home"]), "TMPDIR": str(folders["tmp"]), "AFTERCARE_DATA_DIR": str(folders["data"])},
    )


@pytest.fixture
def foreign_relay() -> Iterator[socket.socket]:
    """A port that must never be called."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.setblocking(False)
        yield listening


def test_the_command_ignores_the_environment_and_leaves_nothing_behind(
    command: Command, foreign_relay: socket.socket
) -> None:
    command.environment.update(
        AFTERCARE_MODE="live",
        AFTERCARE_RELAY_HOST="127.0.0.1",
        AFTERCARE_RELAY_PORT=str(foreign_relay.getsockname()[1]),
        AFTERCARE_RELAY_TLS="none",
        AFTERCARE_TRIAL_ALLOW="example.com",
        AFTERCARE_NO_SUCH_SETTING="1",
    )
    (command.folder / "work" / "aftercare.toml").write_text('relay_host = "127.0.0.1"\nwrong = 1\n', "utf-8")

    process = command.start("--no-serve", "--days", "3")
    said, trouble = process.communicate(timeout=60)

    assert (process.returncode, trouble) == (0, "")
    assert "Sent: day 1 note to Sam Reed" in said
    with pytest.raises(BlockingIOError):
        foreign_relay.accept()
    assert command.left_behind() == ["work/aftercare.toml"]
    assert list((command.folder / "tmp").iterdir()) == []


def test_the_story_leads_up_to_now(command: Command) -> None:
    process = command.start("--no-serve", "--days", "1")
    before = datetime.now(LONDON).date()
    said, _ = process.communicate(timeout=60)
    after = datetime.now(LONDON).date()

    headings = re.findall(r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) .*$", said, re.MULTILINE)
    yesterdays = [day - timedelta(days=1) for day in (before, after)]
    assert headings[0] in {f"{day:%a} {day.day} {day:%b}" for day in yesterdays}


def test_the_inbox_is_served_until_ctrl_c_and_then_everything_is_gone(command: Command) -> None:
    with open_door(0) as door:
        port = door.getsockname()[1]
    process = command.start("--days", "2", "--port", str(port))
    assert process.stdout is not None
    address = next(line for line in process.stdout if line.startswith("Look at the mails: ")).split(": ", 1)[1].strip()
    with urllib.request.urlopen(address, timeout=30) as answer:
        inbox = answer.read().decode("utf-8")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)

    assert address == f"http://127.0.0.1:{port}/inbox"
    assert "dwayne.carter@example.org" in inbox
    assert process.returncode == 0
    assert list((command.folder / "tmp").iterdir()) == []


def test_ending_it_in_the_middle_of_the_story_leaves_nothing_behind(command: Command) -> None:
    process = command.start("--no-serve")
    assert process.stdout is not None
    next(line for line in process.stdout if "Registered" in line)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "After 12 days" not in said
    assert list((command.folder / "tmp").iterdir()) == []


def test_a_taken_port_is_said_before_the_story_with_one_that_is_free(command: Command) -> None:
    with open_door(0) as taken:
        port = taken.getsockname()[1]
        process = command.start("--port", str(port))
        said, trouble = process.communicate(timeout=30)

        assert (process.returncode, said) == (1, "")
        assert f"port {port} of this machine cannot be used: Address already in use" in trouble
        offered = re.search(r"aftercare demo --port (\d+)", trouble)
        assert offered is not None
        open_door(int(offered.group(1))).close()


def test_letters_that_the_terminal_cannot_show_do_not_stop_the_story(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, "ascii"))

    running._say("Sent: day 1 note to Zoë Lindqvist")

    assert shown.getvalue() == b"Sent: day 1 note to Zo? Lindqvist\n"
