"""What an answer that is not a success says: RFC 9457 problem details, each with its own type."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

MEDIA_TYPE: Final = "application/problem+json"
_TYPE_PREFIX: Final = "urn:mailcascade:problem:"
#: Fields that a problem's detail names; its errors have all.
_SHOWN_FIELDS: Final = 10


class Kind(StrEnum):
    """The closed list of what can be wrong; the end of a problem's `type`, and a metric's label."""

    MALFORMED = "malformed-body"
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not-found"
    METHOD = "method-not-allowed"
    TIMEOUT = "request-timeout"
    TOO_LARGE = "too-large"
    MEDIA = "unsupported-media-type"
    INVALID = "invalid-request"
    REFUSED = "event-refused"
    UNAVAILABLE = "unavailable"
    NO_STATUS = "status-unavailable"
    OFF = "operators-off"
    CONFLICT = "not-now"
    NO_LETTERS = "dead-letters-unavailable"
    INTERNAL = "internal-error"


_STATUS: Final = {
    Kind.MALFORMED: HTTPStatus.BAD_REQUEST,
    Kind.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    Kind.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Kind.METHOD: HTTPStatus.METHOD_NOT_ALLOWED,
    Kind.TIMEOUT: HTTPStatus.REQUEST_TIMEOUT,
    Kind.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Kind.MEDIA: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    Kind.INVALID: HTTPStatus.UNPROCESSABLE_ENTITY,
    Kind.REFUSED: HTTPStatus.INTERNAL_SERVER_ERROR,
    Kind.UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.NO_STATUS: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.OFF: HTTPStatus.FORBIDDEN,
    Kind.CONFLICT: HTTPStatus.CONFLICT,
    Kind.NO_LETTERS: HTTPStatus.SERVICE_UNAVAILABLE,
    Kind.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}
_TITLE: Final = {
    Kind.MALFORMED: "The body is not well-formed JSON",
    Kind.UNAUTHORIZED: "A valid API key is needed",
    Kind.NOT_FOUND: "There is nothing here",
    Kind.METHOD: "This method is not allowed here",
    Kind.TIMEOUT: "The body did not come in time",
    Kind.TOO_LARGE: "What was sent is too large",
    Kind.MEDIA: "This content type is not taken",
    Kind.INVALID: "The request is not valid",
    Kind.REFUSED: "The event cannot be stored",
    Kind.UNAVAILABLE: "Events cannot be accepted at the moment",
    Kind.NO_STATUS: "The state of mails cannot be told at the moment",
    Kind.OFF: "This is turned off",
    Kind.CONFLICT: "It is not possible as things are",
    Kind.NO_LETTERS: "Dead-lettered mails cannot be told or changed at the moment",
    Kind.INTERNAL: "Something went wrong here",
}


class FieldProblem(msgspec.Struct, frozen=True):
    """One bad field. `field` is a path such as `to.address`; empty for the whole item."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An RFC 9457 problem; `errors` lists every bad field."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldProblem, ...] = ()

    @property
    def kind(self) -> Kind:
        """The kind in the type."""
        return Kind(self.type.removeprefix(_TYPE_PREFIX))


class Refused(Exception):
    """A request, or one item of a batch, that is answered with a problem."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers


def problem(kind: Kind, detail: str, errors: Sequence[FieldProblem] = ()) -> Problem:
    """Return a problem of this kind."""
    return Problem(_TYPE_PREFIX + kind, _TITLE[kind], _STATUS[kind], detail, tuple(errors))


def refused(kind: Kind, detail: str, headers: Mapping[str, str] | None = None) -> Refused:
    """Return the exception that answers with a problem of this kind."""
    return Refused(problem(kind, detail), headers)


def invalid(errors: Sequence[FieldProblem]) -> Refused:
    """Return the exception that answers with every bad field."""
    fields = list(dict.fromkeys(error.field or "the body" for error in errors))
    more = f" and {len(fields) - _SHOWN_FIELDS} more" if len(fields) > _SHOWN_FIELDS else ""
    detail = f"Not valid: {', '.join(fields[:_SHOWN_FIELDS])}{more}"
    return Refused(problem(Kind.INVALID, detail, errors))


def unavailable(reason: str, retry_after_s: int) -> Refused:
    """Return the exception that asks the client to come back later."""
    return refused(Kind.UNAVAILABLE, reason, {"Retry-After": str(retry_after_s)})


def response(refusal: Refused) -> Response:
    """Return the answer for a refusal."""
    return Response(
        msgspec.json.encode(refusal.problem),
        status_code=refusal.problem.status,
        headers=refusal.headers,
        media_type=MEDIA_TYPE,
    )
