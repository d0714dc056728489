"""Every kind of refusal: its status, its problem, and that nothing was published."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx2
import pytest

from ingest.app import build_app
from ingest.intake import MAX_BODY
from runtime.kafka.published import PublishFailed, PublishUnavailable, RecordTooLarge

PLAIN = {
    "template": "plain",
    "to": {"address": "ada@example.com"},
    "data": {"subject": "Hi", "body": "text"},
}
SIGNUP = {"email": "ada@example.com", "confirm_url": "https://app.example.com/c"}
JSON = {"Content-Type": "application/json"}
KEY = "mck_test"


def fields(answer: httpx2.Response) -> set[str]:
    return {error["field"] for error in answer.json()["errors"]}


def assert_problem(answer: httpx2.Response, status: int, kind: str) -> None:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"urn:mailcascade:problem:{kind}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"template": "plain"} x',
        b"\xef\xbb\xbf{}",
        b'{"template": "\xff"}',
        b'{"template": "\\ud800"}',
        b'{"template": NaN}',
        b'{"data": ' + b"[" * 100_000,
        b'{"data": 1, "to": ' + b'{"a":' * 100_000,
    ],
)
async def test_what_is_no_json_is_400(client, publisher, body):
    """However it is broken, and however deep."""
    answer = await client.post("/v1/emails", content=body, headers=JSON)
    assert_problem(answer, 400, "malformed-body")
    assert not publisher.records


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"7"])
async def test_json_that_is_no_object_is_422(client, body):
    """The one problem is about the body as a whole."""
    answer = await client.post("/v1/emails", content=body, headers=JSON)
    assert_problem(answer, 422, "invalid-request")
    assert answer.json()["errors"] == [{"field": "", "message": "must be an object"}]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/x-ndjson"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_another_content_type_is_415(client, headers):
    """None at all, another charset and a compressed body, too."""
    answer = await client.post("/v1/emails", content=b"{}", headers=headers)
    assert_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize(
    "media", ["application/json; charset=utf-8", 'APPLICATION/JSON;charset="UTF-8"']
)
async def test_parameters_of_the_content_type_do_not_matter(client, media):
    """As long as they say UTF-8."""
    answer = await client.post("/v1/emails", json=PLAIN, headers={"Content-Type": media})
    assert answer.status_code == 202


async def test_a_body_over_the_limit_is_413(client):
    """A body of the limit's size is still read."""
    over = b" " * (MAX_BODY + 1)
    assert_problem(await client.post("/v1/emails", content=over, headers=JSON), 413, "too-large")
    at_limit = await client.post("/v1/emails", content=over[1:], headers=JSON)
    assert_problem(at_limit, 400, "malformed-body")


async def test_chunks_without_a_length_are_counted(client):
    """What comes in chunks is refused when it gets too long, not when it is complete."""
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * 65_536

    answer = await client.post("/v1/emails", content=chunks(), headers=JSON)
    assert_problem(answer, 413, "too-large")
    assert "content-length" not in answer.request.headers


