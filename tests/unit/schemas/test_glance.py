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
