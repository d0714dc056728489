"""Who a mail belongs to and what it is called: lane keys, event ids and public mail ids."""

import base64
import hashlib
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

LANE_KEY_BYTES: Final = 4
_EVENT_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:mailcascade:event")
_MAIL_ID_LENGTH: Final = 32


def lane_key(address: str) -> bytes:
    """Hash a recipient's normalised address; everything about one recipient shares it.

    Four bytes spread recipients over partitions. A collision costs two recipients a shared queue,
    never a mix-up: nothing is decided by the lane key alone.
    """
    canonical = address.casefold().encode()
    return hashlib.blake2b(canonical, digest_size=LANE_KEY_BYTES, person=b"mc-lane").digest()


def idempotent_event_id(tenant: str, key: str, address: str) -> UUID:
    """Derive the event id of a request that carries an Idempotency-Key.

    The same tenant, key and recipient always name the same event, so a repeated request meets its
    first in the same lane and is dropped there. The parts are length-prefixed: no two differ only
    in where one part ends.
    """
    parts = (tenant, key, address.casefold())
    return uuid5(_EVENT_NAMESPACE, "".join(f"{len(part)}:{part}" for part in parts))


def mail_id(event_id: UUID, key: bytes) -> str:
    """Return the public id of a mail: 32 characters of lower-case base32 that carry its lane."""
    return base64.b32encode(event_id.bytes + key).decode().lower()


def parse_mail_id(text: str) -> tuple[UUID, bytes]:
    """Return the event id and the lane key in a public mail id.

    Raises:
        ValueError: the text cannot be a mail id.
    """
    if len(text) != _MAIL_ID_LENGTH:
        raise ValueError(f"a mail id has {_MAIL_ID_LENGTH} characters, not {len(text)}")
    try:
        raw = base64.b32decode(text, casefold=True)
    except ValueError as error:
        raise ValueError("a mail id is made of the letters a-z and the digits 2-7") from error
    return UUID(bytes=raw[:16]), raw[16:]
