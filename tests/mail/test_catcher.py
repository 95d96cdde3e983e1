"""Real conversations with the mail catcher, and what lies in its Maildir afterwards."""

import asyncio
import logging
import mailbox
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from service.mail.catcher import SIZE_LIMIT, Catcher
from service.mail.caught import caught, count_caught, read_caught

MESSAGE = b"From: Care <care@clinic.example>\r\nTo: ann@example.org\r\nSubject: Hi\r\n\r\nHello\r\n.one dot\r\n..\r\n"


class Talk:
    """A bare SMTP client: says bytes, hears whole replies."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, catcher: Catcher) -> "Talk":
        talk = cls(*await asyncio.open_connection(catcher.host, catcher.port))
        assert (await talk.hear()).startswith("220 ")
        assert "250-PIPELINING" in await talk.say(b"EHLO test\r\n")
        return talk

    async def hear(self) -> str:
        lines = []
        while True:
            line = (await self.reader.readline()).decode("ascii").rstrip("\r\n")
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    async def say(self, words: bytes) -> str:
        self.writer.write(words)
        await self.writer.drain()
        return await self.hear()

    async def send(self, message: bytes, to: str = "ann@example.org") -> str:
        assert (await self.say(b"MAIL FROM:<care@clinic.example>\r\n")).startswith("250")
        assert (await self.say(f"RCPT TO:<{to}>\r\n".encode())).startswith("250")
        assert (await self.say(b"DATA\r\n")).startswith("354")
        return await self.say(stuffed(message) + b".\r\n")

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


def stuffed(message: bytes) -> bytes:
    return b"".join(b"." * line.startswith(b".") + line for line in message.splitlines(keepends=True))


def talking(maildir: Path, conversation: Callable[[Talk], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Catcher(maildir) as catcher:
            talk = await Talk.to(catcher)
            await conversation(talk)
            await talk.close()

    asyncio.run(run())


def test_a_message_is_stored_before_the_250_and_its_bytes_are_unchanged(tmp_path: Path) -> None:
    async def conversation(talk: Talk) -> None:
        assert (await talk.send(MESSAGE)).startswith("250 2.0.0")
        [file] = (tmp_path / "new").iterdir()
        trace = b"Return-Path: <care@clinic.example>\r\nDelivered-To: ann@example.org\r\n"
        assert file.read_bytes() == trace + MESSAGE
        assert not list((tmp_path / "tmp").iterdir())

    talking(tmp_path, conversation)


def test_it_is_a_maildir_that_only_its_owner_reads(tmp_path: Path) -> None:
    maildir = tmp_path / "data" / "caught"
    maildir.mkdir(parents=True)
    maildir.chmod(0o755)

    async def conversation(talk: Talk) -> None:
        await talk.send(MESSAGE)
        await talk.send(MESSAGE)

    talking(maildir, conversation)
    for folder in (maildir, *(maildir / name for name in ("tmp", "new", "cur"))):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in (maildir / "new").iterdir()} == {0o600}
    box = mailbox.Maildir(maildir, create=False)
    assert [message["Subject"] for message in box] == ["Hi", "Hi"]
    box.close()


def test_commands_that_come_early_wait_their_turn(tmp_path: Path) -> None:
    envelope = b"MAIL FROM:<care@clinic.example>\r\nRCPT TO:<%s@example.org>\r\nDATA\r\n"

    async def conversation(talk: Talk) -> None:
        said = [await talk.say(envelope % b"one"), await talk.hear(), await talk.hear()]
        said += [await talk.say(MESSAGE + b".\r\n" + envelope % b"two")]
        said += [await talk.hear(), await talk.hear(), await talk.hear()]
        said += [await talk.say(MESSAGE + b".\r\nRSET\r\nDATA\r\nNOOP\r\n")]
        said += [await talk.hear(), await talk.hear(), await talk.hear()]
        codes = [line[:3] for line in said]
        assert codes == ["250", "250", "354", "250", "250", "250", "354", "250", "250", "503", "250"]

    talking(tmp_path, conversation)
    assert [entry.to for entry in caught(tmp_path)] == ["two@example.org", "one@example.org"]


def test_many_conversations_at_once_lose_and_mix_nothing(tmp_path: Path) -> None:
    async def one(catcher: Catcher, number: int) -> None:
        talk = await Talk.to(catcher)
        for turn in range(5):
            words = f"Subject: {number}-{turn}\r\n\r\n{number}-{turn}\r\n"
            assert (await talk.send(words.encode(), f"{number}-{turn}@example.org")).startswith("250")
        await talk.close()

    async def run() -> None:
        async with Catcher(tmp_path) as catcher, asyncio.TaskGroup() as group:
            for number in range(12):
                group.create_task(one(catcher, number))

    asyncio.run(run())
    entries = caught(tmp_path)
    assert len({entry.id for entry in entries}) == count_caught(tmp_path) == 60
    assert {entry.subject for entry in entries} == {f"{a}-{b}" for a in range(12) for b in range(5)}
    for entry in entries:
        assert entry.to == f"{entry.subject}@example.org"
        assert read_caught(tmp_path, entry.id).text == f"{entry.subject}\n"


def test_several_recipients_and_an_empty_sender_are_written_down(tmp_path: Path) -> None:
    async def conversation(talk: Talk) -> None:
        await talk.say(b"MAIL FROM:<>\r\n")
        await talk.say(b"RCPT TO:<a@example.org>\r\n")
        await talk.say(b"RCPT TO:<b@example.org>\r\n")
        await talk.say(b"DATA\r\n")
        await talk.say(MESSAGE + b".\r\n")

    talking(tmp_path, conversation)
    [entry] = caught(tmp_path)
    assert entry.to == "a@example.org, b@example.org"
    source = read_caught(tmp_path, entry.id).source
    assert source.startswith(b"Return-Path: <>\r\nDelivered-To: a@example.org\r\nDelivered-To: b@example.org\r\nFrom:")


def test_a_message_that_is_too_large_is_refused_and_the_conversation_goes_on(tmp_path: Path) -> None:
    line = b"x" * 900 + b"\r\n"

    async def conversation(talk: Talk) -> None:
        assert f"250-SIZE {SIZE_LIMIT}" in await talk.say(b"EHLO test\r\n")
        assert (await talk.send(line * (SIZE_LIMIT // len(line) + 1))).startswith("552")
        assert (await talk.send(MESSAGE)).startswith("250")

    talking(tmp_path, conversation)
    assert count_caught(tmp_path) == 1


def test_a_disk_that_fails_is_temporary_trouble(tmp_path: Path) -> None:
    async def conversation(talk: Talk) -> None:
        (tmp_path / "new").rmdir()
        assert (await talk.send(MESSAGE)).startswith("452 4.3.1")
        assert not list((tmp_path / "tmp").iterdir())
        (tmp_path / "new").mkdir()
        assert (await talk.send(MESSAGE)).startswith("250")

    talking(tmp_path, conversation)


def test_a_bug_of_the_catcher_is_temporary_trouble_and_logged_without_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reply = asyncio.run(Catcher(tmp_path).handle_exception(RuntimeError("about ann@example.org")))
    assert reply.startswith("451 ")
    assert "RuntimeError" in caplog.text
    assert "ann@" not in caplog.text


def test_a_message_cut_off_before_its_end_is_not_stored(tmp_path: Path) -> None:
    async def conversation(talk: Talk) -> None:
        await talk.say(b"MAIL FROM:<care@clinic.example>\r\n")
        await talk.say(b"RCPT TO:<ann@example.org>\r\n")
        await talk.say(b"DATA\r\n")
        talk.writer.write(MESSAGE)

    talking(tmp_path, conversation)
    assert count_caught(tmp_path) == 0


def test_leaving_ends_open_conversations_and_frees_the_port(tmp_path: Path) -> None:
    async def run() -> None:
        async with Catcher(tmp_path) as catcher:
            idle, busy = await Talk.to(catcher), await Talk.to(catcher)
            await busy.say(b"MAIL FROM:<care@clinic.example>\r\n")
        assert await idle.reader.read() == b""
        assert await busy.reader.read() == b""
        await idle.close()
        await busy.close()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection(catcher.host, catcher.port)
        async with Catcher(tmp_path) as again:
            talk = await Talk.to(again)
            assert (await talk.send(MESSAGE)).startswith("250")
            await talk.close()

    asyncio.run(run())


def test_no_address_and_no_word_of_a_message_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def conversation(talk: Talk) -> None:
        await talk.send(MESSAGE)
        await talk.say(b"WRONG ann@example.org\r\n")

    talking(tmp_path, conversation)
    assert "ann@" not in caplog.text
    assert "Hello" not in caplog.text
