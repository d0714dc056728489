"""Dead-lettered records as rows of files, and back. JSON has bytes in base64, Avro as they are."""

from typing import Any, Final

import msgspec
from fastavro import parse_schema
from fastavro.types import Schema

from retry_topics.dlt.archive import Found
from retry_topics.dlt.edit import event_fields
from retry_topics.dlt.importing import BadRow, Row
from retry_topics.dlt.told import attempt_told, decoded, origin_told
from retry_topics.headers import read_journey
from schemas.archive import released_schemas
from schemas.codec import EventCodec
from schemas.dlt_journal import parse_position
from schemas.framing import plain_schema
from schemas.instants import write_instant

_KIND: Final = "dlt_export"


class _Recipient(msgspec.Struct, forbid_unknown_fields=True):
    address: str
    name: str | None = None


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    """An event's fields (see `retry_topics.dlt.edit.event_fields`)."""

    event_id: str
    occurred_at: int
    template: str
    recipient: _Recipient
    locale: str
    data: dict[str, str]
    tenant: str
    not_before: int | None = None
    expires_at: int | None = None
    idempotency_key: str | None = None


class _Row(msgspec.Struct):
    """What is read of a row; its other fields are for people."""

    position: str
    event: _Event | None
    value: bytes | None = None


_decoder: Final = msgspec.json.Decoder(_Row)


def schema() -> Schema:
    """Return the Avro schema of the rows."""
    return parse_schema(plain_schema(released_schemas(_KIND)[-1].text))


def exported(found: Found, codec: EventCodec) -> dict[str, Any]:
    """Return a record as a row of the schema: bytes are bytes."""
    letter, standing, message = found
    journey = read_journey(tuple(message.headers))
    event, problem = decoded(message.value, codec)
    return {
        "position": str(letter.position),
        "id": letter.mail_id or None,
        "died_at": write_instant(letter.at),
        "state": standing.state.value,
        "job": standing.job or None,
        "group": letter.group.fingerprint,
        "cause": letter.cause._asdict(),
        "text": None if journey.death is None else _writable(journey.death.text),
        "generation": letter.generation,
        "replays": letter.replays,
        "origin": origin_told(journey),
        "attempts": [
            {**attempt_told(attempt), "text": _writable(attempt.text)}
            for attempt in journey.history
        ],
        "attempts_omitted": journey.omitted,
        "event": None if event is None else event_fields(event),
        "undecodable": problem or None,
        "key": message.key,
        "value": message.value,
        "headers": [{"name": name, "value": value} for name, value in message.headers],
    }


def json_line(row: dict[str, Any]) -> bytes:
    """Return a row as a line of JSON."""
    return msgspec.json.encode(row) + b"\n"


def row_of_json(line: bytes, number: int) -> Row | BadRow:
    """Return the row in a line."""
    try:
        return _row(_decoder.decode(line), number)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return BadRow(number, str(error))


def row_of_record(record: object, number: int) -> Row | BadRow:
    """Return the row in a record of an Avro file."""
    try:
        return _row(msgspec.convert(record, _Row), number)
    except msgspec.ValidationError as error:
        return BadRow(number, str(error))


def _row(row: _Row, number: int) -> Row | BadRow:
    try:
        position = parse_position(row.position)
    except ValueError as error:
        return BadRow(number, str(error))
    event = None if row.event is None else msgspec.to_builtins(row.event)
    return Row(number, position, event, row.value)


def _writable(text: str) -> str:
    """Return a text of a header without what no UTF-8 has: halves of characters."""
    return text.encode("utf-8", "replace").decode()
