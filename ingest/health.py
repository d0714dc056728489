"""What supervisors and scrapers ask: alive, ready, and the metrics."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingest.bodies import JSON
from ingest.meters import Meters
from ingest.outbox import Publishing
from runtime.metrics import CONTENT_TYPE


class Health(msgspec.Struct, frozen=True):
    """The state, and each reason for one that is not good."""

    status: str
    reasons: tuple[str, ...] = ()


class HealthChecks:
    """Answers from what is known; no answer waits for Kafka."""

    def __init__(self, publisher: Publishing, meters: Meters) -> None:
        self._publisher = publisher
        self._meters = meters

    async def livez(self, _request: Request) -> Response:
        """Tell whether the process works at all; if not, it has to be restarted."""
        if self._publisher.fatal:
            return _answer(Health("broken", (self._publisher.reason,)), 503)
        return _answer(Health("alive"), 200)

    async def readyz(self, _request: Request) -> Response:
        """Tell whether Kafka can be reached, so that mails can be accepted."""
        if self._publisher.healthy():
            return _answer(Health("ready"), 200)
        return _answer(Health("not ready", (self._publisher.reason,)), 503)

    async def metrics(self, _request: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(self._meters.exposition(), media_type=CONTENT_TYPE)


def _answer(health: Health, status: int) -> Response:
    return Response(msgspec.json.encode(health), status_code=status, media_type=JSON)
