"""The codec: bytes that any Avro reader understands, and one clear answer to all others."""

import json
import random
from io import BytesIO
from uuid import UUID

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.archive import current_schema
from schemas.codec import EventCodec, encode
from schemas.errors import RegistryUnavailable, Undecodable, UnknownSchema
from schemas.events import Recipient, SignupEvent

EVENT = SignupEvent(
    event_id=UUID("0192d3c0-7b1e-7d3a-9c55-0a6b1f2e3d4c"),
    occurred_at=1_764_000_000_123,
    template="signup-confirmation",
    recipient=Recipient("ada@example.com", "Ada Lovelace"),
    locale="en",
    data={"confirm_url": "https://example.com/confirm?t=1"},
    tenant="shop",
    expires_at=1_764_086_400_000,
)
HEADER = bytes.fromhex("c301") + current_schema().fingerprint
BODY = encode(EVENT)[len(HEADER) :]

# Surrogates cannot be written as UTF-8.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
instants = st.integers(-(2**63), 2**63 - 1)
events = st.builds(
    SignupEvent,
    event_id=st.uuids(),
    occurred_at=instants,
    template=texts,
    recipient=st.builds(Recipient, texts, st.none() | texts),
    locale=texts,
    data=st.dictionaries(texts, texts, max_size=5),
    tenant=texts,
    not_before=st.none() | instants,
    expires_at=st.none() | instants,
    idempotency_key=st.none() | texts,
)


class Registry:
    """A schema registry in memory that counts how often it is asked."""

    def __init__(self, schemas: dict[int, str], *, down: bool = False) -> None:
        self.schemas = schemas
        self.down = down
        self.asked = 0

    def schema(self, schema_id: int) -> str:
        self.asked += 1
        if self.down:
            raise RegistryUnavailable("connection refused")
        if schema_id not in self.schemas:
            raise UnknownSchema(schema_id)
        return self.schemas[schema_id]


def as_record(event: SignupEvent) -> dict[str, object]:
    """The event as the generic record that fastavro writes."""
    return {
        "event_id": str(event.event_id),
        "occurred_at": event.occurred_at,
        "template": event.template,
        "recipient": {"address": event.recipient.address, "name": event.recipient.name},
        "locale": event.locale,
        "data": dict(event.data),
        "tenant": event.tenant,
        "not_before": event.not_before,
        "expires_at": event.expires_at,
        "idempotency_key": event.idempotency_key,
    }


def plain_schema(**extra: object) -> dict[str, object]:
    """The current schema without logical types, with one more field if one is given."""
    text = current_schema().text
    for logical in ("uuid", "timestamp-millis"):
        text = text.replace(f', "logicalType": "{logical}"', "")
    schema: dict[str, list[object]] = json.loads(text)
    if extra:
        schema["fields"].insert(0, extra)
    return dict(schema)


def written(schema: dict[str, object], record: dict[str, object]) -> bytes:
    stream = BytesIO()
    schemaless_writer(stream, parse_schema(schema), record)
    return stream.getvalue()


def reason(value: bytes, codec: EventCodec | None = None) -> str:
    """Why the codec refuses a value."""
    with pytest.raises(Undecodable) as caught:
        (codec or EventCodec(None)).decode(value)
    return str(caught.value)


@given(events)
def test_an_event_survives_the_round_trip(event: SignupEvent) -> None:
    """What was encoded is decoded to an equal event."""
    assert EventCodec(None).decode(encode(event)) == event


@given(events)
def test_the_body_is_what_a_general_avro_writer_writes(event: SignupEvent) -> None:
    """The hand-written body holds the bytes that fastavro makes of the schema."""
    assert encode(event)[len(HEADER) :] == written(plain_schema(), as_record(event))


@given(events, st.integers(0, 2**32 - 1))
def test_both_framings_carry_the_same_body(event: SignupEvent, schema_id: int) -> None:
    """Framing is a header before the body, nothing else."""
    framed = encode(event, schema_id=schema_id)

    assert framed == b"\x00" + schema_id.to_bytes(4, "big") + encode(event)[len(HEADER) :]
    assert encode(event).startswith(HEADER)


def test_logical_types_give_dates_and_ids_to_other_readers() -> None:
    """A reader that uses the published schema sees a UUID and instants with a time zone."""
    record = schemaless_reader(BytesIO(BODY), json.loads(current_schema().text), None)

    assert isinstance(record, dict)
    assert record["event_id"] == EVENT.event_id
    assert record["occurred_at"].isoformat() == "2025-11-24T16:00:00.123000+00:00"


def test_long_values_are_written_whole() -> None:
    """Texts and maps far beyond the common sizes survive."""
    event = SignupEvent(
        EVENT.event_id,
        0,
        "plain",
        EVENT.recipient,
        "zh-CN",
        {"body": "信" * 100_000} | {f"v{n}": "" for n in range(3_000)},
        "t" * 5_000,
    )

    assert EventCodec(None).decode(encode(event)) == event


