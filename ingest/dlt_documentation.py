"""What OpenAPI says about the endpoints for operators."""

from typing import Final

from ingest.bodies import NDJSON
from ingest.dlt_payloads import DEFAULT_LIMIT, MOST_LETTERS, PARAMETERS
from ingest.documentation import Json, answer, ref
from ingest.problems import MEDIA_TYPE
from retry_topics.dlt.states import RecordState

_OBJECT: Final[Json] = {"application/json": {"schema": {"type": "object"}}}
_LINES: Final[Json] = {NDJSON[0]: {"schema": {"type": "string"}}}
#: The parameters of an import: what they mean, and their types where they are no texts.
_IMPORTING: Final[dict[str, tuple[str, ...]]] = {
    "plan": ("Only tell what would happen, and keep it.", "boolean"),
    "rate": ("Mails a second.", "number"),
    "canary": ("So many first; their outcomes are waited for.", "integer"),
    "stop_if_failing": ("Stop when this share fails again.", "number"),
    "canary_wait": ("How long the canary's outcomes are waited for, such as 5m.",),
    "force": ("Also what was replayed as often as is allowed.", "boolean"),
    "renew_expiry": ("Let mails that expire be sent for so long, such as 1h.",),
    "as_new": ("As new mails, also what was sent already.", "boolean"),
    "reason": ("Why, for whoever asks later.",),
}
_SECURITY: Final[list[dict[str, list[str]]]] = [{"operatorKey": []}]
_SELECTING: Final = {
    "since": "Dead at this instant or later.",
    "until": "Dead before this instant.",
    "template": "Only of these templates.",
    "tenant": "Only of these tenants.",
    "recipient": "Only to these addresses.",
    "code": "Only with these SMTP codes.",
    "group": "Only of these groups: fingerprints, or how they begin.",
    "position": "Only these records, such as 3:1204.",
    "id": "Only these mails.",
    "state": f"Only in these states: {', '.join(RecordState)}.",
}
_REVEAL: Final = {
    "name": "reveal",
    "in": "query",
    "description": "Show addresses and data as they are.",
    "schema": {"type": "boolean", "default": False},
}
_LIMIT: Final = {
    "name": "limit",
    "in": "query",
    "description": "The most records in the answer.",
    "schema": {
        "type": "integer",
        "minimum": 1,
        "maximum": MOST_LETTERS,
        "default": DEFAULT_LIMIT,
    },
}
_PROBLEMS: Final = {
    "400": "The body is not JSON",
    "401": "There is no valid operator's key",
    "403": "The endpoints for operators are off",
    "404": "There is no such record, or no such job",
    "409": "The job does not allow it as it is; `detail` says why",
    "413": "The body is too large",
    "415": "The content type is not taken",
    "422": "Fields or parameters are not valid",
    "503": "Kafka does not answer, or there is too much to do",
}


def groups() -> Json:
    """Describe GET /v1/dlt/groups."""
    return _described(
        "Count dead-lettered mails by what they died of", "200", parameters=_selecting()
    )


def letters() -> Json:
    """Describe GET /v1/dlt/letters."""
    return _described(
        "List dead-lettered mails, newest first",
        "200",
        parameters=[*_selecting(), _LIMIT, _REVEAL],
    )


def letter() -> Json:
    """Describe GET /v1/dlt/letters/{name}."""
    name = _path("name", "A record's position, such as 3:1204, or a mail's id.")
    return _described("Tell everything about a record", "200", "404", parameters=[name, _REVEAL])


def plan() -> Json:
    """Describe POST /v1/dlt/plans."""
    return _described("Tell what a replay would do, and keep it", "201", body="ReplayRequest")


def replay() -> Json:
    """Describe POST /v1/dlt/jobs."""
    return _described("Begin a replay in the background", "202", body="ReplayRequest")


def jobs() -> Json:
    """Describe GET /v1/dlt/jobs."""
    return _described("List replays and saved plans, newest first", "200")


def job() -> Json:
    """Describe GET /v1/dlt/jobs/{id}."""
    return _described("Tell how far a replay is", "200", "404", parameters=[_job()])


def pause() -> Json:
    """Describe POST /v1/dlt/jobs/{id}/pause."""
    return _described(
        "Pause a replay that this process runs", "202", "404", "409", parameters=[_job()]
    )


def resume() -> Json:
    """Describe POST /v1/dlt/jobs/{id}/resume."""
    return _described(
        "Run a saved plan, or go on with a replay", "202", "404", "409", parameters=[_job()]
    )


def cancel() -> Json:
    """Describe POST /v1/dlt/jobs/{id}/cancel."""
    return _described("Call a replay off", "200", "404", "409", parameters=[_job()])


def discard() -> Json:
    """Describe POST /v1/dlt/discards."""
    return _described("Settle open records without a replay", "200", body="DiscardRequest")


def export() -> Json:
    """Describe GET /v1/dlt/export."""
    everything = _query("all", "Every record there is, where nothing else selects.", "boolean")
    described = _described(
        "Export records whole, a line of JSON for each",
        "200",
        parameters=[*_selecting(), everything],
    )
    described["responses"]["200"] = {"description": "As asked", "content": _LINES}
    return described


def import_rows() -> Json:
    """Describe POST /v1/dlt/import."""
    described = _described(
        "Replay exported records, corrected or not, or plan that",
        *("201", "202"),
        parameters=[_query(name, *words) for name, words in _IMPORTING.items()],
        body="ReplayRequest",
    )
    described["requestBody"]["content"] = _LINES
    return described


def _described(
    summary: str, *codes: str, parameters: list[Json] | None = None, body: str = ""
) -> Json:
    good = [code for code in codes if code < "300"]
    bad = {*codes, "401", "403", "503"} - set(good)
    bad |= {"422"} if parameters or body else set()
    bad |= {"400", "413", "415"} if body else set()
    described: Json = {
        "summary": summary,
        "description": "For operators; docs/replay.md says more.",
        "security": _SECURITY,
        "responses": {
            **{code: {"description": "As asked", "content": _OBJECT} for code in good},
            **{code: answer(_PROBLEMS[code], "Problem", media=MEDIA_TYPE) for code in sorted(bad)},
        },
    }
    if parameters:
        described["parameters"] = parameters
    if body:
        content = {"application/json": {"schema": ref(body)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _selecting() -> list[Json]:
    return [_query(name, _SELECTING[name]) for name in PARAMETERS]


def _query(name: str, description: str, kind: str = "string") -> Json:
    return {"name": name, "in": "query", "description": description, "schema": {"type": kind}}


def _job() -> Json:
    return _path("id", "The job's id.")


def _path(name: str, description: str) -> Json:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }
