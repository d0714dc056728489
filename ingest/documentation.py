"""What OpenAPI says about the endpoints: bodies, answers and examples. Built from the payloads."""

from typing import Any, Final

import msgspec

from ingest.batch import BatchAnswer
from ingest.dlt_payloads import DiscardRequest, ReplayRequest
from ingest.health import Health
from ingest.outbox import Accepted
from ingest.payloads import BatchItem, EmailRequest, SignupRequest
from ingest.problems import MEDIA_TYPE, FieldProblem, Kind, Problem, problem
from ingest.status_payloads import CancelAnswer, MailDetail, MailPage

Json = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_SCHEMAS: Final = (
    SignupRequest,
    EmailRequest,
    BatchItem,
    Accepted,
    BatchAnswer,
    Problem,
    Health,
    MailDetail,
    MailPage,
    CancelAnswer,
    ReplayRequest,
    DiscardRequest,
)
MAIL_ID: Final = "gqzdsmzygiydamrqgizdgmjrgi2dknbu"
_ACCEPTED: Final = {"id": MAIL_ID, "status_url": f"/v1/emails/{MAIL_ID}"}
_SIGNUP: Final = {
    "email": "ada@example.com",
    "name": "Ada Lovelace",
    "confirm_url": "https://app.example.com/confirm?token=5f3a",
    "locale": "en",
    "data": {"app_name": "Example"},
}
_EMAIL: Final = {
    "template": "password-reset",
    "to": {"address": "jürgen@bücher.example", "name": "Jürgen"},
    "data": {"reset_url": "https://app.example.com/reset?token=9c1e"},
    "locale": "de-AT",
    "expires_at": "2031-01-31T09:00:00Z",
}
_PLAIN: Final = {
    "template": "plain",
    "to": {"address": "ada@example.com"},
    "data": {"subject": "Your export is ready", "body": "You find it in your account."},
}
_ITEM: Final = {**_PLAIN, "idempotency_key": "export-4711"}
_INVALID: Final = problem(
    Kind.INVALID,
    "Not valid: to.address, data.reset_url",
    (
        FieldProblem("to.address", "An email address must have an @-sign."),
        FieldProblem("data.reset_url", "is required by the template password-reset"),
    ),
)
_STATUS_NOTE: Final = (
    "`status_url` is where the mail's state is told. The answer comes after the brokers "
    "acknowledged the event."
)
_IDEMPOTENCY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "1 to 255 printable ASCII characters. A repeated request with the same key and "
    "recipient has the same id, and its mail is sent once; the first request counts.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "example": "signup-4711",
}


def signups() -> Json:
    """Describe POST /v1/signups."""
    return {
        "summary": "Accept a signup",
        "description": f"Sends the template `signup-confirmation`. {_STATUS_NOTE}",
        "parameters": [_IDEMPOTENCY],
        "requestBody": _body("SignupRequest", {"signup": _SIGNUP}),
        "responses": _single_answers(),
    }


def emails() -> Json:
    """Describe POST /v1/emails."""
    return {
        "summary": "Accept one mail",
        "description": _STATUS_NOTE,
        "parameters": [_IDEMPOTENCY],
        "requestBody": _body("EmailRequest", {"template": _EMAIL, "text": _PLAIN}),
        "responses": _single_answers(),
    }


def batch() -> Json:
    """Describe POST /v1/emails/batch."""
    mixed = {
        "accepted": 1,
        "refused": 1,
        "results": [
            {"status": 202, **_ACCEPTED},
            {"status": 422, "problem": msgspec.to_builtins(_INVALID)},
        ],
    }
    body = _body("BatchItem", {})
    items = {"type": "array", "items": ref("BatchItem"), "minItems": 1, "maxItems": 1000}
    body["content"] = {
        "application/json": {"schema": items, "example": [_ITEM, _EMAIL]},
        "application/x-ndjson": {
            "schema": ref("BatchItem"),
            "example": f"{_line(_ITEM)}\n{_line(_EMAIL)}\n",
        },
    }
    return {
        "summary": "Accept up to 1,000 mails",
        "description": "One result per item, in order; every item counts on its own. "
        "202: all were accepted. 207: look at the results. 503: none was, send it again as it is. "
        "What is wrong with the body as a whole refuses it whole.",
        "requestBody": body,
        "responses": {
            "202": answer("Every item was accepted", "BatchAnswer"),
            "207": answer("Some items were refused", "BatchAnswer", mixed),
            **_problem_answers(),
        },
    }


def health(summary: str) -> Json:
    """Describe a health check."""
    return {
        "summary": summary,
        "responses": {
            "200": answer("Yes", "Health", {"status": "ready", "reasons": []}),
            "503": answer(
                "No", "Health", {"status": "not ready", "reasons": ["no broker is connected yet"]}
            ),
        },
    }


def metrics() -> Json:
    """Describe GET /metrics."""
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "summary": "Metrics for Prometheus",
        "responses": {"200": {"description": "The text format", "content": text}},
    }


def add_components(document: Json) -> Json:
    """Add the schemas that the descriptions refer to, and how requests are authorised."""
    _, schemas = msgspec.json.schema_components(_SCHEMAS, ref_template=_REF)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas)
    components["securitySchemes"] = {
        "apiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "A key that the operator issued. A service without keys needs none.",
        },
        "operatorKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "An operator's own key, for the endpoints about dead-lettered mails.",
        },
    }
    document["security"] = [{"apiKey": []}, {}]
    return document


def answer(description: str, schema: str, example: Any = None, media: str = "") -> Json:
    """Describe an answer: its words, the name of its schema, an example."""
    content: Json = {"schema": ref(schema)}
    if example is not None:
        content["example"] = example
    return {"description": description, "content": {media or "application/json": content}}


def ref(name: str) -> Json:
    """Refer to a schema of the document by its name."""
    return {"$ref": _REF.format(name=name)}


def _single_answers() -> Json:
    taken = answer("The mail is accepted and will be sent", "Accepted", _ACCEPTED)
    taken["headers"] = {
        "Location": {"description": "The same as status_url", "schema": {"type": "string"}}
    }
    return {"202": taken, **_problem_answers()}


def _problem_answers() -> Json:
    answers = {
        "400": ("The body is not JSON", None),
        "401": ("There is no valid API key", None),
        "408": ("The body did not come in time", None),
        "413": ("The body, or the event made of it, is too large", None),
        "415": ("The content type is not taken", None),
        "422": ("Fields are not valid; `errors` has every one", msgspec.to_builtins(_INVALID)),
        "503": ("Kafka does not take events at the moment; nothing was accepted", None),
    }
    described = {
        code: answer(description, "Problem", example, MEDIA_TYPE)
        for code, (description, example) in answers.items()
    }
    described["503"]["headers"] = {
        "Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}
    }
    return described


def _body(schema: str, examples: Json) -> Json:
    named = {name: {"value": value} for name, value in examples.items()}
    content = {"schema": ref(schema), "examples": named}
    return {"required": True, "content": {"application/json": content}}


def _line(item: Json) -> str:
    return msgspec.json.encode(item).decode()
