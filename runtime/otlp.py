"""Traces by OpenTelemetry's SDK, sent by OTLP over HTTP: the only importer of either.

It is loaded where an endpoint is set. What is beside the endpoint (headers, certificates, how many
requests are sampled, attributes of the resource, sizes of batches) the SDK takes from its own
`OTEL_*` variables. What it cannot send it drops: nobody waits for it.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode
from opentelemetry.util.types import Attributes as SdkAttributes

from runtime.logs import get_logger
from runtime.trace_context import CURRENT, TraceContext
from runtime.tracing import Attributes, Beginning, Span, SpanKind

_log = get_logger("traces")

_PATH: Final = "/v1/traces"
#: How long one attempt to send a batch may take, its repetitions included.
_EXPORT_SECONDS: Final = 10.0
_KINDS: Final = {
    SpanKind.SERVER: trace.SpanKind.SERVER,
    SpanKind.CLIENT: trace.SpanKind.CLIENT,
    SpanKind.PRODUCER: trace.SpanKind.PRODUCER,
    SpanKind.CONSUMER: trace.SpanKind.CONSUMER,
}


class FollowingSampler(Sampler):
    """Samples what comes from something sampled; whatever comes from nothing, as another does."""

    def __init__(self, others: Sampler) -> None:
        self._others = others

    def should_sample(  # noqa: PLR0913 - as the SDK calls it
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: SdkAttributes = None,
        links: Sequence[Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        """Decide about a span that begins."""
        if links:
            sampled = any(link.context.trace_flags.sampled for link in links)
            decision = Decision.RECORD_AND_SAMPLE if sampled else Decision.DROP
            return SamplingResult(decision, attributes if sampled else None)
        return self._others.should_sample(
            parent_context, trace_id, name, kind, attributes, links, trace_state
        )

    def get_description(self) -> str:
        """Name the sampler."""
        return f"Following{{{self._others.get_description()}}}"


class SdkSpan:
    """A span of the SDK."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        told = span.get_span_context()
        self.context: TraceContext = TraceContext(
            trace.format_trace_id(told.trace_id),
            trace.format_span_id(told.span_id),
            int(told.trace_flags),
            told.trace_state.to_header(),
        )

    def tell(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(dict(attributes))

    def fail(self, why: str) -> None:
        """Say that it failed, and why."""
        self._span.set_attribute("error.type", why)
        self._span.set_status(Status(StatusCode.ERROR))


class SdkTracer:
    """Makes spans of the SDK. From any thread."""

    def __init__(self, provider: TracerProvider) -> None:
        """`provider` is ours alone: its sampler is put behind one that follows links."""
        provider.sampler = FollowingSampler(provider.sampler)
        self._provider = provider
        self._tracer = provider.get_tracer("mailcascade", version("mailcascade"))

    def begin(self, beginning: Beginning) -> AbstractContextManager[Span]:
        """Begin a span that ends with the block; an exception in it is its failure."""
        return self._span(beginning)

    @contextmanager
    def _span(self, beginning: Beginning) -> Iterator[Span]:
        span = self._tracer.start_span(
            beginning.name,
            _context(beginning.parent),
            _KINDS[beginning.kind],
            dict(beginning.attributes),
            [Link(_span_context(link)) for link in beginning.links],
        )
        told = SdkSpan(span)
        token = CURRENT.set(told.context)
        try:
            yield told
        except Exception as error:
            told.fail(type(error).__name__)
            raise
        finally:
            CURRENT.reset(token)
            span.end()

    def close(self, seconds: float) -> None:
        """Send what there is, for so many seconds at most, and end."""
        # The SDK waits for as long as a batch may take, which is longer than a process has to stop.
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(seconds)


def exporting_tracer(endpoint: str, service: str, instance: str) -> SdkTracer:
    """Return a tracer that sends its spans to a collector."""
    url = endpoint if endpoint.endswith(_PATH) else endpoint.rstrip("/") + _PATH
    own = {
        "service.name": service,
        "service.version": version("mailcascade"),
        "service.instance.id": instance,
    }
    provider = TracerProvider(resource=Resource.create(own).merge(OTELResourceDetector().detect()))
    exporter = Watched(OTLPSpanExporter(endpoint=url, timeout=_EXPORT_SECONDS), url)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return SdkTracer(provider)


class Watched(SpanExporter):
    """An exporter that tells when it cannot send any more, and when it can again."""

    def __init__(self, exporter: SpanExporter, where: str) -> None:
        # The SDK would tell of each batch and of each repetition.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._exporter = exporter
        self._where = where
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, or drop them."""
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._failing:
            hint = "spans are dropped, mails are not: does a collector listen there?"
            _log.warning("traces.not_sent", endpoint=self._where, hint=hint)
        elif self._failing and not failed:
            _log.info("traces.sent_again", endpoint=self._where)
        self._failing = failed
        return result

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()


def _context(parent: TraceContext | None) -> Context:
    """Return what the SDK takes a span's parent from; never what is ambient to it."""
    if parent is None:
        return Context()
    return trace.set_span_in_context(NonRecordingSpan(_span_context(parent)), Context())


def _span_context(context: TraceContext) -> SpanContext:
    state = trace.TraceState.from_header([context.state]) if context.state else None
    return SpanContext(
        int(context.trace_id, 16),
        int(context.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(context.flags),
        trace_state=state,
    )
