"""A collector of traces on loopback that keeps what it is sent, or refuses it, or keeps silent."""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True, slots=True)
class Received:
    """One span as it arrived: the service that made it, its ids, and those that it names."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, str]

    @property
    def context(self) -> tuple[str, str]:
        """The ids by which others link to it."""
        return self.trace_id, self.span_id


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Collector)
        server.bodies.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        if not server.status:
            server.end.wait(30)
        self.send_response(server.status or 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


class Collector(ThreadingHTTPServer):
    """Answers with `status`; with 0 it keeps silent until `end` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.bodies: list[tuple[str, bytes]] = []
        self.end = threading.Event()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[Received]:
        """Return every span that arrived."""
        return [
            _received(resource.resource.attributes, span)
            for _, body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Run a collector while the block lasts."""
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.end.set()
            server.shutdown()
            thread.join()


def _received(resource: Iterable[KeyValue], span: Span) -> Received:
    return Received(
        _values(resource)["service.name"],
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        _values(span.attributes),
    )


def _values(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {one.key: one.value.string_value or str(one.value.int_value) for one in attributes}
