"""The Avro binary form of an event, as the current schema version writes it.

It follows `avro/signup_event.v1.avsc` field by field, in a fraction of the time that a general
writer needs to find its way through the schema. A test holds it to the bytes of fastavro.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Protocol
from uuid import UUID


class RecipientFields(Protocol):
    """What is written of a recipient; see `schemas.events.Recipient`."""

    @property
    def address(self) -> str: ...
    @property
    def name(self) -> str | None: ...


class EventFields(Protocol):
    """What is written of an event; see `schemas.events.SignupEvent`. The id may be its text."""

    @property
    def event_id(self) -> UUID | str: ...
    @property
    def occurred_at(self) -> int: ...
    @property
    def template(self) -> str: ...
    @property
    def recipient(self) -> RecipientFields: ...
    @property
    def locale(self) -> str: ...
    @property
    def data(self) -> Mapping[str, str]: ...
    @property
    def tenant(self) -> str: ...
    @property
    def not_before(self) -> int | None: ...
    @property
    def expires_at(self) -> int | None: ...
    @property
    def idempotency_key(self) -> str | None: ...


def write_long(number: int) -> bytes:
    """Write a long: zigzag, then seven bits a byte, the lowest first."""
    rest = (number << 1) ^ (number >> 63)
    if rest >> 64:
        raise ValueError(f"{number} does not fit into 64 bits")
    return _seven_bits_a_byte(rest)


def write_timestamp(at: int) -> bytes:
    """Write a long that is an instant, milliseconds since the epoch, as `write_long` does.

    Those that belong together differ in their first byte.
    """
    return _FIRST[at & 0x3F] + _later(at >> 6) if 0x3F < at < _FAR else write_long(at)


def _seven_bits_a_byte(rest: int) -> bytes:
    written = bytearray()
    while rest > 0x7F:
        written.append(rest & 0x7F | 0x80)
        rest >>= 7
    written.append(rest)
    return bytes(written)


_FAR: Final = 1 << 48
_FIRST: Final = tuple(bytes([bits << 1 | 0x80]) for bits in range(0x40))
_later: Final = lru_cache(maxsize=64)(_seven_bits_a_byte)


#: The branches of a union of null and one type.
NULL: Final = write_long(0)
VALUE: Final = write_long(1)
_END_OF_MAP: Final = write_long(0)
_SHORT: Final = 2048
_LENGTHS: Final = tuple(write_long(length) for length in range(_SHORT))


def write_string(text: str) -> bytes:
    """Write a string: its length in bytes, then UTF-8."""
    raw = text.encode()
    length = len(raw)
    return (_LENGTHS[length] if length < _SHORT else write_long(length)) + raw


#: For locales and the names of variables, of which there are few.
_word: Final = lru_cache(maxsize=256)(write_string)


def write_body(event: EventFields) -> bytes:
    """Return the event's body, without framing.

    Raises:
        ValueError: an instant does not fit into 64 bits, or a text holds a lone surrogate.
    """
    recipient = event.recipient
    name, key = recipient.name, event.idempotency_key
    return b"".join(
        (
            write_string(str(event.event_id)),
            _origin(event.occurred_at, event.template),
            write_string(recipient.address),
            NULL if name is None else VALUE + write_string(name),
            _word(event.locale),
            _map(event.data),
            _terms(event.tenant, event.not_before, event.expires_at),
            NULL if key is None else VALUE + write_string(key),
        )
    )


@lru_cache(maxsize=64)
def _origin(occurred_at: int, template: str) -> bytes:
    return write_long(occurred_at) + write_string(template)


@lru_cache(maxsize=64)
def _terms(tenant: str, not_before: int | None, expires_at: int | None) -> bytes:
    instants = (
        NULL if instant is None else VALUE + write_long(instant)
        for instant in (not_before, expires_at)
    )
    return write_string(tenant) + b"".join(instants)


def _map(data: Mapping[str, str]) -> bytes:
    if not data:
        return _END_OF_MAP
    count = len(data)
    parts = [_LENGTHS[count] if count < _SHORT else write_long(count)]
    for key, value in data.items():
        parts.append(_word(key))
        parts.append(write_string(value))
    parts.append(_END_OF_MAP)
    return b"".join(parts)
