"""What is asked of a process without an API: `/metrics`, `/livez` and `/readyz`."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from socket import AF_INET6
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client.exposition import ThreadingWSGIServer

from runtime.clock import Clock
from runtime.metrics import CONTENT_TYPE, Metrics, MetricsNotShown
from runtime.pulse import Pulse

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a process does its work, and everything that is not as it should be."""

    ready: bool
    reasons: Sequence[str] = ()


def started(metrics: Metrics, deployable: str, clock: Clock) -> Metrics:
    """Return the metrics, which now tell when this process started; for every deployable."""
    gauge = metrics.gauge("mailcascade_process_start_seconds", deployable=deployable)
    gauge.set(clock.now_ms() / 1000)
    return metrics


class _Quiet(WSGIRequestHandler):
    """A scrape every few seconds is nothing to log."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class _Server6(ThreadingWSGIServer):
    address_family = AF_INET6


class Probes:
    """Answers from what is known at once. `readiness` is asked from any thread.

    A process without a pulse is not alive: only a restart helps.
    """

    def __init__(self, metrics: Metrics, readiness: Callable[[], Readiness], pulse: Pulse) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._pulse = pulse

    @contextmanager
    def served(self, host: str, port: int) -> Iterator[int]:
        """Answer over HTTP while the context lasts; yields the port, for 0 a free one.

        Raises:
            MetricsNotShown: the address cannot be bound.
        """
        kind = _Server6 if ":" in host else ThreadingWSGIServer
        try:
            server = make_server(host, port, self._answer, kind, handler_class=_Quiet)
        except OSError as error:
            raise MetricsNotShown(
                f"metrics cannot be shown on {host} port {port} (MAILCASCADE_METRICS_PORT): "
                f"{error.strerror or error}"
            ) from error
        thread = threading.Thread(target=server.serve_forever, name="probes", daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _answer(self, environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/livez":
                missing = self._pulse.missing()
                status = "503 Service Unavailable" if missing else "200 OK"
                reasons = [missing] if missing else []
                kind, body = _JSON, _health("stuck" if missing else "alive", reasons)
            case "/readyz":
                found = self._readiness()
                status = "200 OK" if found.ready else "503 Service Unavailable"
                word = "ready" if found.ready else "not ready"
                kind, body = _JSON, _health(word, found.reasons)
            case "/" | "/metrics":
                status, kind, body = "200 OK", CONTENT_TYPE, self._metrics.exposition()
            case _:
                status, kind, body = "404 Not Found", "text/plain", b"/metrics /livez /readyz\n"
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]


def _health(status: str, reasons: Sequence[str]) -> bytes:
    return json.dumps({"status": status, "reasons": list(reasons)}).encode()
