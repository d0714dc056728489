"""Reads the Avro binary form of an event that the current schema version's writer wrote.

It follows `avro/signup_event.v1.avsc` field by field, as `schemas.body` does, in a fraction of the
time that a general reader needs. What is not as our own writers write it is left to that one.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from schemas.events import Recipient, SignupEvent

T = TypeVar("T")

_UUID: Final = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
)
_MOST_BYTES: Final = 10
_BITS: Final = 64
#: What takes more than one byte is larger; the lowest bit is the sign.
_ONE_BYTE: Final = 0x7F
#: The length that a byte tells by itself; -1: it is not all of a length, or of none.
_LENGTHS: Final = tuple(-1 if byte > _ONE_BYTE or byte & 1 else byte >> 1 for byte in range(256))
#: Instants from 1970 to 2039, milliseconds since the epoch, have so many bytes.
_INSTANT_BYTES: Final = 6
_INSTANT_MASK: Final = 0x80_80_80_80_80_80
_INSTANT_MARKS: Final = 0x00_80_80_80_80_80
#: The branches of a union with null.
_NULL: Final = 0
_VALUE: Final = 2
#: The ends of events that are kept in memory are no longer than this, in bytes.
_SHORT: Final = 64


class _Unlike(Exception):
    """It is no event, or written in a way of its own."""


class _Terms(NamedTuple):
    """What an event ends with."""

    tenant: str
    not_before: int | None
    expires_at: int | None
    idempotency_key: str | None


def read_event_id(text: str) -> UUID | None:
    """Return the id in its usual notation, None where it is in none or another one."""
    return UUID(text) if _UUID.fullmatch(text) else None


def read_body(value: bytes, at: int) -> SignupEvent | None:
    """Return the event whose body starts at a place and ends with the value.

    None: it is for the general reader to say what this is, and what is wrong with it.
    """
    try:
        text, at = _string(value, at)
        event_id = read_event_id(text)
        occurred_at, at = _instant(value, at)
        template, at = _string(value, at)
        address, at = _string(value, at)
        name, at = _optional(value, at, _string)
        locale, at = _string(value, at)
        data, at = _map(value, at)
        rest = value[at:]
        terms = _known_terms(rest) if len(rest) <= _SHORT else _terms(rest)
    except (IndexError, UnicodeDecodeError, _Unlike):
        return None
    if event_id is None:
        return None
    recipient = Recipient(address, name)
    return SignupEvent(event_id, occurred_at, template, recipient, locale, data, *terms)


def _terms(rest: bytes) -> _Terms:
    tenant, at = _string(rest, 0)
    not_before, at = _optional(rest, at, _long)
    expires_at, at = _optional(rest, at, _long)
    key, at = _optional(rest, at, _string)
    # A string that was cut short took its whole length.
    if at != len(rest):
        raise _Unlike
    return _Terms(tenant, not_before, expires_at, key)


#: Most events have no times and no key: they end as others of their tenant do.
_known_terms: Final = lru_cache(maxsize=256)(_terms)


def _long(value: bytes, at: int) -> tuple[int, int]:
    """Read a long; return it and the place behind it."""
    byte = value[at]
    raw, shift, end = byte & _ONE_BYTE, 7, at + _MOST_BYTES
    at += 1
    while byte > _ONE_BYTE:
        if at == end:
            raise _Unlike
        byte = value[at]
        at += 1
        raw |= (byte & _ONE_BYTE) << shift
        shift += 7
    if raw >> _BITS:
        raise _Unlike
    return (raw >> 1) ^ -(raw & 1), at


def _instant(value: bytes, at: int) -> tuple[int, int]:
    """Read a long that is most likely an instant of our time."""
    raw = int.from_bytes(value[at : at + _INSTANT_BYTES], "little")
    if raw & _INSTANT_MASK != _INSTANT_MARKS:
        return _long(value, at)
    # Seven bits of each byte. Of a value that ends too early, what comes next will be missed.
    low = raw & 0x7F | raw >> 1 & 0x3F80 | raw >> 2 & 0x1FC000
    high = raw >> 24 & 0x7F | raw >> 25 & 0x3F80 | raw >> 26 & 0x1FC000
    raw = high << 21 | low
    return (raw >> 1) ^ -(raw & 1), at + _INSTANT_BYTES


def _string(value: bytes, at: int) -> tuple[str, int]:
    length = _LENGTHS[value[at]]
    if length < 0:
        length, at = _long(value, at)
        if length < 0:
            raise _Unlike
    else:
        at += 1
    end = at + length
    return value[at:end].decode(), end


def _optional(
    value: bytes, at: int, read: Callable[[bytes, int], tuple[T, int]]
) -> tuple[T | None, int]:
    branch = value[at]
    if branch == _VALUE:
        return read(value, at + 1)
    if branch != _NULL:
        raise _Unlike
    return None, at + 1


def _map(value: bytes, at: int) -> tuple[dict[str, str], int]:
    """Read a map that is empty or one block, which does not tell its size."""
    count, at = _long(value, at)
    data: dict[str, str] = {}
    if count == 0:
        return data, at
    if count < 0:
        raise _Unlike
    for _ in range(count):
        key, at = _string(value, at)
        data[key], at = _string(value, at)
    if value[at] != 0:
        raise _Unlike
    return data, at + 1
