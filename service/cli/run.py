"""Commands that send: tick, worker, serve, web, demo, test-email."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from service.cli.options import Desk, clinic_option, desk_for, json_option, now_option, service_for
from service.cli.output import example, print_document, say
from service.errors import AftercareError, Unavailable

if TYPE_CHECKING:
    from service.actions.deliver import Delivery
    from service.actions.trying import Told
    from service.wiring import Service

#: What a tick counts, in the order it is told.
TOLD = ("claimed", "sent", "failed", "missed", "in_doubt", "unconfirmed", "cancelled", "held", "planned", "catch_ups")


@contextmanager
def _sending(now: str | None = None) -> Iterator[Service]:
    """An open installation that says what it does in its log."""
    from service import logs

    with service_for(now) as service:
        logs.set_up(service.settings.log_level, service.settings.log_format)
        yield service


@click.command("tick", epilog=example("aftercare tick", "aftercare tick --until-idle --now 2026-11-21T10:00:00Z"))
@click.option("--until-idle", is_flag=True, help="Go on until nothing can be sent now.")
@json_option
@now_option
def tick_command(until_idle: bool, json_: bool, now: str | None) -> None:
    """One round of sending now: rescue, expire, claim, send, record."""
    with _sending(now) as service:
        moved = service.settings.now is not None
        counts = asyncio.run(_tick(service, until_idle=until_idle, alone=moved))
        following = _following(service)
    document = {name: counts.get(name, 0) for name in TOLD}
    document |= {name: number for name, number in counts.items() if name not in document}
    if json_:
        print_document(document)
        return
    told = [f"{number} {name.replace('_', ' ')}" for name, number in document.items() if number]
    say(", ".join(told) if told else f"Nothing to do. {following}".strip())


def _following(service: Service) -> str:
    """When the next e-mail is due, as a sentence; "" if none is planned."""
    from service.domain.plain import local
    from service.store import clinics
    from service.store.outbox import next_due

    with service.store.read() as connection:
        found = next_due(connection)
        if found is None:
            return ""
        at, clinic_id = found
        clinic = clinics.get(connection, clinic_id)
        return f"The next e-mail is due {local(at, clinic.zone, service.now())} ({clinic.timezone})."


async def _tick(service: Service, *, until_idle: bool, alone: bool) -> Counter[str]:
    from service import wiring

    with wiring.worker_lock(service, alone=alone) as worker:
        wiring.warn_if_earlier(service)
        async with wiring.post_office(service) as route:
            work = wiring.delivery(service, route, worker)
            if alone:  # at a time that is not now nobody is told anything
                clock = service.clock()
                return await (work.until_idle(clock) if until_idle else work.tick(clock))
            return await _watched(service, work, worker, until_idle=until_idle)


async def _watched(service: Service, work: Delivery, worker: str, *, until_idle: bool) -> Counter[str]:
    """The same watch as over the daemon's rounds: who runs `tick` by cron must hear of trouble too."""
    from service import wiring
    from service.clock import wall_clock

    watch, clock, trouble = wiring.watch(service, worker), wall_clock, ""
    began = clock()
    try:
        clock = service.clock()
        began = clock()
        return await (work.until_idle(clock) if until_idle else work.tick(clock))
    except BaseException as error:
        # A bug, or a Ctrl-C in mid-round, is no good round either.
        trouble = error.message if isinstance(error, AftercareError) else type(error).__name__
        raise
    finally:
        line, now = work.breaker, clock()
        urgent = line.urgent and not trouble
        await watch.after_round(now, trouble, line.cause, line.opened_at, urgent=urgent, began=began)
        await asyncio.gather(watch.heartbeat(now), watch.tell(now))


@click.command("worker", epilog=example("aftercare worker"))
def worker_command() -> None:
    """The daemon alone: sends what is due until it is told to stop (SIGTERM, Ctrl-C)."""
    from service import daemon

    with _sending() as service:
        asyncio.run(daemon.run(service))


@click.command("serve", epilog=example("aftercare serve"))
def serve_command() -> None:
    """The daemon and the web pages in one process."""
    from service import daemon

    with _sending() as service:
        asyncio.run(daemon.run(service, with_web=True))


@click.command("web", epilog=example("aftercare web"))
def web_command() -> None:
    """The web pages alone."""
    from service import daemon

    with _sending() as service:
        asyncio.run(daemon.run(service, with_web=True, with_worker=False))


@click.command("demo", epilog=example("aftercare demo", "aftercare demo --no-serve"))
@click.option("--days", type=click.IntRange(1, 60), default=12, show_default=True, help="Days to run through.")
@click.option("--port", type=click.IntRange(1, 65535), default=8025, show_default=True, help="Where the inbox page is.")
@click.option("--no-serve", is_flag=True, help="End after the story; serve no page.")
def demo_command(days: int, port: int, no_serve: bool) -> None:
    """See it work: a made-up clinic and clients, the days in seconds, every mail in an inbox page.

    Uses a database and a mail catcher of its own that are thrown away at the end; it can never reach a real relay.
    """
    from service import demo

    demo.run(days, port, serve=not no_serve)


@click.command("test-email", epilog=example("aftercare test-email me@example.com"))
@click.argument("address")
@json_option
@clinic_option
def test_email_command(address: str, json_: bool, clinic_id: int | None) -> None:
    """Send one neutral e-mail through the relay and tell what it answered."""
    from service.actions import lockout
    from service.actions.addresses import check_address

    to = check_address(address)
    with desk_for(clinic_id, None) as desk:
        told, caught = asyncio.run(_try(desk, to))
        relay_is_set = desk.service.settings.relay_host is not None
        if told.accepted and not caught:
            with desk.service.store.write() as connection:
                lockout.forget(connection)
    if not told.accepted:
        raise Unavailable(
            f"{told.relay} did not take it ({told.stage}: {f'{told.code} ' if told.code else ''}{told.words})",
            field="AFTERCARE_RELAY_HOST",
            next_step=told.next_step,
        )
    if json_:
        print_document(
            {"accepted": True, "relay": told.relay, "code": told.code, "reply": told.words, "caught": caught}
        )
    elif caught:
        fix = "Add the address to AFTERCARE_TRIAL_ALLOW" if relay_is_set else "Set AFTERCARE_RELAY_HOST"
        say(f"The built-in catcher took it; nothing left this machine. It lies in {desk.service.maildir}.")
        say(f"{fix} to try your relay.")
    else:
        say(f"{told.relay} took it: {told.code} {told.words}")


async def _try(desk: Desk, to: str) -> tuple[Told, bool]:
    """What the relay said, and whether it was only the built-in catcher."""
    from service import wiring
    from service.actions.trying import hello, try_relay
    from service.mail.relay import Parcel

    service = desk.service
    mail_from, message = hello(service.catalogue, service.signer, desk.clinic, to, desk.now)
    async with wiring.post_office(service) as route:
        address = route(to)
        return await try_relay(address, Parcel(mail_from, to, message)), address != wiring.relay_address(
            service.settings
        )
