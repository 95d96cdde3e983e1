"""The mailbox of returned mail: from the setting to one that can be opened, and to the duty of reading it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service.settings import Settings
from service.settings.mailbox_url import read_mailbox_url

if TYPE_CHECKING:
    from service.actions.fetching import Fetching
    from service.mail.mailbox import MailboxAddress
    from service.wiring import Service


def mailbox_address(settings: Settings) -> MailboxAddress | None:
    """Where returned mail lies, None if it is read by hand."""
    from service.mail.mailbox import MailboxAddress  # noqa: PLC0415

    if settings.mailbox_url is None:
        return None
    url = read_mailbox_url(settings.mailbox_url.get_secret_value())
    return MailboxAddress(
        scheme=url.scheme,
        folder=url.folder,
        host=url.host,
        port=url.port,
        username=url.username,
        password=url.password,
        ca_file=settings.mailbox_ca_file,
    )


def fetching(service: Service, actor: str = "returned mail") -> Fetching | None:
    """A worker's part in reading the mailbox, None if there is none. actor: who stands in the audit."""
    from service.actions.fetching import Fetching  # noqa: PLC0415
    from service.mail.mailbox import open_mailbox  # noqa: PLC0415

    address = mailbox_address(service.settings)
    if address is None:
        return None
    return Fetching(service.store, service.signer, lambda: open_mailbox(address), actor)
