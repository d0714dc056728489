"""What is told of the work on a mail as traces, and to whom; without an endpoint, nobody.

A trace is short: a request, an attempt, a batch of a replay. What came before is a link, not a
parent, so that a mail which waits for an hour makes no span of an hour.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Final, Protocol

from runtime.settings import Settings
from runtime.trace_context import CURRENT, TraceContext

#: What a process that stops grants the last spans.
_CLOSE_SECONDS: Final = 2.0

Attributes = Mapping[str, str | int | float | bool]


class SpanKind(StrEnum):
    """What a span is to others; the words of OpenTelemetry."""

    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a span begins with. Without a `parent` it begins a trace.

    `links` are what it came from; where one of them is sampled, so is the trace that begins.
    Attributes hold no address and no text that somebody else wrote.
    """

    name: str
    kind: SpanKind
    attributes: Attributes
    parent: TraceContext | None = None
    links: Sequence[TraceContext] = field(default=())


class Span(Protocol):
    """A piece of work under way; `context` is what others are told of it."""

    @property
    def context(self) -> TraceContext: ...
    def tell(self, attributes: Attributes) -> None:
        """Add attributes."""

    def fail(self, why: str) -> None:
        """Say that it failed; `why` is a word of a closed vocabulary."""


class Tracer(Protocol):
    """Makes spans. From any thread."""

    def begin(self, beginning: Beginning) -> AbstractContextManager[Span]:
        """Begin a span that ends with the block; an exception in it is its failure."""

    def close(self, seconds: float) -> None:
        """Send what there is, for so many seconds at most, and end."""


class TracingUnavailable(Exception):
    """Traces are asked for and cannot be made."""


def start_tracer(settings: Settings, part: str) -> Tracer | None:
    """Return what makes the traces of a part of mailcascade; None where they are off.

    Raises:
        TracingUnavailable: they are on, and the extra that they need is not installed.
    """
    if settings.otlp_endpoint is None:
        return None
    try:
        otlp = importlib.import_module("runtime.otlp")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("runtime"):
            raise
        raise TracingUnavailable(
            f"MAILCASCADE_OTLP_ENDPOINT is set, and traces need the module {error.name}, which "
            "comes with the extra `otel`: pip install mailcascade[otel], or set no endpoint"
        ) from error
    tracer: Tracer = otlp.exporting_tracer(
        settings.otlp_endpoint, f"mailcascade-{part}", settings.instance_id
    )
    return tracer


@contextmanager
def ended(tracer: Tracer | None) -> Iterator[None]:
    """End the tracer, where there is one, with the block."""
    try:
        yield
    finally:
        if tracer is not None:
            tracer.close(_CLOSE_SECONDS)


@contextmanager
def within(context: TraceContext) -> Iterator[None]:
    """Make what runs in the block part of a trace."""
    token = CURRENT.set(context)
    try:
        yield
    finally:
        CURRENT.reset(token)


class _NoSpan:
    """A span that nobody hears of."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


#: Stands where a span would be if traces were made.
NO_SPAN: Final = _NoSpan()
