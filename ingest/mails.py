"""A checked mail: the fields of `schemas.events.SignupEvent`, at a tenth of the cost to make.

A batch makes a thousand of them at once, and all that happens to each is that it is written down.
"""

from collections.abc import Mapping

import msgspec


class Mailbox(msgspec.Struct, frozen=True):
    """See `schemas.events.Recipient`."""

    address: str
    name: str | None


class Mail(msgspec.Struct, frozen=True):
    """See `schemas.events.SignupEvent`; the id is a UUID's text."""

    event_id: str
    occurred_at: int
    template: str
    recipient: Mailbox
    locale: str
    data: Mapping[str, str]
    tenant: str
    not_before: int | None
    expires_at: int | None
    idempotency_key: str | None
