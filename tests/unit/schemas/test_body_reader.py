"""The swift reader agrees with a general Avro reader wherever it says anything at all."""

import random
from io import BytesIO
from typing import Any
from uuid import UUID

import pytest
from fastavro import schemaless_reader, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from schemas.archive import current_schema
from schemas.body import write_body
from schemas.body_reader import read_body
from schemas.events import Recipient, SignupEvent
from schemas.framing import UNREADABLE, plain_schema

_SCHEMA = plain_schema(current_schema().text)
_texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=90)
_instants = st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**42), 2**42)
_events = st.builds(
    SignupEvent,
    event_id=st.uuids(),
    occurred_at=_instants,
    template=_texts,
    recipient=st.builds(Recipient, _texts, st.none() | _texts),
    locale=_texts,
    data=st.dictionaries(_texts, _texts, max_size=5),
    tenant=_texts,
    not_before=st.none() | _instants,
    expires_at=st.none() | _instants,
    idempotency_key=st.none() | _texts,
)


def _generally(body: bytes) -> SignupEvent | None:
    """Read as a general reader does; None: it is no event."""
    stream = BytesIO(body)
    try:
        read: Any = schemaless_reader(stream, _SCHEMA, None)
        if stream.tell() != len(body):
            return None
        fields = read | {
            "event_id": UUID(read["event_id"]),
            "recipient": Recipient(**read["recipient"]),
        }
    except UNREADABLE:
        return None
    return SignupEvent(**fields)


@given(_events, st.binary(max_size=12))
def test_what_our_writer_writes_is_read_back_from_any_place(
    event: SignupEvent, framing: bytes
) -> None:
    assert read_body(framing + write_body(event), len(framing)) == event


@given(_events)
def test_what_a_general_writer_writes_is_read_alike(event: SignupEvent) -> None:
    stream = BytesIO()
    fields = structs.asdict(event) | {
        "event_id": str(event.event_id),
        "recipient": structs.asdict(event.recipient),
    }
    schemaless_writer(stream, _SCHEMA, fields)
    assert read_body(stream.getvalue(), 0) == event


@given(_events, st.randoms(use_true_random=False))
def test_a_damaged_body_is_read_as_a_general_reader_does_or_not_at_all(
    event: SignupEvent, chance: random.Random
) -> None:
    body = bytearray(write_body(event))
    for _ in range(chance.randint(1, 4)):
        position = chance.randrange(len(body) + 1)
        body[position : position + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 3))
    read = read_body(bytes(body), 0)
    assert read is None or read == _generally(bytes(body))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_as_a_general_reader_does_or_not_at_all(body: bytes) -> None:
    read = read_body(body, 0)
    assert read is None or read == _generally(body)


@given(_events)
def test_a_body_that_is_cut_short_is_no_event(event: SignupEvent) -> None:
    body = write_body(event)
    assert [read_body(body[:end], 0) for end in range(len(body))] == [None] * len(body)


@pytest.mark.parametrize(
    "blocks",
    [
        pytest.param(b"\x02\x02a\x02b\x02\x02c\x02d\x00", id="two blocks"),
        pytest.param(b"\x01\x08\x02a\x02b\x00", id="a block that tells its size"),
    ],
)
def test_a_map_of_another_form_is_left_to_the_general_reader(blocks: bytes) -> None:
    event = SignupEvent(UUID(int=1), 5, "t", Recipient("a@b.c"), "en", {}, "shop")
    body = write_body(event)
    at = body.index(b"\x04en") + 3
    assert body[at : at + 1] == b"\x00"
    other = body[:at] + blocks + body[at + 1 :]
    assert _generally(other) is not None
    assert read_body(other, 0) is None
