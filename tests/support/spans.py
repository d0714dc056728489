"""A tracer whose spans stay in memory, as a collector would get them."""

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_ON, Sampler
from opentelemetry.trace import SpanContext, format_span_id, format_trace_id

from runtime.otlp import SdkTracer
from runtime.trace_context import TraceContext


class MemorySpans:
    """The spans that have ended, in that order."""

    def __init__(self, sampler: Sampler = DEFAULT_ON) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = SdkTracer(provider)

    def all(self, name: str = "") -> list[ReadableSpan]:
        """Return the spans whose name begins so."""
        return [s for s in self._exporter.get_finished_spans() if s.name.startswith(name)]

    def one(self, name: str) -> ReadableSpan:
        """Return the only span whose name begins so."""
        (span,) = self.all(name)
        return span


def context_of(span: ReadableSpan) -> TraceContext:
    """Return a span's context as headers tell it."""
    return _told(span.get_span_context())


def links_of(span: ReadableSpan) -> list[TraceContext]:
    """Return what a span links to."""
    return [_told(link.context) for link in span.links]


def parent_of(span: ReadableSpan) -> TraceContext | None:
    """Return what a span is part of, None where it begins a trace."""
    return None if span.parent is None else _told(span.parent)


def _told(context: SpanContext | None) -> TraceContext:
    assert context is not None
    return TraceContext(
        format_trace_id(context.trace_id),
        format_span_id(context.span_id),
        int(context.trace_flags),
        context.trace_state.to_header(),
    )
