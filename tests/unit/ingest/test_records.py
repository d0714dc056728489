"""A checked mail is written down as the event that it stands for."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ingest.mails import Mail, Mailbox
from ingest.records import Recorder
from schemas.codec import EventCodec, encode
from schemas.events import Recipient, SignupEvent
from schemas.identity import lane_key

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
instants = st.integers(0, 2**45)
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


def mail_of(event: SignupEvent) -> Mail:
    recipient = structs.asdict(event.recipient)
    fields = {**structs.asdict(event), "event_id": str(event.event_id), "recipient": recipient}
    return Mail(**{**fields, "recipient": Mailbox(**fields["recipient"])})


@given(events)
def test_a_mail_has_the_bytes_of_its_event(event: SignupEvent) -> None:
    """Both are written by the same hand, whichever class they have."""
    entry = Recorder("mails", encode).entry(mail_of(event))

    assert entry.value == encode(event)
    assert EventCodec(None).decode(entry.value) == event
    assert entry.key == lane_key(event.recipient.address)
    assert dict(entry.headers)["ce_id"] == str(event.event_id).encode()
    assert dict(entry.headers)["ce_source"] == f"/mailcascade/ingest/{event.tenant}".encode()
