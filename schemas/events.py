"""The event that asks for one mail to one recipient, as the rest of the code sees it."""

from collections.abc import Mapping
from uuid import UUID

from msgspec import Struct


class Recipient(Struct, frozen=True, gc=False):
    """One mailbox. `address` is valid and normalised (see `schemas.addresses`)."""

    address: str
    name: str | None = None


class SignupEvent(Struct, frozen=True, gc=False):
    """One mail to send, version 1 of the `signup_event` schema.

    Instants are milliseconds since the Unix epoch, UTC. `data` holds the template's variables.
    """

    event_id: UUID
    occurred_at: int
    template: str
    recipient: Recipient
    locale: str
    data: Mapping[str, str]
    tenant: str
    not_before: int | None = None
    expires_at: int | None = None
    idempotency_key: str | None = None
