"""Events to bytes and back, in both framings that Kafka's world uses for Avro.

Single-object encoding needs no registry: C3 01, the writer schema's CRC-64-AVRO fingerprint, body.
Confluent framing names a schema in a registry: 00, its id in four bytes (big-endian), body.
"""

from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final, Protocol

from fastavro import schemaless_reader
from fastavro.read import SchemaResolutionError
from fastavro.schema import SchemaParseException, to_parsing_canonical_form
from fastavro.types import Schema

from schemas.archive import CURRENT_FINGERPRINT, current_schema, released_schemas
from schemas.body import EventFields, write_body
from schemas.body_reader import read_body, read_event_id
from schemas.errors import Undecodable, UnknownSchema
from schemas.events import Recipient, SignupEvent
from schemas.framing import HEADER_BYTES, SINGLE_OBJECT, UNREADABLE, plain_schema

_CURRENT_HEADER: Final = SINGLE_OBJECT + CURRENT_FINGERPRINT
_CONFLUENT: Final = b"\x00"
_CONFLUENT_HEADER_BYTES: Final = 5


class SchemaResolver(Protocol):
    """A schema registry, as far as reading needs one."""

    def schema(self, schema_id: int) -> str:
        """Return the text of the schema with this id.

        Raises:
            UnknownSchema: the registry answers that there is none.
            RegistryUnavailable: the registry does not answer.
        """


def encode(event: EventFields, *, schema_id: int | None = None) -> bytes:
    """Return the event as bytes: single-object encoding, or Confluent framing for a schema id.

    Raises:
        ValueError: an instant does not fit into 64 bits, or a text holds a lone surrogate.
    """
    if schema_id is None:
        return _CURRENT_HEADER + write_body(event)
    return _CONFLUENT + schema_id.to_bytes(4, "big") + write_body(event)


@dataclass(frozen=True, slots=True)
class _Reading:
    """How to read what one writer schema wrote. `target` is None where it is the current one."""

    writer: Schema
    target: Schema | None


class EventCodec:
    """Reads events of every released version, and of any registered schema that resolves to ours.

    One codec may be shared by threads: its cache only ever gains entries.
    """

    def __init__(self, resolver: SchemaResolver | None) -> None:
        """Read the released schemas. Without a resolver Confluent framing is undecodable."""
        self._resolver = resolver
        self._target = plain_schema(current_schema().text)
        self._target_form = to_parsing_canonical_form(self._target)
        self._released = {
            schema.fingerprint: self._reading(schema.text) for schema in released_schemas()
        }
        self._registered: dict[int, _Reading] = {}

    def decode(self, value: bytes) -> SignupEvent:
        """Return the event in the bytes.

        Raises:
            Undecodable: the bytes are no event; they never will be.
            RegistryUnavailable: the registry had to be asked and does not answer.
        """
        if value.startswith(SINGLE_OBJECT):
            return self._read(value, HEADER_BYTES, self._by_fingerprint(value))
        if value.startswith(_CONFLUENT):
            return self._read(value, _CONFLUENT_HEADER_BYTES, self._by_id(value))
        if not value:
            raise Undecodable("the value is empty")
        raise Undecodable(
            f"the value starts with {value[:2].hex()}: neither single-object encoding (c301) "
            "nor Confluent framing (00)"
        )

    def _by_fingerprint(self, value: bytes) -> _Reading:
        fingerprint = value[2:HEADER_BYTES]
        reading = self._released.get(fingerprint)
        if reading is not None:
            return reading
        if len(value) < HEADER_BYTES:
            raise Undecodable("the value ends inside its schema's fingerprint")
        raise Undecodable(f"no released schema has the fingerprint {fingerprint.hex()}")

    def _by_id(self, value: bytes) -> _Reading:
        if len(value) < _CONFLUENT_HEADER_BYTES:
            raise Undecodable("the value ends inside its schema id")
        schema_id = int.from_bytes(value[1:_CONFLUENT_HEADER_BYTES], "big")
        reading = self._registered.get(schema_id)
        if reading is None:
            reading = self._registered[schema_id] = self._resolve(schema_id)
        return reading

    def _resolve(self, schema_id: int) -> _Reading:
        if self._resolver is None:
            raise Undecodable(
                f"the value names schema {schema_id} of a registry, and no registry is set"
            )
        try:
            return self._reading(self._resolver.schema(schema_id))
        except UnknownSchema as error:
            raise Undecodable(str(error)) from error
        except (SchemaParseException, ValueError, LookupError, TypeError, RecursionError) as error:
            raise Undecodable(f"schema {schema_id} is not an Avro schema: {error!r}") from error

    def _reading(self, text: str) -> _Reading:
        writer = plain_schema(text)
        same = to_parsing_canonical_form(writer) == self._target_form
        return _Reading(writer, None if same else self._target)

    def _read(self, value: bytes, start: int, reading: _Reading) -> SignupEvent:
        if reading.target is None and (event := read_body(value, start)) is not None:
            return event
        stream = BytesIO(value)
        stream.seek(start)
        try:
            record: Any = schemaless_reader(stream, reading.writer, reading.target)
        except SchemaResolutionError as error:
            raise Undecodable(f"the writer's schema does not resolve to ours: {error}") from error
        except UNREADABLE as error:
            # Only `str` of the error: its arguments hold the mail's content.
            reason = str(error) or type(error).__name__
            raise Undecodable(f"the body does not fit its schema: {reason}") from error
        if stream.tell() != len(value):
            raise Undecodable(f"{len(value) - stream.tell()} bytes follow the event")
        return _event(record)


def _event(record: dict[str, Any]) -> SignupEvent:
    event_id = read_event_id(record["event_id"])
    if event_id is None:
        raise Undecodable("event_id is not a UUID")
    recipient = record["recipient"]
    return SignupEvent(
        event_id,
        record["occurred_at"],
        record["template"],
        Recipient(recipient["address"], recipient["name"]),
        record["locale"],
        record["data"],
        record["tenant"],
        record["not_before"],
        record["expires_at"],
        record["idempotency_key"],
    )
