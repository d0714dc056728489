"""The endpoint for many mails: each item is accepted or refused on its own, in order.

202 says that every item was accepted, 207 that the results have to be looked at. Where Kafka took
none of them the whole batch is refused with 503, so it can be sent again as it is.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingest import bodies
from ingest.checks import KEY_RULE, Checks, Sender, is_idempotency_key
from ingest.keys import Authenticator
from ingest.outbox import Outbox, accepted, publish_problem, publish_refusal
from ingest.payloads import MAX_BATCH_ITEMS, BatchItem
from ingest.problems import FieldProblem, Problem, Refused, invalid
from ingest.records import Entry, Recorder
from runtime.kafka.published import Delivered, PublishError, PublishUnavailable

MAX_BODY: Final = 8 * 1024 * 1024
#: Items that are checked before others get their turn in the event loop.
_SLICE: Final = 50


class ItemResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one item: its id and status_url, or a problem."""

    status: int
    id: str | None = None
    status_url: str | None = None
    problem: Problem | None = None


class BatchAnswer(msgspec.Struct, frozen=True):
    """What became of a batch; `results` has one entry per item, in the order of the items."""

    accepted: int
    refused: int
    results: list[ItemResult]


class BatchIntake:
    """Accepts mails by the thousand."""

    def __init__(
        self, keys: Authenticator, checks: Checks, recorder: Recorder, outbox: Outbox
    ) -> None:
        self._keys = keys
        self._checks = checks
        self._recorder = recorder
        self._outbox = outbox
        self._item = msgspec.json.Decoder(BatchItem)
        self._encoder = msgspec.json.Encoder()

    async def batch(self, request: Request) -> Response:
        """Accept up to 1,000 mails."""
        headers = bodies.read_headers(request)
        tenant = self._keys.tenant(bodies.text(headers, b"authorization"))
        media = bodies.media_type(headers, (bodies.JSON, *bodies.NDJSON))
        if bodies.IDEMPOTENCY_KEY in headers:
            message = "has no meaning for a batch: give each item an idempotency_key"
            raise invalid([FieldProblem("Idempotency-Key", message)])
        items = _items(await bodies.read(request, headers, MAX_BODY), media)
        checked = await self._checked(items, tenant)
        answer = await self._published(checked)
        return Response(
            self._encoder.encode(answer),
            status_code=207 if answer.refused else 202,
            media_type=bodies.JSON,
        )

    async def _checked(
        self, items: Sequence[bytes | msgspec.Raw], tenant: str
    ) -> list[Entry | Problem]:
        checked: list[Entry | Problem] = []
        for number, item in enumerate(items, start=1):
            try:
                checked.append(self._entry(item, tenant))
            except Refused as refusal:
                checked.append(refusal.problem)
                self._outbox.meters.refused(refusal.problem.kind)
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        return checked

    def _entry(self, item: bytes | msgspec.Raw, tenant: str) -> Entry:
        email, problems = bodies.parse(item, self._item)
        key = email.idempotency_key
        if key is not None and not is_idempotency_key(key):
            problems.append(FieldProblem("idempotency_key", KEY_RULE))
        return self._recorder.entry(self._checks.email(email, problems, Sender(tenant, key)))

    async def _published(self, checked: Sequence[Entry | Problem]) -> BatchAnswer:
        entries = [entry for entry in checked if isinstance(entry, Entry)]
        outcomes = await self._outbox.put(entries)
        delivered = sum(isinstance(outcome, Delivered) for outcome in outcomes)
        if not delivered:
            for outcome in outcomes:
                if isinstance(outcome, PublishUnavailable):
                    raise publish_refusal(outcome)
        published = iter(outcomes)
        results = [
            _published(item, next(published)) if isinstance(item, Entry) else _refused(item)
            for item in checked
        ]
        return BatchAnswer(delivered, len(checked) - delivered, results)


def _published(entry: Entry, outcome: Delivered | PublishError) -> ItemResult:
    if isinstance(outcome, Delivered):
        answer = accepted(entry.mail_id)
        return ItemResult(202, answer.id, answer.status_url)
    return _refused(publish_problem(outcome))


def _refused(problem: Problem) -> ItemResult:
    return ItemResult(problem.status, problem=problem)


def _items(body: bytes, media: str) -> Sequence[bytes | msgspec.Raw]:
    items: Sequence[bytes | msgspec.Raw]
    if media == bodies.JSON:
        items = _array(body)
    else:
        items = [line for line in body.split(b"\n") if line and not line.isspace()]
    if not 0 < len(items) <= MAX_BATCH_ITEMS:
        message = f"must have 1 to {MAX_BATCH_ITEMS} items, not {len(items)}"
        raise invalid([FieldProblem("", message)])
    return items


def _array(body: bytes) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(body, type=list[msgspec.Raw])
    except msgspec.ValidationError:
        bodies.parse_any(body)
        raise invalid([FieldProblem("", "must be an array")]) from None
    except bodies.NOT_JSON as error:
        raise bodies.malformed(error) from error
