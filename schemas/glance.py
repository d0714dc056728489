"""The few fields of an event that many records are sorted by, read without decoding the rest.

It follows `avro/signup_event.v1.avsc` field by field, for values that the current schema wrote; any
other value, and any that does not fit, is decoded as a whole. Instants are milliseconds.
"""

from binascii import unhexlify
from functools import lru_cache
from typing import Final, NamedTuple

from schemas.archive import CURRENT_FINGERPRINT
from schemas.codec import EventCodec
from schemas.errors import Undecodable
from schemas.framing import HEADER_BYTES, SINGLE_OBJECT

_CURRENT: Final = SINGLE_OBJECT + CURRENT_FINGERPRINT
#: The length of an id's text, as a long.
_ID_LENGTH: Final = 36 * 2
_ID_BYTES: Final = 16
_ID_STARTS: Final = HEADER_BYTES + 1
_ID_ENDS: Final = _ID_STARTS + 36


class Glance(NamedTuple):
    """What a mail is, whose, for whom and until when; `event_id` has 16 bytes."""

    event_id: bytes
    template: str
    address: str
    tenant: str
    expires_at: int | None


#: For names of templates and tenants, of which there are few.
_word: Final = lru_cache(maxsize=4096)(bytes.decode)


def glance(value: bytes | None, codec: EventCodec) -> Glance:
    """Return what the event in a value is about.

    Raises:
        Undecodable: the bytes are no event. Bytes behind the fields that are looked at may differ
            from an event without being noticed.
        RegistryUnavailable: the registry had to be asked and does not answer.
    """
    if value is None:
        raise Undecodable("the record has no value")
    if value.startswith(_CURRENT):
        try:
            return _quick(value)
        except (IndexError, ValueError):
            # Odd, or no event at all: the codec decides, and words what is wrong.
            pass
    event = codec.decode(value)
    address, tenant = event.recipient.address, event.tenant
    return Glance(event.event_id.bytes, event.template, address, tenant, event.expires_at)


def _quick(value: bytes) -> Glance:
    if value[HEADER_BYTES] != _ID_LENGTH:
        raise ValueError
    event_id = unhexlify(value[_ID_STARTS:_ID_ENDS].replace(b"-", b""))
    at = _ID_ENDS
    while value[at] & 0x80:
        at += 1
    template, at = _text(value, at + 1)
    address, at = _text(value, at)
    at = _behind(value, at + 1) if value[at] else at + 1
    at = _behind_map(value, _behind(value, at))
    tenant, at = _text(value, at)
    if value[at]:
        at += 1
        while value[at] & 0x80:
            at += 1
    at += 1
    expires_at = None if value[at] == 0 else _long(value, at + 1)[0]
    if len(event_id) != _ID_BYTES:
        raise ValueError
    return Glance(event_id, _word(template), address.decode(), _word(tenant), expires_at)


def _text(value: bytes, at: int) -> tuple[bytes, int]:
    """Return a string's bytes and the place behind it, where there is more of every event."""
    size = value[at]
    if size & 0x81:
        length, at = _long(value, at)
        if length < 0:
            raise ValueError
    else:
        length, at = size >> 1, at + 1
    end = at + length
    return value[at:end], end


def _behind(value: bytes, at: int) -> int:
    """Return the place behind a string."""
    size = value[at]
    if size & 0x81:
        length, at = _long(value, at)
        if length < 0:
            raise ValueError
        return at + length
    return at + 1 + (size >> 1)


def _behind_map(value: bytes, at: int) -> int:
    while count := value[at]:
        if count & 0x81:
            at, strings = _block(value, at)
        else:
            at, strings = at + 1, count
        while strings:
            # As `_behind`, without a call for each of what is most of the event.
            size = value[at]
            at = _behind(value, at) if size & 0x81 else at + 1 + (size >> 1)
            strings -= 1
    return at + 1


def _block(value: bytes, at: int) -> tuple[int, int]:
    """Return the place of a block's first string, and how many there are; 0 behind the block."""
    count, at = _long(value, at)
    if count > 0:
        return at, 2 * count
    # The block says its size in bytes, so that it can be passed over.
    size, at = _long(value, at)
    if count == 0 or size < 0:
        raise ValueError
    return at + size, 0


def _long(value: bytes, at: int) -> tuple[int, int]:
    byte = value[at]
    at += 1
    raw = byte & 0x7F
    shift = 7
    while byte & 0x80:
        byte = value[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        shift += 7
    return (raw >> 1) ^ -(raw & 1), at