@pytest.mark.parametrize("instant", [2**63, -(2**63) - 1, 2**80])
def test_an_instant_beyond_64_bits_is_refused(instant: int) -> None:
    """Encoding never writes a number that a reader would take for another."""
    event = SignupEvent(
        EVENT.event_id, instant, "plain", EVENT.recipient, "en", {}, "shop", None, None, None
    )

    with pytest.raises(ValueError, match="64 bits"):
        encode(event)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (b"", "the value is empty"),
        (b"{}", "starts with 7b7d"),
        (b"\xc3", "starts with c3"),
        (b"\xc3\x01", "ends inside its schema's fingerprint"),
        (HEADER[:9], "ends inside its schema's fingerprint"),
        (b"\xc3\x01" + b"\x07" * 8 + BODY, "no released schema has the fingerprint 0707070707"),
        (HEADER, "the body does not fit its schema"),
        (HEADER + BODY[:-1], "the body does not fit its schema"),
        (HEADER + BODY + b"\x00", "1 bytes follow the event"),
        (HEADER + BODY.replace(b"0192d3c0", b"{192d3c0"), "event_id is not a UUID"),
        (HEADER + BODY.replace(b"0192d3c0", b"0192_3c0"), "event_id is not a UUID"),
        (HEADER + BODY.replace(b"ada@", b"\xff\xff\xff\xff"), "the body does not fit its schema"),
        (b"\x00\x00\x00", "ends inside its schema id"),
        (b"\x00\x00\x00\x00\x07" + BODY, "names schema 7 of a registry, and no registry is set"),
    ],
)
def test_what_is_no_event_is_refused_with_its_reason(value: bytes, why: str) -> None:
    """Each way of being no event has a message that says which it is."""
    assert why in reason(value)


def test_a_reason_never_holds_the_mail_s_content() -> None:
    """Reasons go to logs and headers, where no address and no token may be."""
    broken = HEADER + BODY.replace(b"confirm?t", b"confirm\xfft")

    assert "example.com" not in reason(broken)


@given(st.binary(max_size=200))
@example(b"\x00")
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    """Whatever lies on a topic is an event or undecodable, never a crash."""
    codec = EventCodec(Registry({7: current_schema().text}))
    for candidate in (value, HEADER + value, b"\x00\x00\x00\x00\x07" + value):
        try:
            codec.decode(candidate)
        except Undecodable:
            continue


@given(st.randoms(use_true_random=False))
def test_no_damaged_event_raises_anything_else(chance: random.Random) -> None:
    """An event with a few bytes changed, lost or added is an event or undecodable."""
    value = bytearray(HEADER + BODY)
    for _ in range(chance.randint(1, 4)):
        position = chance.randrange(len(HEADER), len(value))
        value[position : position + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 3))
        if len(value) <= len(HEADER):
            return
    try:
        EventCodec(None).decode(bytes(value))
    except Undecodable:
        return


def test_confluent_framing_is_read_with_the_registered_schema() -> None:
    """A value that names our schema in a registry is an event."""
    codec = EventCodec(Registry({7: current_schema().text}))

    assert codec.decode(encode(EVENT, schema_id=7)) == EVENT


def test_a_registered_schema_is_asked_for_once() -> None:
    """The registry is asked once for each schema id, not once for each record."""
    registry = Registry({7: current_schema().text})
    codec = EventCodec(registry)

    for _ in range(3):
        codec.decode(encode(EVENT, schema_id=7))

    assert registry.asked == 1


def test_a_field_that_we_do_not_know_is_skipped() -> None:
    """A newer writer's additional field does not disturb this reader."""
    newer = plain_schema(name="campaign", type="string", default="")
    codec = EventCodec(Registry({8: json.dumps(newer)}))

    body = written(newer, as_record(EVENT) | {"campaign": "spring"})

    assert codec.decode(b"\x00\x00\x00\x00\x08" + body) == EVENT


def test_a_field_that_the_writer_lacks_has_its_default() -> None:
    """A foreign writer may leave out what has a default."""
    slim = plain_schema()
    fields = slim["fields"]
    assert isinstance(fields, list)
    slim["fields"] = [field for field in fields if field["name"] != "expires_at"]
    codec = EventCodec(Registry({9: json.dumps(slim)}))

    event = codec.decode(b"\x00\x00\x00\x00\x09" + written(slim, as_record(EVENT)))

    assert event.expires_at is None
    assert event.data == EVENT.data


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ('"string"', "does not resolve to ours"),
        ('{"type": "record", "name": "Other", "fields": []}', "does not resolve to ours"),
        ('{"type": "record", "name": "SignupEvent"', "schema 7 is not an Avro schema"),
        ('{"type": "no-such-type"}', "schema 7 is not an Avro schema"),
        ("[]", "does not"),
        ("7", "schema 7 is not an Avro schema"),
    ],
)
def test_a_foreign_schema_makes_a_value_undecodable(schema: str, why: str) -> None:
    """A value of a schema that cannot become an event is poison, whatever the schema is."""
    codec = EventCodec(Registry({7: schema}))

    assert why in reason(b"\x00\x00\x00\x00\x07\x02a", codec)


def test_an_id_that_the_registry_does_not_have_is_undecodable() -> None:
    """The registry's answer that there is no such schema is final."""
    assert "no schema with id 12" in reason(encode(EVENT, schema_id=12), EventCodec(Registry({})))


def test_a_registry_that_is_down_is_an_outage_not_poison() -> None:
    """The registry's silence says nothing about the record, and is asked again."""
    registry = Registry({7: current_schema().text}, down=True)
    codec = EventCodec(registry)
    with pytest.raises(RegistryUnavailable):
        codec.decode(encode(EVENT, schema_id=7))

    registry.down = False

    assert codec.decode(encode(EVENT, schema_id=7)) == EVENT
