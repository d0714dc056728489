"""An application whose routes take the request and return bytes, by a short way.

FastAPI documents and finds every route. Its own handling of parameters and results, and the layers
around its router, cost more than all the rest of a request here: a route without parameters, with a
handler that answers every error itself, needs none of them.
"""

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingest import documentation
from ingest.meters import Meters
from ingest.problems import Kind, Refused, refused, response
from runtime.logs import SUBJECT, get_logger

_log = get_logger(__name__)

Handler = Callable[[Request], Awaitable[Response]]


class BytesRoute(APIRoute):
    """A route that calls its handler with the request and nothing in between."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler itself."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


class Api(FastAPI):
    """An application whose OpenAPI document knows the schemas of the payloads."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._short_ways: dict[tuple[str, str], Handler] = {}

    def serve(self, method: str, path: str, handler: Handler, description: dict[str, Any]) -> None:
        """Add a route; `description` is what OpenAPI says about it.

        A path without parameters is found by the short way.
        """
        self.router.add_api_route(
            path,
            handler,
            methods=[method],
            route_class_override=BytesRoute,
            openapi_extra=description,
        )
        if "{" not in path:
            self._short_ways[method, path] = handler

    def openapi(self) -> dict[str, Any]:
        """Return the document; it is built once."""
        if not self.openapi_schema:
            documentation.add_components(super().openapi())
        document: dict[str, Any] = self.openapi_schema or {}
        return document

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to an exact path by its handler, everything else by FastAPI's way."""
        if scope["type"] == "http":
            handler = self._short_ways.get((scope["method"], scope["path"]))
            if handler is not None:
                answer = await handler(Request(scope, receive))
                await answer(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def answering(path: str, handler: Handler, meters: Meters, *, of_events: bool = True) -> Handler:
    """Return a handler that answers errors with their problem, and counts every answer.

    With `of_events` a refusal counts as an event that was not accepted.
    """

    def refuse(refusal: Refused) -> Response:
        if of_events:
            meters.refused(refusal.problem.kind)
        return response(refusal)

    @wraps(handler)
    async def answer(request: Request) -> Response:
        token = SUBJECT.set(None)
        try:
            result = await handler(request)
        except Refused as refusal:
            result = refuse(refusal)
        except Exception:  # noqa: BLE001 - the boundary of a request: logged, and a problem
            _log.exception("http.failed", route=path)
            result = refuse(refused(Kind.INTERNAL, "The error was logged"))
        finally:
            SUBJECT.reset(token)
        meters.answered(path, result.status_code)
        return result

    return answer
