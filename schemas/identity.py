"""Who a mail belongs to and what it is called: lane keys, event ids and public mail ids."""

import base64
import hashlib
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

LANE_KEY_BYTES: Final = 4
_EVENT_NAMESPACE: Final = uuid5(NAMESPACE_URL, "urn:mailcascade:event")
_MAIL_ID_LENGTH: Final = 32
_LANE: Final = hashlib.blake2b(digest_size=LANE_KEY_BYTES, person=b"mc-lane")

_UUID_BYTES: Final = 16
_DRAWN_IDS: Final = 256
#: What makes random bytes UUIDs of version 4: the bits that are cleared, and those that are set.
_KEPT_BITS: Final = int.from_bytes(bytes.fromhex("ffffffffffff0fff3fffffffffffffff") * _DRAWN_IDS)
_SET_BITS: Final = int.from_bytes(bytes.fromhex("00000000000040008000000000000000") * _DRAWN_IDS)
_UUID_PARTS: Final = struct.Struct("8s4s4s4s12s")

_LETTERS: Final = bytes.maketrans(bytes(range(32)), b"abcdefghijklmnopqrstuvwxyz234567")
#: A mail id's 160 bits in 32 bytes are moved apart by halves, until every five have a byte of
#: their own: how far each upper half moves, and which bits of the 32 bytes are lower halves.
_HALVINGS: Final = tuple(
    (lane // 2 - width, ((1 << width) - 1).to_bytes(lane // 8) * (256 // lane))
    for lane, width in ((256, 80), (128, 40), (64, 20), (32, 10), (16, 5))
)
#: Hexadecimal zeros before each id's 20 bytes, so that it has 32 to spread over.
_ROOM: Final = "00" * 12


def lane_key(address: str) -> bytes:
    """Hash a recipient's normalised address; everything about one recipient shares it.

    Four bytes spread recipients over partitions. A collision costs two recipients a shared queue,
    never a mix-up: nothing is decided by the lane key alone.
    """
    lane = _LANE.copy()
    lane.update(address.casefold().encode())
    return lane.digest()


def random_event_ids(random: Callable[[int], bytes]) -> Iterator[str]:
    """Yield event ids, each the text of a random UUID (version 4).

    `random` returns so many random bytes. It is asked for many ids at once.
    """
    while True:
        drawn = int.from_bytes(random(_UUID_BYTES * _DRAWN_IDS)) & _KEPT_BITS | _SET_BITS
        digits = drawn.to_bytes(_UUID_BYTES * _DRAWN_IDS).hex().encode()
        for parts in _UUID_PARTS.iter_unpack(digits):
            yield (b"%b-%b-%b-%b-%b" % parts).decode()


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
    return mail_ids([(str(event_id), key)])[0]


def mail_ids(events: Sequence[tuple[str, bytes]]) -> list[str]:
    """Return the public ids of mails, by the texts of their event ids and their lane keys.

    All are spelled at once, as one number: for many, the standard library takes ten times as long.
    """
    if not events:
        return []
    digits = "".join([f"{_ROOM}{event_id}{key.hex()}" for event_id, key in events])
    number = int(digits.replace("-", ""), 16)
    for distance, lower in _HALVINGS:
        stays = number & int.from_bytes(lower * len(events))
        number = (number ^ stays) << distance | stays
    size = _MAIL_ID_LENGTH * len(events)
    letters = number.to_bytes(size).translate(_LETTERS).decode()
    return [letters[at : at + _MAIL_ID_LENGTH] for at in range(0, size, _MAIL_ID_LENGTH)]


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
    return UUID(bytes=raw[:_UUID_BYTES]), raw[_UUID_BYTES:]
