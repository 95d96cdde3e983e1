"""The envelope's sender, and what comes back to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.actions.returned import read as read_returned
from service.actions.returned import take_in
from service.store.engine import Store
from tests.support.scripted_relay import ScriptedRelay
from tests.support.world import World, make_world

DAY_1 = "2026-11-21 10:00"


@pytest.fixture
def world(store: Store, tmp_path: Path) -> World:
    return make_world(store, tmp_path, bounce_domain="bounces.example.net")


REPORT = """\
From: mailer-daemon@example.com
To: {to}
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Auto-Submitted: auto-replied
Content-Type: multipart/report; report-type=delivery-status; boundary="=_r"

--=_r
Content-Type: text/plain

It could not be delivered.

--=_r
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.com

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.1.1

--=_r--
"""


def test_a_report_to_the_signed_sender_ends_writing_to_a_dead_address(world: World) -> None:
    world.treat(world.client(), "2026-11-20")
    with ScriptedRelay() as relay:
        world.tick(relay, DAY_1)
    (sent,) = relay.log
    local, _, domain = sent.mail_from.partition("@")
    (row,) = (row for row in world.rows() if row.state == "sent")
    assert domain == "bounces.example.net"
    assert len(local) <= 64
    assert world.service.signer.read_bounce_local_part(local) == str(row.id)
    raw = REPORT.format(to=sent.mail_from, recipient="sam@example.com").encode()
    message = read_returned(raw, world.service.signer)
    with world.store.write() as connection:
        take_in(connection, world.service.signer, message, world.who("2026-11-21 11:00"))
    assert world.states() == {
        "day-01": "sent",
        "day-03": "cancelled: suppressed",
        "day-10": "cancelled: suppressed",
    }
