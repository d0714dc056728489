"""Our own topics' values: single-object encoding by released schemas, no registry needed.

What an older release wrote is read by its own schema and resolved to the current one.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader, schemaless_writer
from fastavro.types import Schema

from schemas.archive import released_schemas
from schemas.errors import Undecodable

SINGLE_OBJECT: Final = b"\xc3\x01"
HEADER_BYTES: Final = 10

#: What reading a body that its schema does not fit can raise.
UNREADABLE: Final = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)


class Framing:
    """Writes and reads the values of one kind of record. Shared by threads; it never changes."""

    def __init__(self, name: str) -> None:
        """Read the released schemas of a kind, such as `ledger_entry`."""
        released = released_schemas(name)
        self._readers = {schema.fingerprint: plain_schema(schema.text) for schema in released}
        current = released[-1]
        self.header = SINGLE_OBJECT + current.fingerprint
        self._current = self._readers[current.fingerprint]

    def write(self, fields: Mapping[str, object]) -> bytes:
        """Return the value with these fields; those that are absent have their defaults."""
        stream = BytesIO()
        stream.write(self.header)
        schemaless_writer(stream, self._current, fields)
        return stream.getvalue()

    def read(self, value: bytes | None) -> dict[str, Any]:
        """Return the fields in a value.

        Raises:
            Undecodable: the bytes are no record of any released schema.
        """
        if value is None or not value.startswith(SINGLE_OBJECT):
            raise Undecodable("the value is not in single-object encoding (c301)")
        fingerprint = value[2:HEADER_BYTES]
        writer = self._readers.get(fingerprint)
        if writer is None:
            raise Undecodable(f"no released schema has the fingerprint {fingerprint.hex()}")
        stream = BytesIO(value)
        stream.seek(HEADER_BYTES)
        try:
            fields: Any = schemaless_reader(
                stream, writer, None if writer is self._current else self._current
            )
        except UNREADABLE as error:
            reason = str(error) or type(error).__name__
            raise Undecodable(f"the body does not fit its schema: {reason}") from error
        if stream.tell() != len(value):
            raise Undecodable(f"{len(value) - stream.tell()} bytes follow the record")
        record: dict[str, Any] = fields
        return record


@lru_cache(maxsize=8)
def framing(name: str) -> Framing:
    """Return the framing of a kind of record; the schemas are read once."""
    return Framing(name)


def plain_schema(text: str) -> Schema:
    """Parse a schema without its logical types, so that instants stay integers and ids texts.

    Logical types change no byte, only what a reader makes of them.
    """
    return parse_schema(_without_logical_types(json.loads(text)))


def _without_logical_types(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_logical_types(item) for item in schema]
    if isinstance(schema, dict):
        return {
            key: item if key == "default" else _without_logical_types(item)
            for key, item in schema.items()
            if key != "logicalType"
        }
    return schema
