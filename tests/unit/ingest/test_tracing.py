"""A request's trace goes on with its mail: as it came where traces are off, as spans where on."""

import io
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from ingest.app import Parts, build_app
from runtime.kafka.pending import Publishable
from runtime.kafka.published import PublishError, PublishUnavailable
from runtime.logs import configure_logs
from runtime.trace_context import CURRENT, TraceContext, read_context, read_origin
from tests.support.log_state import logs_as_before
from tests.support.spans import MemorySpans, context_of, parent_of
from tests.unit.ingest.conftest import KEY, MemoryPublisher

CLIENT = TraceContext("c" * 32, "d" * 16, 1, "shop=1")
EMAIL = {
    "template": "signup-confirmation",
    "to": {"address": "ada@example.com"},
    "data": {"confirm_url": "https://example.com/c"},
}


@pytest.fixture
def spans() -> MemorySpans:
    return MemorySpans()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with logs_as_before():
        stream = io.StringIO()
        configure_logs("info", stream)
        yield stream


def client_of(parts: Parts) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(
        transport=httpx2.ASGITransport(build_app(parts)),
        base_url="http://ingest",
        headers={"Authorization": f"Bearer {KEY}"},
    )


@pytest.fixture
async def traced(parts: Parts, spans: MemorySpans) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an API that makes traces."""
    async with client_of(replace(parts, tracer=spans.tracer)) as client:
        yield client


def named(context: TraceContext) -> list[tuple[str, str]]:
    return [("traceparent", context.parent), ("tracestate", context.state)]


def contexts(publisher: MemoryPublisher) -> list[TraceContext | None]:
    for record in publisher.records:
        assert read_origin(record.headers) == read_context(record.headers)
    return [read_context(record.headers) for record in publisher.records]


async def test_without_traces_the_client_s_is_carried_on(
    client: httpx2.AsyncClient, publisher: MemoryPublisher
) -> None:
    """One mail, a batch, a cancellation; a request without a trace carries none."""
    answer = await client.post("/v1/emails", json=EMAIL, headers=named(CLIENT))
    await client.post("/v1/emails/batch", json=[EMAIL, EMAIL], headers=named(CLIENT))
    await client.delete(answer.json()["status_url"], headers=named(CLIENT))
    assert contexts(publisher) == [CLIENT] * 4
    publisher.records.clear()
    assert (await client.post("/v1/emails", json=EMAIL)).status_code == 202
    assert contexts(publisher) == [None]
    assert CURRENT.get() is None


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", CLIENT.parent.upper())],
        [("traceparent", CLIENT.parent), ("traceparent", CLIENT.parent)],
        [("tracestate", CLIENT.state)],
    ],
)
async def test_a_wrong_trace_is_ignored(
    client: httpx2.AsyncClient, publisher: MemoryPublisher, headers: list[tuple[str, str]]
) -> None:
    """The mail is accepted all the same."""
    answer = await client.post("/v1/emails", json=EMAIL, headers=headers)
    assert answer.status_code == 202
    assert contexts(publisher) == [None]


async def test_members_of_a_state_may_come_in_several_headers(
    client: httpx2.AsyncClient, publisher: MemoryPublisher
) -> None:
    """As any list in HTTP."""
    headers = [("traceparent", CLIENT.parent), ("tracestate", "a=1"), ("tracestate", "b=2")]
    await client.post("/v1/emails", json=EMAIL, headers=headers)
    assert contexts(publisher) == [CLIENT._replace(state="a=1,b=2")]


async def test_a_request_is_a_span_and_so_is_its_publication(
    traced: httpx2.AsyncClient, publisher: MemoryPublisher, spans: MemorySpans
) -> None:
    """Client, server, producer, record: each one the other's parent."""
    await traced.post("/v1/emails", json=EMAIL, headers=named(CLIENT))
    server, producer = spans.one("POST /v1/emails"), spans.one("send mails")
    assert parent_of(server) == CLIENT
    assert parent_of(producer) == context_of(server)
    assert contexts(publisher) == [context_of(producer)]
    assert (server.attributes or {})["http.response.status_code"] == 202


async def test_a_trace_begins_with_a_request_that_names_none(
    traced: httpx2.AsyncClient, publisher: MemoryPublisher, spans: MemorySpans
) -> None:
    """A batch is one publication, and all of its mails come from it."""
    await traced.post("/v1/emails/batch", json=[EMAIL, EMAIL])
    server, producer = spans.one("POST /v1/emails/batch"), spans.one("send mails")
    assert parent_of(server) is None
    assert contexts(publisher) == [context_of(producer)] * 2
    assert (producer.attributes or {})["messaging.batch.message_count"] == 2


async def test_what_was_not_published_is_an_error(
    traced: httpx2.AsyncClient, publisher: MemoryPublisher, spans: MemorySpans
) -> None:
    """A client's own mistake is none."""
    publisher.failures.append(PublishUnavailable("no broker", 1.0))
    await traced.post("/v1/emails", json=EMAIL)
    await traced.post("/v1/emails", json={})
    failed, refused = spans.all("POST")
    assert not failed.status.is_ok
    assert (failed.attributes or {})["error.type"] == "503"
    assert refused.status.is_unset
    assert not spans.one("send").status.is_ok


async def test_no_span_tells_whom_a_mail_is_for(
    traced: httpx2.AsyncClient, spans: MemorySpans
) -> None:
    """Nor does one of a request that names a recipient."""
    await traced.post("/v1/emails", json=EMAIL)
    await traced.get("/v1/emails", params={"recipient": "ada@example.com"})
    told = "".join(span.to_json() for span in spans.all())
    assert len(spans.all()) == 3
    assert "example.com" not in told


class _Faulty(MemoryPublisher):
    async def publish_many(self, records: Sequence[Publishable]) -> dict[int, PublishError]:
        raise RuntimeError("a fault of our own")


async def test_a_failed_request_is_logged_with_its_mail_and_its_trace(
    parts: Parts, log: io.StringIO
) -> None:
    """The next request's line has nothing of it."""
    async with client_of(replace(parts, publisher=_Faulty())) as client:
        await client.post("/v1/emails", json=EMAIL, headers=named(CLIENT))
        await client.post("/v1/emails/batch", json=[EMAIL])
    lines: list[dict[str, Any]] = [json.loads(line) for line in log.getvalue().splitlines()]
    one, batch = (line for line in lines if line["event"] == "http.failed")
    assert (len(one["mail_id"]), one["trace_id"]) == (32, CLIENT.trace_id)
    assert not {"mail_id", "trace_id"} & batch.keys()
