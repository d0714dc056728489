"""The composition root of the HTTP API: every collaborator comes in, an application comes out."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ingest import documentation, status_documentation
from ingest.batch import BatchIntake
from ingest.checks import Checks
from ingest.dlt_routes import DltRoutes, Operators
from ingest.door import Door
from ingest.health import HealthChecks
from ingest.intake import Intake
from ingest.keys import Authenticator
from ingest.mails import Mail
from ingest.meters import Meters
from ingest.outbox import Outbox, Publishing
from ingest.problems import Kind, Refused, problem, response
from ingest.records import Recorder
from ingest.routes import Api, answering
from ingest.status_routes import Pipeline, StatusRoutes
from ingest.status_view import StatusView
from ingest.tracing import Traces
from runtime.clock import Clock
from runtime.metrics import Metrics
from runtime.tracing import Tracer
from schemas.catalogue import Catalogue

_UNMATCHED: Final = "unmatched"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the API is made of.

    `encode` frames a mail, `ids` name those without a key; a body has `body_seconds` to come. What
    became of mails is read from `view`. Without `operators` the endpoints for them are off, and
    without a `tracer` no traces are made.
    """

    topic: str
    publisher: Publishing
    catalogue: Catalogue
    clock: Clock
    metrics: Metrics
    keys: Authenticator
    encode: Callable[[Mail], bytes]
    ids: Iterator[str]
    body_seconds: float
    view: StatusView
    pipeline: Pipeline
    operators: Operators | None
    tracer: Tracer | None


def build_app(parts: Parts) -> FastAPI:
    """Return the API over a publisher that is started, or will be before the first request."""
    meters = Meters(parts.metrics)
    meters.watch(parts.publisher.healthy)
    checks = Checks(parts.catalogue, parts.clock, parts.ids)
    recorder = Recorder(parts.topic, parts.encode)
    outbox = Outbox(parts.publisher, meters, parts.clock)
    door = Door(parts.keys, parts.body_seconds)
    traces = Traces(parts.topic, parts.tracer)
    intake = Intake(door, checks, recorder, outbox, traces)
    batches = BatchIntake(door, checks, recorder, outbox, traces)
    status = StatusRoutes(door, parts.view, parts.publisher, parts.clock, parts.pipeline)
    health = HealthChecks(parts.publisher, meters)
    app = Api(
        title="mailcascade",
        version=version("mailcascade"),
        description="Accepts mails and sends them reliably in the background.",
        redirect_slashes=False,
    )
    for method, path, handler, description in (
        ("POST", "/v1/signups", intake.signups, documentation.signups()),
        ("POST", "/v1/emails", intake.emails, documentation.emails()),
        ("POST", "/v1/emails/batch", batches.batch, documentation.batch()),
    ):
        reply = traces.followed(method, path, answering(path, handler, meters))
        app.serve(method, path, reply, description)
    for method, path, probe, description in (
        ("GET", "/livez", health.livez, documentation.health("Does the process work?")),
        ("GET", "/readyz", health.readyz, documentation.health("Can Kafka be reached?")),
        ("GET", "/metrics", health.metrics, documentation.metrics()),
    ):
        app.serve(method, path, answering(path, probe, meters), description)
    for method, path, handler, description in (
        ("GET", "/v1/emails", status.emails, status_documentation.emails()),
        ("GET", "/v1/emails/{id}", status.email, status_documentation.email()),
        ("DELETE", "/v1/emails/{id}", status.cancel, status_documentation.cancel()),
    ):
        answer = answering(path, handler, meters, of_events=False)
        app.serve(method, path, traces.followed(method, path, answer), description)
    DltRoutes(parts.operators).serve_on(app, meters)

    async def no_route(request: Request, error: HTTPException) -> Response:
        meters.answered(_UNMATCHED, error.status_code)
        return response(_no_route(request, error))

    app.exception_handler(HTTPException)(no_route)
    return app


def _no_route(request: Request, error: HTTPException) -> Refused:
    kind = Kind.METHOD if error.status_code == 405 else Kind.NOT_FOUND
    detail = f"{request.method} {request.url.path} is not served here"
    return Refused(problem(kind, detail), error.headers)
