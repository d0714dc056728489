"""A glance at an event says what decoding it says, and leaves what is odd to the codec."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import EventCodec, encode
from schemas.errors import Undecodable
from schemas.events import Recipient, SignupEvent
from schemas.glance import Glance, glance

CODEC = EventCodec(None)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
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


@given(events)
def test_a_glance_sees_what_decoding_sees(event: SignupEvent) -> None:
    """Every field that it has is the event's."""
    assert glance(encode(event), CODEC) == Glance(
        event.event_id.bytes,
        event.template,
        event.recipient.address,
        event.tenant,
        event.expires_at,
    )


def long(number: int, more: int = 0) -> bytes:
    """Return a long of less than 64 in `more` bytes more than it takes."""
    raw = number << 1 ^ number >> 63
    return bytes([raw | 0x80] + [0x80] * (more - 1) + [0]) if more else bytes([raw])


def string(text: str) -> bytes:
    return long(len(text)) + text.encode()


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=3),
    st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_an_event_that_is_written_otherwise_is_seen_as_it_is_decoded(
    blocks: list[tuple[bool, int]], more: list[int]
) -> None:
    """Maps in blocks, with and without their sizes, and numbers longer than they must be."""
    spare = iter(more)
    data = b""
    for sized, count in blocks:
        items = b"".join(string("key") + string("value") for _ in range(count))
        size = long(len(items), 1) if sized else b""
        data += long(-count if sized else count, next(spare)) + size + items
    value = b"".join(
        (
            encode(EVENT)[:10],
            string(str(EVENT.event_id)),
            long(5, next(spare)),
            string("plain"),
            string("ada@example.com"),
            long(0),
            string("en"),
            data + long(0, next(spare)),
            string("shop"),
            long(1) + long(7, next(spare)),
            long(1) + long(9, next(spare)),
            long(0),
        )
    )
    event = CODEC.decode(value)
    seen = Glance(event.event_id.bytes, "plain", "ada@example.com", "shop", event.expires_at)
    assert glance(value, CODEC) == seen


@given(st.binary(max_size=200), st.booleans())
def test_bytes_that_are_no_event_are_undecodable(noise: bytes, framed: bool) -> None:
    """Whatever is read, it is an event's fields or `Undecodable`, nothing else."""
    start = encode(EVENT)[:10] if framed else b""
    try:
        seen = glance(start + noise, CODEC)
    except Undecodable:
        return
    assert len(seen.event_id) == 16


@given(st.data())
def test_an_event_that_is_cut_short_is_undecodable(data: st.DataObject) -> None:
    """A prefix that misses a field that is looked at is not taken for an event."""
    value = encode(EVENT)
    cut = data.draw(st.integers(0, value.index(b"shop") + 3))

    with pytest.raises(Undecodable):
        glance(value[:cut], CODEC)


def test_a_record_without_a_value_is_undecodable() -> None:
    """A tombstone is no mail."""
    with pytest.raises(Undecodable):
        glance(None, CODEC)


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