async def test_a_body_in_chunks_is_put_together(client, publisher):
    """Wherever it is cut."""

    async def chunks() -> AsyncIterator[bytes]:
        for byte in httpx2.Request("POST", "http://x", json=PLAIN).content:
            yield bytes([byte])

    answer = await client.post("/v1/emails", content=chunks(), headers=JSON)
    assert answer.status_code == 202
    assert len(publisher.records) == 1


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        ("", 'Bearer realm="mailcascade"'),
        ("Basic bWNrX3Rlc3Q=", 'Bearer realm="mailcascade"'),
        ("Bearer", 'Bearer realm="mailcascade"'),
        ("Bearer wrong", 'Bearer realm="mailcascade", error="invalid_token"'),
        ("Bearer mck_test2", 'Bearer realm="mailcascade", error="invalid_token"'),
    ],
)
async def test_without_a_valid_key_it_is_401(client, publisher, authorization, challenge):
    """Before anything else is looked at."""
    headers = {"Authorization": authorization}
    answer = await client.post("/v1/emails", content=b"{", headers=headers)
    assert_problem(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == challenge
    assert not publisher.records


async def test_health_and_metrics_need_no_key(client):
    """Supervisors and scrapers have none."""
    for path in ("/livez", "/readyz", "/metrics", "/openapi.json"):
        assert (await client.get(path, headers={"Authorization": ""})).status_code == 200


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/emails/", "/v1/emails/abc", "/v1/unknown"])
async def test_an_unknown_path_is_404(client, path):
    """A mail's status, too: nothing stands in for the status view."""
    assert_problem(await client.get(path), 404, "not-found")


async def test_a_wrong_method_is_405(client):
    """With the methods that there are."""
    answer = await client.put("/v1/emails", json=PLAIN)
    assert_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        ({"template": "nope"}, {"template"}),
        ({"template": 7}, {"template"}),
        ({"template": None}, {"template"}),
        ({"to": {"address": "ada"}}, {"to.address"}),
        ({"to": {"address": "ada@localhost"}}, {"to.address"}),
        ({"to": {"address": "ada@example.com\r\nBcc: x@example.com"}}, {"to.address"}),
        ({"to": {}}, {"to.address"}),
        ({"to": {"address": "ada@example.com", "nmae": "Ada"}}, {"to.nmae"}),
        ({"to": {"address": "ada@example.com", "name": "A\r\nBcc: b"}}, {"to.name"}),
        ({"to": {"address": "ada@example.com", "name": "A\u2028b"}}, {"to.name"}),
        ({"to": {"address": "ada@example.com", "name": "A" * 201}}, {"to.name"}),
        ({"to": "ada@example.com"}, {"to"}),
        ({"data": {"subject": "Hi"}}, {"data.body"}),
        ({"data": {"subject": "Hi", "body": "x", "extra": "y"}}, {"data.extra"}),
        ({"data": {"subject": "Hi\n", "body": "x"}}, {"data.subject"}),
        ({"data": {"subject": 1, "body": ["x"]}}, {"data.subject", "data.body"}),
        ({"data": None}, {"data"}),
        ({"data": []}, {"data"}),
        ({"locale": "en_US!"}, {"locale"}),
        ({"locale": ""}, {"locale"}),
        ({"locale": "a" * 36}, {"locale"}),
        ({"expires_at": "2027-01-15T08:00:00Z"}, {"expires_at"}),
        ({"expires_at": "0001-01-01T00:00:00+10:00"}, {"expires_at"}),
        ({"expires_at": "2027-01-16T08:00:00"}, {"expires_at"}),
        ({"expires_at": "tomorrow"}, {"expires_at"}),
        ({"expires_at": 1_900_000_000}, {"expires_at"}),
        ({"not_before": "2027-01-16"}, {"not_before"}),
        (
            {"not_before": "2027-01-17T08:00:00Z", "expires_at": "2027-01-17T08:00:00Z"},
            {"not_before"},
        ),
        ({"idempotency_key": "only in a batch"}, {"idempotency_key"}),
        ({"priority": "high"}, {"priority"}),
        (
            {
                "template": "nope",
                "to": {"address": "@", "name": "\x00"},
                "locale": "?",
                "expires_at": "2001-01-01T00:00:00Z",
                "zip": 1,
            },
            {"template", "to.address", "to.name", "locale", "expires_at", "zip"},
        ),
    ],
)
async def test_every_bad_field_is_named(client, publisher, change, bad):
    """All of them at once, each by its path."""
    answer = await client.post("/v1/emails", json={**PLAIN, **change})
    assert_problem(answer, 422, "invalid-request")
    assert fields(answer) == bad
    assert len(answer.json()["errors"]) == len(bad)
    assert not publisher.records


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        ({"email": "ada"}, {"email"}),
        ({"email": None}, {"email"}),
        ({"confirm_url": "http://app.example.com/c"}, {"confirm_url"}),
        ({"confirm_url": "javascript:alert(1)"}, {"confirm_url"}),
        ({"confirm_url": 1}, {"confirm_url"}),
        ({"name": "x" * 150}, {"name"}),
        ({"name": "\x07"}, {"name"}),
        ({"data": {"confirm_url": "https://x.example"}}, {"data.confirm_url"}),
        ({"data": {"colour": "red"}}, {"data.colour"}),
        ({"template": "welcome"}, {"template"}),
    ],
)
async def test_a_signups_fields_are_named_as_it_names_them(client, change, bad):
    """Not as the template's variables that they become."""
    answer = await client.post("/v1/signups", json={**SIGNUP, **change})
    assert_problem(answer, 422, "invalid-request")
    assert fields(answer) == bad


