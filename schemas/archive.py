"""Every released version of the event's schema: what was ever written must stay readable."""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from fastavro.schema import fingerprint, to_parsing_canonical_form

_FILE_NAME: Final = re.compile(r"signup_event\.v([0-9]+)\.avsc")

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


@lru_cache(maxsize=1)
def released_schemas() -> tuple[ReleasedSchema, ...]:
    """Read the released versions from the package, oldest first; the last one is current."""
    versions = []
    for entry in files("schemas").joinpath("avro").iterdir():
        match = _FILE_NAME.fullmatch(entry.name)
        if match:
            text = entry.read_text(encoding="utf-8")
            versions.append(ReleasedSchema(int(match[1]), text, _fingerprint(text)))
    return tuple(sorted(versions, key=lambda schema: schema.version))


def current_schema() -> ReleasedSchema:
    """Return the version that is written."""
    return released_schemas()[-1]


def _fingerprint(text: str) -> bytes:
    # fastavro prints the fingerprint in little-endian order, which is the order on the wire.
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(json.loads(text)), "CRC-64-AVRO"))
