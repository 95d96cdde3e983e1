"""How often a message that the mailbox does not hand out is asked for, before it is left unread for a person.

The count lies in the database: it survives a restart, and all workers share it.
"""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

from service.errors import Unavailable
from service.mail.mailbox import Mailbox, NotNow, Unread, Waiting, trouble
from service.store import watch
from service.store.engine import Store

#: Rounds. With the pauses after failed ones that is some minutes.
TRIES = 3
#: Rounds for one at which the connection ends each time: some hours, as the network may be the reason.
BROKEN = 10
_NAME = "mailbox tries"


def hand_out(store: Store, box: Mailbox, one: Waiting, now: datetime) -> bytes:
    """The message's bytes. Raises Unavailable if it is to be asked for again, and Unread if not any more.

    The round ends with the first: what may be handed out later must not be passed by, and a server that hands out
    nothing at present is told like any trouble with the mailbox, instead of costing one message after another.
    """
    try:
        return box.read(one)
    except NotNow:
        if _count(store, one, now) >= TRIES:
            raise
        fix = "It is asked for again by itself; if that does not help it stays unread there, for a person."
        raise trouble(f"the server does not hand out {one.name}", fix) from None
    except Unavailable:
        if _count(store, one, now) >= BROKEN:
            raise Unread("not read: the connection ends whenever it is asked for") from None
        raise


def _count(store: Store, one: Waiting, now: datetime) -> int:
    """How many rounds have asked for this one in vain. Rounds of the same minute, by several workers, count once."""
    which, minute = sha256(one.place.encode()).hexdigest()[:16], str(int(now.timestamp()) // 60)
    with store.write() as connection:
        number, last, whose = (watch.done_for(connection, _NAME) or "0 0 -").split(" ")
        before = int(number) if whose == which else 0
        tries = before if before and last == minute else before + 1
        watch.note_done(connection, _NAME, f"{tries} {minute} {which}")
    return tries
