"""Yesterday's backup comes back after a kill: nothing goes out again by itself, then exactly what is missing goes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.judging import Case, Tally
from tests.support.pg_programs import on_path
from tests.support.processes import relay_process, wait_for

Cases = Callable[..., Case]
Told = Callable[[str, Tally], None]
MAILS, BEFORE_THE_KILL = 500, 200


@pytest.mark.slow
def test_what_went_out_since_the_backup_is_asked_for_and_not_sent_again(
    case_of: Cases, tmp_path: Path, told: Told, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path(monkeypatch)
    file, names = tmp_path / "yesterday.backup", tmp_path / "names.txt"
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.01") as port:
        case = case_of(MAILS, port)
        with case.program as program:
            program.run("backup", str(file))
            sending = program.start("tick", "--until-idle")
            wait_for(lambda: len(case.copies()) >= BEFORE_THE_KILL, "some mails")
            sending.kill()
            case.store.close()
            before = _by_client(case)

            restored = json.loads(program.run("restore", str(file), "--force", "--json"))
            assert restored["uncertain"] == MAILS
            assert program.tick(case.at(1))["sent"] == 0
            names.write_text("\n".join(copy.message_id for copy in case.copies()))
            answered = json.loads(program.run("uncertain", "from-log", str(names), "--yes", "--json"))
            assert (answered["sent"], answered["planned"]) == (len(before), MAILS - len(before))
            assert program.tick(case.at(2))["sent"] == MAILS - len(before)
            assert json.loads(program.run("check", "--json", "--now", case.at(5)))["ok"]
    after = _by_client(case)
    assert set(after) == set(case.due)
    assert set(after.values()) == {1}
    told(f"yesterday's backup restored, {database_url.partition(':')[0]}", Tally(MAILS, len(after), 0, 0, 0))


def _by_client(case: Case) -> Counter[str]:
    """How many copies each address got, by the relay's log."""
    return Counter(copy.address for copy in case.copies())
