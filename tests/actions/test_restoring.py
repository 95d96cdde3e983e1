from __future__ import annotations

import fcntl
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from service.actions import backing_up, restoring, uncertain
from service.actions.backing_up import Installation
from service.actions.revise import Who
from service.actions.uncertain import Answers
from service.errors import NotAllowed
from service.mail.signing import Signer, load_or_make_key
from service.store.engine import Store
from tests.faults.judging import make_case
from tests.support.pg_programs import on_path
from tests.support.processes import relay_process, wait_for
from tests.support.world import at, make_world

NOW = at("2026-11-20 16:00")


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    on_path(monkeypatch)


def house(store: Store, folder: Path, key: str | None = None) -> Installation:
    folder.mkdir(exist_ok=True)
    file = folder / "secret.key"
    return Installation(store, folder, key, file, lambda: Signer(load_or_make_key(file)))


def test_what_a_killed_backup_left_is_cleared_away(store: Store, tmp_path: Path) -> None:
    make_world(store, tmp_path)
    mine = house(store, tmp_path / "data")
    (tmp_path / "data" / ".backup").mkdir()
    (tmp_path / "data" / ".backup" / "copy.db").write_bytes(b"half a copy")
    (tmp_path / ".b.partial").write_bytes(b"half a backup")
    backing_up.back_up(mine, tmp_path / "b", NOW, force=False)
    assert backing_up.check(mine, tmp_path / "b", NOW).contents.clients == 0
    assert not list(tmp_path.rglob(".b.partial"))
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [".backup.lock", "secret.key"]


def test_two_backups_at_once_do_not_take_each_others_copy(store: Store, tmp_path: Path) -> None:
    make_world(store, tmp_path)
    mine = house(store, tmp_path / "data")
    with (tmp_path / "data" / ".backup.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(NotAllowed, match="another backup"):
            backing_up.back_up(mine, tmp_path / "b", NOW, force=False)
    assert not (tmp_path / "b").exists()


@pytest.mark.slow
def test_a_backup_made_while_a_worker_sends_restores_to_exactly_one_copy_of_each(
    database_url: str, tmp_path: Path
) -> None:
    """Backups all along; the worker is not slowed to a stop, and one of them from the middle is whole and restorable."""
    with relay_process(tmp_path / "relay.jsonl", "--delay-dot", "0.02") as port:
        case = make_case(database_url, tmp_path, 1500, port)
        mine = house(Store(database_url), tmp_path / "data", "a long key that nobody guesses")
        with case.program:
            worker = case.program.start("worker")
            wait_for(lambda: len(case.copies()) > 50, "a worker that sends")
            made = [backing_up.back_up(mine, tmp_path / f"{n}.backup", case.now, force=False) for n in range(3)]
            at_the_copy = len(case.copies())
            wait_for(lambda: len(case.copies()) > at_the_copy + 100, "a worker that goes on")
            worker.stop()
            sent = Counter(copy.address for copy in case.copies())
            assert 150 < len(sent) < 1500, "it is to be stopped in the middle"
            assert {one.contents.clients for one in made} == {1500}

            case.store.close()
            who = Who("test", case.now + timedelta(minutes=1))
            mine.store.close()
            done = restoring.restore(mine, tmp_path / "1.backup", who, force=True)
            assert done.key_fits
            held = done.backup.contents.uncertain
            assert held > 1500 - at_the_copy
            case.program.tick(case.at(1))
            assert Counter(copy.address for copy in case.copies()) == sent

            log = uncertain.read_log((tmp_path / "relay.jsonl").read_text().splitlines())
            with mine.store.read() as connection:
                found = uncertain.compare(connection, mine.signer(), log)
            assert len(found.sent) + len(found.absent) == held
            with mine.store.write() as connection:
                uncertain.answer(connection, mine.signer(), Answers(found.sent, found.absent), 1, who)
            case.program.tick(case.at(2))
            assert Counter(copy.address for copy in case.copies()) == dict.fromkeys(case.due, 1)
            assert case.judge().sent == 1500
        case.store.close()
        mine.store.close()
