"""The journal's records: length, checksum, payload; and whose file a name stands for."""

import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

#: (event id, generation, step): which handing over of which mail.
Key = tuple[bytes, int, int]

REPLY_CHARACTERS: Final = 300
_FRAME: Final = struct.Struct("<II")
_PAYLOAD: Final = struct.Struct("<16sIIIQ")
_MOST_BYTES: Final = _PAYLOAD.size + 4 * REPLY_CHARACTERS


class Acceptance(Struct, frozen=True, gc=False):
    """One mail that a relay took. `at` is in milliseconds since the epoch."""

    lane: int
    key: Key
    at: int
    reply: str


def write_record(acceptance: Acceptance) -> bytes:
    """Return the record of an acceptance; its reply must be bounded already."""
    reply = acceptance.reply.encode(errors="replace")
    payload = _PAYLOAD.pack(*acceptance.key, acceptance.lane, acceptance.at) + reply
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def read_records(content: bytes) -> Iterator[Acceptance]:
    """Yield the records up to the first one that is torn or damaged."""
    at = 0
    while at + _FRAME.size <= len(content):
        length, checksum = _FRAME.unpack_from(content, at)
        at += _FRAME.size
        payload = content[at : at + length]
        if not _PAYLOAD.size <= length <= _MOST_BYTES or len(payload) < length:
            return
        if zlib.crc32(payload) != checksum:
            return
        at += length
        event_id, generation, step, lane, instant = _PAYLOAD.unpack_from(payload)
        reply = payload[_PAYLOAD.size :].decode(errors="replace")
        yield Acceptance(lane, (event_id, generation, step), instant, reply)


def segment_path(directory: Path, prefix: str, slot: int, number: int) -> Path:
    """Return the path of one segment of a slot's journal."""
    return directory / f"{prefix}.worker-{slot}.journal.{number}"


def segments(directory: Path, prefix: str, slot: int | None = None) -> list[tuple[int, Path]]:
    """Return the segments of one slot, or of all slots, oldest number first."""
    whose = r"\d+" if slot is None else str(slot)
    name = re.compile(rf"{re.escape(prefix)}\.worker-{whose}\.journal\.(\d+)")
    try:
        found = [(name.fullmatch(path.name), path) for path in directory.iterdir()]
    except OSError:
        return []
    return sorted((int(match[1]), path) for match, path in found if match)
