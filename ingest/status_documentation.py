"""What OpenAPI says about the endpoints that tell what became of mails, and stop them."""

from typing import Final

from ingest.documentation import MAIL_ID, Json, answer
from ingest.problems import MEDIA_TYPE
from ingest.status_queries import DEFAULT_LIMIT, MOST_MAILS
from schemas.mail_states import MailState

_URL: Final = f"/v1/emails/{MAIL_ID}"
_LAST: Final = {"text": "try later", "code": 451, "enhanced": "4.7.1", "rule": "greylisted"}
_LISTED: Final[Json] = {
    "id": MAIL_ID,
    "status_url": _URL,
    "state": "retry",
    "summary": "retry 2 of 3, due at 2031-01-31T09:11:02Z: 451 4.7.1 try later",
    "template": "welcome",
    "recipient": "a***@example.com",
    "accepted_at": "2031-01-31T09:00:00.000Z",
    "updated_at": "2031-01-31T09:01:02.130Z",
    "due_at": "2031-01-31T09:11:02.130Z",
    "not_before": None,
    "expires_at": None,
    "attempts": {"used": 2, "max": 4},
    "last": {**_LAST, "phase": None},
    "reason": None,
    "cancel": None,
    "waits_for": [],
    "dead_letters": [],
}
_DETAIL: Final = {
    **_LISTED,
    "last": {**_LAST, "phase": "rcpt"},
    "history": [
        {
            "at": "2031-01-31T09:01:02.130Z",
            "state": "retry",
            "summary": "retry after 2 failed attempts, due at 2031-01-31T09:11:02Z: "
            "451 4.7.1 try later",
            "generation": 0,
            "attempts": 2,
            "due_at": "2031-01-31T09:11:02.130Z",
            "reason": None,
            "text": "try later",
            "code": 451,
            "enhanced": "4.7.1",
            "phase": "rcpt",
            "rule": "greylisted",
        }
    ],
    "history_omitted": 0,
}
_CANCEL: Final = {
    "id": MAIL_ID,
    "status_url": _URL,
    "state": "scheduled",
    "summary": "its cancellation is asked for; it counts if the mail has not been sent before",
    "cancel": {"requested_at": "2031-01-31T09:00:00.000Z", "in_time": None},
}
_ID: Final = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The mail's id, as it was answered when the mail was accepted.",
    "schema": {"type": "string", "minLength": 32, "maxLength": 32},
    "example": MAIL_ID,
}


def email() -> Json:
    """Describe GET /v1/emails/{id}."""
    return {
        "summary": "Tell what became of a mail",
        "description": "Its state, and every change of it. The view runs a moment behind, so an id "
        "that it does not know is answered with 202 and the state `queued`. `waits_for` is what "
        "is out, such as the relay, where the mail waits for that although its turn has come. "
        "`dead_letters` tells, of a mail that was given up, whether it was replayed or discarded.",
        "parameters": [_ID],
        "responses": {
            "200": answer("What is known of the mail", "MailDetail", _DETAIL),
            "202": answer("The mail was accepted a moment ago, or is not yours", "MailDetail"),
            **_problems("401", "404", "503"),
        },
    }


def emails() -> Json:
    """Describe GET /v1/emails."""
    return {
        "summary": "List mails, newest first",
        "description": "Each without its history. `next_cursor` gives the next page, which stays "
        "the same however many mails are accepted meanwhile.",
        "parameters": [
            _parameter("state", "Only mails in these states, joined by commas.", "retry,dead"),
            _parameter("template", "Only mails of this template.", "welcome"),
            _parameter("recipient", "Only mails to this address.", "ada@example.com"),
            _parameter("since", "Accepted at this instant or later.", "2031-01-31T09:00:00Z"),
            _parameter("until", "Accepted before this instant.", "2031-02-01T09:00:00Z"),
            {
                "name": "limit",
                "in": "query",
                "description": "The most mails in the answer.",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MOST_MAILS,
                    "default": DEFAULT_LIMIT,
                },
            },
            _parameter("cursor", "The `next_cursor` of the page before."),
        ],
        "responses": {
            "200": answer("A page", "MailPage", {"emails": [_LISTED], "next_cursor": None}),
            **_problems("401", "422", "503"),
        },
    }


def cancel() -> Json:
    """Describe DELETE /v1/emails/{id}."""
    return {
        "summary": "Stop a mail",
        "description": "Asks for it; whether it was in time is told by `cancel` in the mail's "
        "status. Asking again, or for a mail that is over, changes nothing. `state` is what the "
        "status view last saw, null while it is away.",
        "parameters": [_ID],
        "responses": {
            "202": answer("It is asked for, or there is nothing to stop", "CancelAnswer", _CANCEL),
            **_problems("401", "404", "503"),
        },
    }


def _parameter(name: str, description: str, example: str | None = None) -> Json:
    parameter: Json = {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": "string"},
    }
    if name == "state":
        parameter["description"] += f" The states are {', '.join(MailState)}."
    return parameter if example is None else {**parameter, "example": example}


def _problems(*codes: str) -> Json:
    described = {
        "401": "There is no valid API key",
        "404": "There is no such mail: the id cannot be one, or is another tenant's",
        "422": "Parameters are not valid; `errors` has every one",
        "503": "It cannot be told, or written down, at the moment",
    }
    answers = {code: answer(described[code], "Problem", media=MEDIA_TYPE) for code in codes}
    answers["503"]["headers"] = {
        "Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}
    }
    return answers
