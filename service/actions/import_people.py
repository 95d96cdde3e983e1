"""Who a row of an imported file is: a client already stored, one that an earlier row brought, or a new one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from service.actions.csv_rows import GoodRow
from service.domain.persons import fold_address, fold_name
from service.store.bulk import BulkClient, Wanted

CHUNK = 500
#: Folded address and folded name.
Person = tuple[str, str]
_T = TypeVar("_T")


def chunks(items: Iterable[_T]) -> Iterator[list[_T]]:
    """The items in lists of a few hundred; more at once are no faster, and cost memory."""
    source = iter(items)
    while chunk := list(islice(source, CHUNK)):
        yield chunk


def person_of(row: GoodRow) -> Person:
    return fold_address(row.email), fold_name(row.name)


def wanted(rows: Sequence[GoodRow], persons: Iterable[Person] | None = None) -> Wanted:
    """Whom to look for in the database to know which of these rows are of known clients."""
    people = set(map(person_of, rows) if persons is None else persons)
    return Wanted(people, {row.client_ref for row in rows if row.client_ref})


class People:
    """Clients, stored and new. The same one: same client_ref, else same address and name; of several, the oldest."""

    def __init__(self, known: Iterable[BulkClient]) -> None:
        self._by_ref: dict[str, BulkClient] = {}
        self._by_person: dict[Person, BulkClient] = {}
        self._without_ref: dict[Person, BulkClient] = {}
        for client in known:
            self.add(client)

    def add(self, client: BulkClient) -> None:
        person = (client.email_folded, client.name_folded)
        self._by_person.setdefault(person, client)
        if client.client_ref:
            self._by_ref[client.client_ref] = client
        else:
            self._without_ref[person] = client

    def find(self, ref: str | None, person: Person) -> BulkClient | None:
        """The client of a row. One stored without a client_ref does not become two when a later file has it."""
        if not ref:
            return self._by_person.get(person)
        return self._by_ref.get(ref) or self._without_ref.get(person)
