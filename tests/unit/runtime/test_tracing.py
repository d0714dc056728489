"""Traces are off unless an endpoint is set, and cost nobody anything when it does not answer."""

import io
import json
import sys
import threading
from collections.abc import Iterator
from time import monotonic

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

from runtime.logs import configure_logs
from runtime.otlp import Watched, exporting_tracer
from runtime.settings import SettingsError, load_settings
from runtime.trace_context import CURRENT
from runtime.tracing import Beginning, SpanKind, TracingUnavailable, ended, start_tracer
from tests.support.collector import Collector, running_collector
from tests.support.log_state import logs_as_before
from tests.support.spans import MemorySpans, context_of, parent_of
from tests.support.wait import wait_until

#: What the SDK calls its thread.
BATCHES = "OtelBatchSpanRecordProcessor"
BEGINNING = Beginning("work", SpanKind.CONSUMER, {})


@pytest.fixture
def collector() -> Iterator[Collector]:
    with running_collector() as server:
        yield server


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    with logs_as_before():
        stream = io.StringIO()
        configure_logs("info", stream)
        yield stream


def test_without_an_endpoint_there_is_no_tracer() -> None:
    """Nothing of OpenTelemetry is loaded for it, either: `runtime.otlp` is the only importer."""
    assert start_tracer(load_settings({}), "worker") is None


def test_traces_without_the_extra_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of going without them."""
    monkeypatch.delitem(sys.modules, "runtime.otlp")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    settings = load_settings({"MAILCASCADE_OTLP_ENDPOINT": "http://127.0.0.1:4318"})
    with pytest.raises(TracingUnavailable, match=r"pip install mailcascade\[otel\]"):
        start_tracer(settings, "worker")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:4318", "grpc://collector", "http://u:p@h", "http://h?x"]
)
def test_an_endpoint_that_cannot_be_is_refused(url: str) -> None:
    """Credentials are told where they belong."""
    with pytest.raises(SettingsError, match="MAILCASCADE_OTLP_ENDPOINT"):
        load_settings({"MAILCASCADE_OTLP_ENDPOINT": url})


def test_spans_reach_the_collector_before_a_process_ends(collector: Collector) -> None:
    """With the name of the part that made them."""
    settings = load_settings({"MAILCASCADE_OTLP_ENDPOINT": f"{collector.url}/"})
    tracer = start_tracer(settings, "worker")
    assert tracer is not None
    with ended(tracer), tracer.begin(BEGINNING):
        pass
    ((path, body),) = collector.bodies
    assert path == "/v1/traces"
    assert b"work" in body
    assert b"mailcascade-worker" in body


def test_a_collector_that_keeps_silent_holds_nobody_up(collector: Collector) -> None:
    """Neither work, nor the end of the process for longer than it was granted."""
    collector.status = 0
    tracer = exporting_tracer(collector.url, "mailcascade-worker", "here")
    began = monotonic()
    for _ in range(3_000):
        with tracer.begin(BEGINNING):
            pass
    tracer.close(0.2)
    assert monotonic() - began < 5
    collector.end.set()
    wait_until(lambda: not sending(), 20, "the tracer's threads to end")


def sending() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name in ("traces", BATCHES)]


def test_what_a_collector_refuses_is_told_once(collector: Collector, log: io.StringIO) -> None:
    """And once more when it takes spans again."""
    watched = Watched(OTLPSpanExporter(endpoint=collector.url, timeout=5), collector.url)
    for status in (400, 400, 200):
        collector.status = status
        watched.export([])
    watched.shutdown()
    told = [json.loads(line)["event"] for line in log.getvalue().splitlines()]
    assert told == ["traces.not_sent", "traces.sent_again"]


def test_a_span_is_what_runs_in_it_is_part_of() -> None:
    """Until it ends, also by an error, whose kind it tells."""
    spans = MemorySpans()

    def fail() -> None:
        with spans.tracer.begin(BEGINNING) as outer:
            assert CURRENT.get() == outer.context
            inner = Beginning("part", SpanKind.CLIENT, {"n": 1}, CURRENT.get())
            with spans.tracer.begin(inner):
                pass
            raise KeyError("ada@example.com")

    with pytest.raises(KeyError):
        fail()
    assert CURRENT.get() is None
    part, work = spans.all()
    assert parent_of(part) == context_of(work)
    assert (work.attributes or {})["error.type"] == "KeyError"
    assert "example.com" not in work.to_json()
