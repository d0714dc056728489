"""A batch of a replay is one span that links what died to what is tried again."""

from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from retry_topics.dlt.traced import replaying
from runtime.kafka.records import OutRecord
from runtime.trace_context import TraceContext, read_context, with_context
from tests.support.spans import MemorySpans, context_of, links_of, parent_of

DEAD = TraceContext("a" * 32, "b" * 16, 1)
UNSAMPLED = TraceContext("c" * 32, "d" * 16, 0)


def record(context: TraceContext | None) -> OutRecord:
    headers = (("ce_id", b"1"),)
    return OutRecord(
        "mails", b"k", b"v", headers if context is None else with_context(headers, context)
    )


def contexts(spans: MemorySpans | None, *records: OutRecord) -> list[TraceContext | None]:
    with replaying(spans.tracer if spans else None, "job1", records) as written:
        return [read_context(one.headers) for one in written]


def test_replayed_mails_go_out_in_the_batch_s_trace() -> None:
    """The next attempt links to the replay, and the replay to the attempts that failed."""
    spans = MemorySpans()
    written = contexts(spans, record(DEAD), record(None))
    span = spans.one("replay mails")
    assert written == [context_of(span)] * 2
    assert (links_of(span), parent_of(span)) == ([DEAD], None)
    assert (span.attributes or {})["mailcascade.job"] == "job1"


def test_a_mail_that_nobody_samples_stays_as_it_is() -> None:
    """Alone it makes no span; among others it has no part in theirs."""
    spans = MemorySpans()
    assert contexts(spans, record(UNSAMPLED)) == [UNSAMPLED]
    assert contexts(spans) == []
    assert spans.all() == []
    written = contexts(spans, record(UNSAMPLED), record(DEAD))
    assert written == [UNSAMPLED, context_of(spans.one("replay"))]


def test_of_a_large_batch_so_many_are_linked_as_a_span_may_have() -> None:
    """All of them are in its trace all the same."""
    spans = MemorySpans()
    written = contexts(spans, *[record(DEAD)] * 200)
    span = spans.one("replay")
    assert len(links_of(span)) == 128
    assert set(written) == {context_of(span)}


def test_without_traces_the_last_attempt_s_context_goes_on() -> None:
    """The next attempt then links to that."""
    assert contexts(None, record(DEAD), record(None)) == [DEAD, None]
    silent = MemorySpans(ALWAYS_OFF)
    (written,) = contexts(silent, record(None))
    assert written is not None
    assert not written.sampled
