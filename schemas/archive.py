"""Every released version of every schema: what was ever written must stay readable."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from fastavro.schema import fingerprint, to_parsing_canonical_form

#: The kind of record that clients' requests become.
EVENT: Final = "signup_event"
_FILE_NAME: Final = re.compile(r"([a-z_]+)\.v([0-9]+)\.avsc")

#: The fingerprint of the version that `schemas.codec.encode` writes; a test holds it to the file.
CURRENT_FINGERPRINT: Final = bytes.fromhex("26c2c968be63c40d")


@dataclass(frozen=True, slots=True)
class ReleasedSchema:
    """One version. `text` is the schema as published, JSON with documentation.

    `fingerprint` is its CRC-64-AVRO in the byte order of the single-object encoding.
    """

    version: int
    text: str
    fingerprint: bytes


@lru_cache(maxsize=16)
def released_schemas(kind: str = EVENT) -> tuple[ReleasedSchema, ...]:
    """Read the released versions of a kind of record, oldest first; the last one is current."""
    versions = []
    for entry in files("schemas").joinpath("avro").iterdir():
        match = _FILE_NAME.fullmatch(entry.name)
        if match and match[1] == kind:
            text = entry.read_text(encoding="utf-8")
            versions.append(ReleasedSchema(int(match[2]), text, _fingerprint(text)))
    return tuple(sorted(versions, key=lambda schema: schema.version))


def schema_kinds() -> frozenset[str]:
    """Return the kinds of records that have released schemas."""
    names = (entry.name for entry in files("schemas").joinpath("avro").iterdir())
    return frozenset(match[1] for name in names if (match := _FILE_NAME.fullmatch(name)))


def current_schema() -> ReleasedSchema:
    """Return the version of the event that is written."""
    return released_schemas()[-1]


def _fingerprint(text: str) -> bytes:
    # fastavro prints the fingerprint in little-endian order, which is the order on the wire.
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(json.loads(text)), "CRC-64-AVRO"))
