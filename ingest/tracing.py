"""A request's part in a trace: the one that its client names, and spans where traces are made."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from ingest.routes import Handler
from runtime.trace_context import CURRENT, TRACEPARENT, TRACESTATE, TraceContext, parse_context
from runtime.tracing import NO_SPAN, Beginning, Span, SpanKind, Tracer, within

_PARENT, _STATE = TRACEPARENT.encode(), TRACESTATE.encode()


def carried(headers: Sequence[tuple[bytes, bytes]]) -> TraceContext | None:
    """Return the context that a request's headers name; None where they name none, or two."""
    parents = [value for name, value in headers if name == _PARENT]
    if len(parents) != 1:
        return None
    state = b",".join(value for name, value in headers if name == _STATE)
    return parse_context(parents[0].strip(), state)


@dataclass(frozen=True, slots=True)
class Traces:
    """Makes handlers part of traces. Without a tracer the client's context is carried on as is."""

    topic: str
    tracer: Tracer | None

    def followed(self, method: str, path: str, handler: Handler) -> Handler:
        """Return a handler that works within its request's trace."""
        tracer = self.tracer

        async def carry(request: Request) -> Response:
            context = carried(request.scope["headers"])
            if context is None:
                return await handler(request)
            with within(context):
                return await handler(request)

        if tracer is None:
            return carry
        attributes = {"http.request.method": method, "http.route": path}

        async def trace(request: Request) -> Response:
            parent = carried(request.scope["headers"])
            beginning = Beginning(f"{method} {path}", SpanKind.SERVER, attributes, parent)
            with tracer.begin(beginning) as span:
                response = await handler(request)
                span.tell({"http.response.status_code": response.status_code})
                if response.status_code >= 500:
                    span.fail(str(response.status_code))
                return response

        return trace

    def sending(self, mails: int) -> AbstractContextManager[Span | None]:
        """Return a span for the publication of so many mails, in which their entries are made."""
        if self.tracer is None:
            return NO_SPAN
        attributes: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.destination.name": self.topic,
        }
        if mails > 1:
            attributes["messaging.batch.message_count"] = mails
        name = f"send {self.topic}"
        return self.tracer.begin(Beginning(name, SpanKind.PRODUCER, attributes, CURRENT.get()))
