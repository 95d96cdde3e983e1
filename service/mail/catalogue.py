"""Finds and reads templates/email: protocols, sources, notices, frames and languages.

Only reads and parses; what of it is approved, and for which clinic, is the database's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.domain.letter import LetterKind
from service.domain.protocol import FollowUpProtocol
from service.domain.protocol_file import read_protocol
from service.errors import BadConfiguration, BadText
from service.mail.texts import HTML_FRAME, TEXT_FRAME, CompiledText, Frames, compile_text
from service.mail.words import Language, read_language

_SERVICE = Path(__file__).resolve().parent.parent
_SOURCE_NAME = re.compile(r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)\.(?P<language>[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*)\.md\Z")
_NOT_PROTOCOLS = frozenset({"notices", "languages"})


def templates_root(service: Path = _SERVICE) -> Path:
    """The folder of e-mail words: inside an installed package, else beside it in the source tree."""
    for root in (service / "_templates" / "email", service.parent / "templates" / "email"):
        if (root / HTML_FRAME).is_file():
            return root
    fix = "Install the package again; its wheel carries them."
    raise BadConfiguration("the e-mail templates are missing", field="templates/email", next_step=fix)


@dataclass(frozen=True)
class Catalogue:
    """All that was read.

    sources: (protocol key, text name, language) -> Markdown. notices: (text name, language) -> Markdown.
    """

    protocols: Mapping[str, FollowUpProtocol]
    sources: Mapping[tuple[str, str, str], str]
    notices: Mapping[tuple[str, str], str]
    frames: Frames

    @classmethod
    def load(cls, root: Path | None = None) -> Catalogue:
        """Read a folder of e-mail words. Raises BadProtocol or BadText naming the file."""
        root = root or templates_root()
        frames = Frames(_read(root / HTML_FRAME), _read(root / TEXT_FRAME), _languages(root / "languages"))
        protocols: dict[str, FollowUpProtocol] = {}
        sources: dict[tuple[str, str, str], str] = {}
        for folder in sorted(path for path in root.iterdir() if path.is_dir() and path.name not in _NOT_PROTOCOLS):
            file = folder / "protocol.toml"
            if not file.is_file():
                fix = "Add it, or remove the folder."
                raise BadText(f"{folder.name}: there is no protocol.toml", field=folder.name, next_step=fix)
            protocol = read_protocol(file.read_bytes(), folder.name, f"{folder.name}/protocol.toml")
            protocols[protocol.key] = protocol
            for (name, language), text in _markdown(folder, protocol.texts).items():
                sources[protocol.key, name, language] = text
        return cls(protocols, sources, _markdown(root / "notices", None), frames)

    def compile(self, protocol: str, name: str, language: str) -> CompiledText:
        """One shipped text. Raises KeyError if there is none, BadText if it is not right."""
        found = self.protocols[protocol]
        kind = kind_of(found, name)
        source = self.sources[protocol, name, language]
        return compile_text(source, protocol=found, kind=kind, language=language, frames=self.frames, name=name)

    def compile_hello(self, language: str) -> CompiledText:
        """The hello note. Raises KeyError if there is none in that language."""
        source = self.notices["hello", language]
        return compile_text(source, protocol=None, kind="hello", language=language, frames=self.frames, name="hello")


def kind_of(protocol: FollowUpProtocol, name: str) -> LetterKind:
    """Whether a text of a protocol is its catch-up, stands on its page or belongs to a step."""
    if name in [one.text for one in protocol.today]:
        return "today"
    return "catch_up" if protocol.catch_up and protocol.catch_up.text == name else "reminder"


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        where = f"{file.parent.name}/{file.name}"
        raise BadText(f"{where}: is not UTF-8 text", field=where, next_step="Save it as UTF-8.") from error
    except FileNotFoundError as error:
        raise BadText(f"{file.name}: is missing", field=file.name, next_step="Put it back.") from error


def _languages(folder: Path) -> dict[str, Language]:
    return {
        file.stem: read_language(file.read_bytes(), file.stem, f"languages/{file.name}")
        for file in sorted(folder.glob("*.toml"))
    }


def _markdown(folder: Path, names: tuple[str, ...] | None) -> dict[tuple[str, str], str]:
    """(text name, language) -> source. names: those a protocol uses; any other file is a mistake."""
    found: dict[tuple[str, str], str] = {}
    for file in sorted(folder.glob("*.md")):
        where = f"{folder.name}/{file.name}"
        match = _SOURCE_NAME.match(file.name)
        if not match:
            fix = "Name it <text>.<language>.md, like day-01.en.md."
            raise BadText(f"{where}: is not the name of a text", field=where, next_step=fix)
        if names is not None and match["name"] not in names:
            fix = f"Name it after one of {', '.join(names)}, or add a step that uses it."
            raise BadText(f"{where}: no step uses this text", field=where, next_step=fix)
        found[match["name"], match["language"]] = _read(file)
    return found
