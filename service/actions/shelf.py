"""Which version of which words goes to whom: the newest approved one, or in trial mode the newest draft.

Falls back to another language only whole, never to a mixed e-mail. Compiles each version once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import sqlalchemy as sa
import structlog

from service.errors import BadText
from service.mail.catalogue import Catalogue, kind_of
from service.mail.texts import CompiledText, compile_text
from service.store import texts
from service.store.clinics import Clinic
from service.store.texts import TextVersion

log = structlog.get_logger()
#: After its review date a text goes on for this long, with daily alerts; then its e-mails are held.
REVIEW_GRACE = timedelta(days=14)
Key = tuple[int, str, str, str]
#: A protocol's key and the name of one of its texts.
Name = tuple[str, str]


@dataclass
class Shelf:
    """The words at hand for one tick; compiled texts stay from tick to tick."""

    catalogue: Catalogue
    drafts_count: bool
    _current: dict[Key, TextVersion] = field(default_factory=dict)
    _by_id: dict[int, TextVersion] = field(default_factory=dict)
    _compiled: dict[int, CompiledText] = field(default_factory=dict)
    _hellos: dict[str, CompiledText] = field(default_factory=dict)

    def for_one(self) -> Shelf:
        """A shelf for one reader in a thread of its own: what stands on it is its own, what is compiled is shared."""
        return replace(self, _current={}, _by_id={})

    def refresh(
        self, connection: sa.Connection, clinic_ids: Iterable[int], today: date, wanted: Collection[Name]
    ) -> None:
        """Read which versions of these texts count now, and compile the new ones. today: UTC, for review dates."""
        current: dict[Key, TextVersion] = {}
        versions = texts.versions(connection, clinic_ids)
        for version in versions:
            key = (version.clinic_id, version.protocol, version.name, version.language)
            if (version.protocol, version.name) not in wanted or key in current:
                continue
            if self._counts(version, today) and self._compile(connection, version):
                current[key] = version
        # Swapped whole: meanwhile, in another thread, e-mails of the batch before are written from these.
        self._current, self._by_id = current, {version.id: version for version in versions}

    def _counts(self, version: TextVersion, today: date) -> bool:
        if version.withdrawn_at is not None:
            return False
        if self.drafts_count:
            return True
        return version.review_by is not None and today <= version.review_by + REVIEW_GRACE

    def _compile(self, connection: sa.Connection, version: TextVersion) -> bool:
        """Whether the version is compiled now; a source that no longer fits its protocol never counts."""
        protocol = self.catalogue.protocols.get(version.protocol)
        if version.id in self._compiled or protocol is None:
            return protocol is not None
        try:
            self._compiled[version.id] = compile_text(
                texts.source(connection, version.id),
                protocol=protocol,
                kind=kind_of(protocol, version.name),
                language=version.language,
                frames=self.catalogue.frames,
                name=version.name,
            )
        except BadText as error:
            log.error("a text does not fit its protocol any more", text=version.id, problem=error.message)
            return False
        return True

    def choose(self, clinic: Clinic, protocol: str, name: str, language: str) -> TextVersion | None:
        """The version for a client's language, else its base, the clinic's, English; None if nothing may be sent."""
        for candidate in _nearest(language, clinic):
            found = self._current.get((clinic.id, protocol, name, candidate))
            if found is not None:
                return found
        return None

    def hello(self, clinic: Clinic, language: str) -> CompiledText:
        """The hello note, which names no treatment and ships with the program, in the nearest language."""
        tag = next(tag for tag in _nearest(language, clinic) if ("hello", tag) in self.catalogue.notices)
        if tag not in self._hellos:
            self._hellos[tag] = self.catalogue.compile_hello(tag)
        return self._hellos[tag]

    def keep(self, connection: sa.Connection, text_id: int | None) -> None:
        """Have at hand the version that an earlier copy used, even if a newer one counts now."""
        version = self._by_id.get(text_id or 0)
        if version is not None:
            self._compile(connection, version)

    def frozen(self, text_id: int | None) -> TextVersion | None:
        """The very version an earlier copy used, unless it was withdrawn since."""
        version = self._by_id.get(text_id or 0)
        usable = version is not None and version.withdrawn_at is None and version.id in self._compiled
        return version if usable else None

    def compiled(self, version: TextVersion) -> CompiledText:
        return self._compiled[version.id]


def _nearest(language: str, clinic: Clinic) -> Iterable[str]:
    """The client's language, its base, the clinic's, English."""
    return dict.fromkeys((language, language.split("-")[0], clinic.language, "en"))
