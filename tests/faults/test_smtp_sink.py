"""A relay that is not ours takes the mail: Postfix's smtp-sink, and what it wrote down is the evidence."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.bench.sink import smtp_sink
from tests.faults.judging import Case, Tally
from tests.support.processes import wait_for

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]
MAILS = 2000
#: What the sink puts above a message, and the last line of one that came whole.
_ENVELOPE = re.compile(rb"X-Rcpt-Args: <([^>]+)>\n(?:.*\n)*?Received: .*\n(?:\t.*\n)+")
_WHOLE = re.compile(rb"\n--=_[0-9a-f]+--\n*$")


@pytest.fixture
def dump() -> Iterator[Path]:
    """A folder that the sink, who runs as nobody, may write: one file a transaction."""
    folder = Path(mkdtemp(prefix="aftercare-sink-"))
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def write_log(dump: Path, log: Path) -> None:
    """The sink's files as the judge reads a relay's log. One that ends in mid-message was never accepted."""
    with log.open("w", encoding="utf-8") as lines:
        for file in dump.iterdir():
            content = file.read_bytes()
            above = _ENVELOPE.search(content)
            if above is None or not _WHOLE.search(content):
                continue
            data = content[above.end() :].replace(b"\n", b"\r\n")
            row = {
                "at": datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(),
                "rcpt_to": [above[1].decode()],
                "message_id": message_from_bytes(data)["Message-ID"],
                "data": data.decode("latin-1"),
            }
            lines.write(json.dumps(row) + "\n")


@pytest.mark.slow
def test_after_a_kill_the_sink_has_every_mail(
    case_of: Cases, tmp_path: Path, told: Told, dump: Path, database_url: str
) -> None:
    with smtp_sink("-d", f"{dump}/%H.") as port:
        case = case_of(MAILS, port)
        worker = case.program.start("tick", "--until-idle", "--now", case.at())
        wait_for(lambda: len(list(dump.iterdir())) > MAILS // 4, "the first mails")
        worker.kill()
        assert case.states()["planned"], "it was killed when all was done"
        case.let_leases_end()
        case.program.tick(case.at())
        case.program.tick(case.at(31))
    write_log(dump, case.log)
    tally = case.judge()
    assert tally.sent == MAILS
    told(f"kill -9 in the middle of 2,000, smtp-sink, {database_url.partition(':')[0]}", tally)
