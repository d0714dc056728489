"""Many mails in one request: each has its own result, in order."""

import json
from uuid import UUID

import httpx2
import pytest

from ingest.batch import MAX_BODY
from runtime.kafka.published import PublishFailed, PublishUnavailable, RecordTooLarge
from schemas.codec import EventCodec
from schemas.identity import idempotent_event_id, mail_id

PATH = "/v1/emails/batch"
NDJSON = {"Content-Type": "application/x-ndjson"}


def item(name: str = "ada", **more: object) -> dict[str, object]:
    return {"template": "welcome", "to": {"address": f"{name}@example.com"}, **more}


def lines(*items: object) -> bytes:
    return "\n".join(json.dumps(one) for one in items).encode()


async def test_a_good_batch_is_202_with_an_id_for_each_item(client, publisher):
    """In the order of the items, which is the order of the records."""
    answer = await client.post(PATH, json=[item(f"p{n}") for n in range(1000)])

    assert answer.status_code == 202
    body = answer.json()
    assert (body["accepted"], body["refused"], len(body["results"])) == (1000, 0, 1000)
    events = [EventCodec(None).decode(record.value) for record in publisher.records]
    assert [event.recipient.address for event in events] == [
        f"p{n}@example.com" for n in range(1000)
    ]
    ids = [dict(record.headers)["ce_id"].decode() for record in publisher.records]
    assert [str(event.event_id) for event in events] == ids
    for result in body["results"]:
        assert result == {
            "status": 202,
            "id": result["id"],
            "status_url": f"/v1/emails/{result['id']}",
        }


async def test_a_mixed_batch_is_207_with_a_problem_for_each_bad_item(client, publisher):
    """Good items are accepted whatever is wrong with their neighbours."""
    answer = await client.post(
        PATH, json=[item("a"), item("b", template="nope", locale="?"), 7, item("c")]
    )

    assert answer.status_code == 207
    body = answer.json()
    assert (body["accepted"], body["refused"]) == (2, 2)
    assert [result["status"] for result in body["results"]] == [202, 422, 422, 202]
    problem = body["results"][1]["problem"]
    assert {error["field"] for error in problem["errors"]} == {"template", "locale"}
    assert len(publisher.records) == 2


async def test_lines_of_json_are_a_batch(client):
    """Blank lines do not count, and a broken line is its own problem only."""
    body = lines(item("a")) + b"\r\n\n{\n" + lines(item("b")) + b"\n"
    answer = await client.post(PATH, content=body, headers=NDJSON)

    assert answer.status_code == 207
    assert [result["status"] for result in answer.json()["results"]] == [202, 400, 202]


async def test_an_item_has_its_own_idempotency_key(client, publisher):
    """As the header is for a single mail."""
    bad = item("b", idempotency_key="")
    answer = await client.post(PATH, json=[item("a", idempotency_key="k"), bad])

    event = EventCodec(None).decode(publisher.records[0].value)
    assert event.event_id == idempotent_event_id("shop", "k", "a@example.com")
    (error,) = answer.json()["results"][1]["problem"]["errors"]
    assert error["field"] == "idempotency_key"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": b"[{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"json": {"items": []}}, 422),
        ({"json": []}, 422),
        ({"json": [item()] * 1001}, 422),
        ({"content": b"\n\n", "headers": NDJSON}, 422),
        ({"content": lines(item()), "headers": {"Content-Type": "text/csv"}}, 415),
        ({"content": b" " * (MAX_BODY + 1), "headers": NDJSON}, 413),
        ({"json": [item()], "headers": {"Idempotency-Key": "k"}}, 422),
        ({"json": [item()], "headers": {"Authorization": "Bearer x"}}, 401),
        ({"content": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400),
    ],
)
async def test_what_is_wrong_with_the_whole_refuses_it_whole(client, publisher, request_, status):
    """Nothing of it is accepted."""
    answer: httpx2.Response = await client.post(PATH, **request_)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert not publisher.records


async def test_a_batch_that_kafka_took_nothing_of_is_503(client, publisher):
    """So that a client can send it again as it is."""
    publisher.failures += [PublishUnavailable("down", 5)] * 2
    answer = await client.post(PATH, json=[item("a"), item("b"), item("c", template="nope")])
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"


async def test_a_batch_that_kafka_took_in_part_tells_which(client, publisher):
    """An item that was not acknowledged is never called accepted."""
    publisher.failures += [
        PublishUnavailable("queue full", 1),
        PublishFailed("no"),
        RecordTooLarge("no"),
    ]
    items = [item("a"), item("x", locale="?"), item("b"), item("c"), item("d")]
    answer = await client.post(PATH, json=items)
    assert answer.status_code == 207
    body = answer.json()
    assert [result["status"] for result in body["results"]] == [503, 422, 500, 413, 202]
    assert (body["accepted"], body["refused"]) == (1, 4)
    (record,) = publisher.records
    assert body["results"][-1]["id"] == mail_id(UUID(record.event_id), record.key)
