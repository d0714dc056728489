"""A replay's part in traces: one span for each batch, linked to what the dead mails came from."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from msgspec import structs

from runtime.kafka.records import OutRecord
from runtime.trace_context import read_context, with_context
from runtime.tracing import Beginning, SpanKind, Tracer

#: Links of one span; collectors drop more. The records beyond name their origin all the same.
_MOST_LINKS: Final = 128


@contextmanager
def replaying(
    tracer: Tracer | None, job: str, records: Sequence[OutRecord]
) -> Iterator[Sequence[OutRecord]]:
    """Yield records to write to the main topic, in the trace of the batch that they are.

    A mail that nobody samples stays out of it. The span ends with the block.
    """
    contexts = [read_context(record.headers) for record in records] if tracer is not None else []
    links = [context for context in contexts if context is not None and context.sampled]
    if tracer is None or not (links or None in contexts):
        yield records
        return
    attributes: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.operation.name": "replay",
        "messaging.destination.name": records[0].topic,
        "messaging.batch.message_count": len(records),
        "mailcascade.job": job,
    }
    name = f"replay {records[0].topic}"
    beginning = Beginning(name, SpanKind.PRODUCER, attributes, links=links[:_MOST_LINKS])
    with tracer.begin(beginning) as span:
        yield [
            record
            if context is not None and not context.sampled
            else structs.replace(record, headers=with_context(record.headers, span.context))
            for record, context in zip(records, contexts, strict=True)
        ]
