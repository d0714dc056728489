"""What an accepted mail becomes: an answer for the client, a record for Kafka."""

import httpx2
import pytest

from schemas.codec import EventCodec
from schemas.events import Recipient, SignupEvent
from schemas.identity import idempotent_event_id, lane_key, parse_mail_id

SIGNUP = {"email": "ada@example.com", "confirm_url": "https://app.example.com/c"}
PLAIN = {
    "template": "plain",
    "to": {"address": "ada@example.com"},
    "data": {"subject": "Hi", "body": "Two\nlines"},
}
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


def event_in(publisher) -> SignupEvent:
    (record,) = publisher.records
    return EventCodec(None).decode(record.value)


async def test_an_accepted_mail_is_answered_with_its_id(client: httpx2.AsyncClient, publisher):
    """202, the id and where its status will be; the Location is the same path."""
    answer = await client.post("/v1/emails", json=PLAIN)

    assert answer.status_code == 202
    body = answer.json()
    assert body["status_url"] == f"/v1/emails/{body['id']}" == answer.headers["location"]
    event_id, lane = parse_mail_id(body["id"])
    assert event_id == event_in(publisher).event_id
    assert lane == lane_key("ada@example.com") == publisher.records[0].key


async def test_a_record_follows_the_cloudevents_binding(client, publisher, clock):
    """Headers of the binary mode, and the lane key as the record's key."""
    answer = await client.post("/v1/signups", json=SIGNUP)

    (record,) = publisher.records
    event_id, _ = parse_mail_id(answer.json()["id"])
    assert record.topic == "mails"
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": str(event_id).encode(),
        "ce_source": b"/mailcascade/ingest/shop",
        "ce_type": b"com.mailcascade.email.requested.v1",
        "ce_time": b"2027-01-15T08:00:00.000Z",
        "content-type": b"application/avro",
    }


async def test_a_signup_uses_the_confirmation_template(client, publisher, clock):
    """The link and the name become variables, the template's day to live the expiry."""
    data = {"app_name": "Shop"}
    signup = {**SIGNUP, "name": "  Ada  ", "locale": "de-AT", "data": data}
    await client.post("/v1/signups", json=signup)

    event = event_in(publisher)
    assert event.template == "signup-confirmation"
    assert event.recipient == Recipient("ada@example.com", "Ada")
    assert event.data == {
        "confirm_url": "https://app.example.com/c",
        "name": "Ada",
        "app_name": "Shop",
    }
    assert (event.locale, event.tenant) == ("de-AT", "shop")
    assert event.occurred_at == clock.now_ms()
    assert event.expires_at == clock.now_ms() + DAY_MS


async def test_a_name_that_the_template_does_not_take_is_kept_for_the_header(client, publisher):
    """`plain` has no variable `name`, so the name is the recipient's only."""
    to = {"address": "ada@example.com", "name": "Ada"}
    await client.post("/v1/emails", json={**PLAIN, "to": to})

    event = event_in(publisher)
    assert event.recipient.name == "Ada"
    assert "name" not in event.data


async def test_names_and_domains_of_any_script_work(client, publisher):
    """The domain is kept as A-labels, the name and the local part as they are."""
    to = {"address": "jürgen@BÜCHER.example", "name": "Юрий 山田"}
    answer = await client.post("/v1/emails", json={**PLAIN, "to": to})

    assert answer.status_code == 202
    recipient = event_in(publisher).recipient
    assert recipient == Recipient("jürgen@xn--bcher-kva.example", "Юрий 山田")


@pytest.mark.parametrize(
    ("times", "not_before", "expires_at"),
    [
        # plain lives for three days, counted from when it may be sent
        ({}, None, 3 * DAY_MS),
        ({"not_before": "2027-01-15T10:00:00+01:00"}, HOUR_MS, HOUR_MS + 3 * DAY_MS),
        ({"not_before": "2027-01-15T07:00:00Z"}, -HOUR_MS, 3 * DAY_MS),
        ({"expires_at": "2027-01-15T09:00:00.5Z"}, None, HOUR_MS + 500),
        (
            {"not_before": "2027-01-15T09:00:00Z", "expires_at": "2027-01-15T10:00:00Z"},
            HOUR_MS,
            2 * HOUR_MS,
        ),
    ],
)
async def test_instants_are_kept_in_utc(client, publisher, clock, times, not_before, expires_at):
    """At 2027-01-15T08:00:00Z; without `expires_at` the template's time to live counts."""
    answer = await client.post("/v1/emails", json={**PLAIN, **times})

    assert answer.status_code == 202
    event = event_in(publisher)
    now = clock.now_ms()
    assert event.not_before == (None if not_before is None else now + not_before)
    assert event.expires_at == now + expires_at


async def test_a_repeated_key_names_the_same_mail(client, publisher):
    """Tenant, key and recipient decide the id, whatever else is in the request."""
    headers = {"Idempotency-Key": "order 7"}
    first = await client.post("/v1/emails", json=PLAIN, headers=headers)
    again = await client.post("/v1/signups", json=SIGNUP, headers=headers)
    other = await client.post("/v1/emails", json=PLAIN, headers={"Idempotency-Key": "order 8"})

    assert first.json()["id"] == again.json()["id"] != other.json()["id"]
    event = EventCodec(None).decode(publisher.records[0].value)
    assert event.event_id == idempotent_event_id("shop", "order 7", "ada@example.com")
    assert event.idempotency_key == "order 7"


async def test_accepted_mails_are_counted(client):
    """By template, and by route and status."""
    await client.post("/v1/emails", json=PLAIN)

    text = (await client.get("/metrics")).text
    assert 'mailcascade_events_accepted_total{template="plain"} 1.0' in text
    assert 'mailcascade_http_requests_total{route="/v1/emails",status="202"} 1.0' in text
    assert "mailcascade_publish_seconds_count 1.0" in text