async def test_plain_http_to_this_machine_is_a_fine_link(client):
    """So that an application can be tried where it is developed."""
    signup = {**SIGNUP, "confirm_url": "http://127.0.0.1:3000/c"}
    assert (await client.post("/v1/signups", json=signup)).status_code == 202


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"caf\xc3\xa9", b"a\tb"])
async def test_a_bad_idempotency_key_is_named_with_the_other_fields(client, key):
    """It is a field like the others."""
    answer = await client.post(
        "/v1/emails", json={**PLAIN, "locale": "?"}, headers=[(b"Idempotency-Key", key)]
    )
    assert_problem(answer, 422, "invalid-request")
    assert fields(answer) == {"Idempotency-Key", "locale"}


async def test_an_unreachable_kafka_is_503_with_a_time_to_come_back(client, publisher):
    """Never a 202: the event is not known to be stored."""
    publisher.failures.append(PublishUnavailable("timed out", 5, "_MSG_TIMED_OUT"))
    answer = await client.post("/v1/emails", json=PLAIN)
    assert_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    text = (await client.get("/metrics")).text
    assert 'mailcascade_publish_failures_total{reason="_MSG_TIMED_OUT"} 1.0' in text
    assert 'mailcascade_events_refused_total{reason="unavailable"} 1.0' in text


async def test_a_record_that_kafka_refuses_is_500(client, publisher):
    """Coming back would not help, and it is not the client's fault."""
    publisher.failures.append(PublishFailed("no", "POLICY_VIOLATION"))
    answer = await client.post("/v1/emails", json=PLAIN)
    assert_problem(answer, 500, "event-refused")
    assert "retry-after" not in answer.headers


async def test_a_record_that_is_too_large_for_its_topic_is_413(client, publisher):
    """It is what the client sent that is too large."""
    publisher.failures.append(RecordTooLarge("no", "MSG_SIZE_TOO_LARGE"))
    answer = await client.post("/v1/emails", json=PLAIN)
    assert_problem(answer, 413, "too-large")


async def test_a_body_that_does_not_come_is_408(parts, publisher):
    """The connection is closed, for its other end may hold it for ever."""
    app = build_app(replace(parts, body_seconds=0.01))

    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://x") as slow:
        headers = {**JSON, "Authorization": f"Bearer {KEY}"}
        for path in ("/v1/emails", "/v1/signups", "/v1/emails/batch"):
            answer = await slow.post(path, content=chunks(), headers=headers)
            assert_problem(answer, 408, "request-timeout")
            assert answer.headers["connection"] == "close"
    assert not publisher.records


async def test_readiness_follows_kafka(client, publisher):
    """With the reason; the process stays alive meanwhile."""
    assert (await client.get("/readyz")).json() == {"status": "ready", "reasons": []}
    publisher.down = "Kafka is not reachable"
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "not ready", "reasons": ["Kafka is not reachable"]}
    assert (await client.get("/livez")).status_code == 200
    publisher.fatal = True
    assert (await client.get("/livez")).status_code == 503


async def test_an_error_of_ours_is_500_and_tells_nothing(client, publisher, monkeypatch):
    """The log has the traceback, the client a problem."""

    async def fail(records: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(publisher, "publish_many", fail)
    answer = await client.post("/v1/emails", json=PLAIN)
    assert_problem(answer, 500, "internal-error")
    assert "secret" not in answer.text
