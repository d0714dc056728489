"""The endpoint for many mails: each item is accepted or refused on its own, in order.

202 says that every item was accepted, 207 that the results have to be looked at. Where Kafka took
none of them the whole batch is refused with 503, so it can be sent again as it is.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from ingest import bodies
from ingest.checks import KEY_RULE, Checks, Sender, is_idempotency_key
from ingest.door import Door
from ingest.items import Item, items_of
from ingest.outbox import Outbox, publish_problem, publish_refusal, status_url
from ingest.payloads import MAX_BATCH_ITEMS, BatchItem
from ingest.problems import FieldProblem, Problem, Refused, invalid
from ingest.records import Entry, Recorder
from ingest.tracing import Traces
from runtime.kafka.published import PublishError, PublishUnavailable
from schemas.identity import mail_ids

MAX_BODY: Final = 8 * 1024 * 1024
_MEDIA: Final = (bodies.JSON, *bodies.NDJSON)
#: Items that are checked before others get their turn in the event loop.
_SLICE: Final = 100


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
        self, door: Door, checks: Checks, recorder: Recorder, outbox: Outbox, traces: Traces
    ) -> None:
        self._door = door
        self._checks = checks
        self._recorder = recorder
        self._outbox = outbox
        self._traces = traces
        self._item = msgspec.json.Decoder(BatchItem)
        self._encoder = msgspec.json.Encoder()

    async def batch(self, request: Request) -> Response:
        """Accept up to 1,000 mails."""
        opened = await self._door.opened(request, _MEDIA, MAX_BODY)
        if opened.idempotency_key is not None:
            message = "has no meaning for a batch: give each item an idempotency_key"
            raise invalid([FieldProblem("Idempotency-Key", message)])
        items = items_of(opened.body, opened.media)
        if not 0 < len(items) <= MAX_BATCH_ITEMS:
            message = f"must have 1 to {MAX_BATCH_ITEMS} items, not {len(items)}"
            raise invalid([FieldProblem("", message)])
        with self._traces.sending(len(items)):
            answer = await self._published(await self._checked(items, opened.tenant))
        return Response(
            self._encoder.encode(answer),
            status_code=207 if answer.refused else 202,
            media_type=bodies.JSON,
        )

    async def _checked(self, items: Sequence[Item], tenant: str) -> list[Entry | Problem]:
        checked: list[Entry | Problem] = []
        sender = Sender(tenant)
        for number, item in enumerate(items, start=1):
            try:
                checked.append(self._entry(item, sender))
            except Refused as refusal:
                checked.append(refusal.problem)
                self._outbox.meters.refused(refusal.problem.kind)
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        return checked

    def _entry(self, item: Item, sender: Sender) -> Entry:
        problems: list[FieldProblem] = []
        if not isinstance(item, BatchItem):
            item, problems = bodies.parse(item, self._item)
        key = item.idempotency_key
        if key is not None:
            sender = Sender(sender.tenant, key)
            if not is_idempotency_key(key):
                problems.append(FieldProblem("idempotency_key", KEY_RULE))
        return self._recorder.entry(self._checks.email(item, problems, sender))

    async def _published(self, checked: Sequence[Entry | Problem]) -> BatchAnswer:
        entries = [entry for entry in checked if isinstance(entry, Entry)]
        failures = await self._outbox.put(entries)
        accepted = len(entries) - len(failures)
        if not accepted:
            for failure in failures.values():
                if isinstance(failure, PublishUnavailable):
                    raise publish_refusal(failure)
        published = _published(entries, failures)
        results = [
            next(published) if isinstance(item, Entry) else _refused(item) for item in checked
        ]
        return BatchAnswer(accepted, len(checked) - accepted, results)


def _published(
    entries: Sequence[Entry], failures: Mapping[int, PublishError]
) -> Iterator[ItemResult]:
    for index, mail_id in enumerate(mail_ids([(entry.event_id, entry.key) for entry in entries])):
        if index in failures:
            yield _refused(publish_problem(failures[index]))
        else:
            yield ItemResult(202, mail_id, status_url(mail_id))


def _refused(problem: Problem) -> ItemResult:
    return ItemResult(problem.status, problem=problem)
