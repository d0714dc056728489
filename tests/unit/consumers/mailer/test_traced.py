"""Each attempt is a short trace of its own that links to whatever wrote its record."""

import io
import json
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from msgspec import structs
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_OFF
from opentelemetry.trace import StatusCode

from runtime.kafka.records import Headers, Partition
from runtime.logs import configure_logs
from runtime.trace_context import TraceContext, read_context, read_origin
from runtime.tracing import within
from schemas.control import ControlAction
from schemas.events import Recipient, SignupEvent
from schemas.identity import mail_id
from tests.support.log_state import logs_as_before
from tests.support.simulated_host import Host
from tests.support.simulated_relay import Answer
from tests.support.simulated_worker import Worker
from tests.support.simulation import ADDRESSES, HOLD, PLAIN, TOPOLOGY, Mail, World
from tests.support.spans import MemorySpans, context_of, links_of, parent_of

REQUEST = TraceContext("a" * 32, "b" * 16, 1)
UNSAMPLED = REQUEST._replace(flags=0)
#: An address whose name cannot be part of an id by chance.
ADDRESS = ADDRESSES[2]


def nothing(mail: Mail, worker: Worker) -> None:
    """Let a mail be handed over."""


def world_of(spans: MemorySpans | None, on_send: Callable[[Mail, Worker], None] = nothing) -> World:
    """Return a world with a worker that has its lanes."""
    world = World([Host()], on_send, tracer=spans.tracer if spans else None)
    world.start("a", 0)
    for _ in range(4):
        world.round(Answer.ACCEPT)
    return world


@pytest.fixture
def spans() -> MemorySpans:
    return MemorySpans()


@pytest.fixture
def world(spans: MemorySpans) -> Iterator[World]:
    made = world_of(spans)
    yield made
    made.close()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    with logs_as_before():
        stream = io.StringIO()
        configure_logs("info", stream)
        yield stream


def post(world: World, context: TraceContext | None = REQUEST, *, template: str = PLAIN) -> Mail:
    event = SignupEvent(
        UUID(int=len(world.mails) + 1),
        world.clock.now_ms(),
        template,
        Recipient(ADDRESS),
        "en",
        {},
        "acme",
    )
    if context is None:
        return world.post(event)
    with within(context):
        return world.post(event)


def answered(world: World, *answers: Answer) -> None:
    """Let the relay answer so, one attempt after the other, and everything come to rest."""
    for answer in answers:
        while not world.relay.waiting:
            for commits in (False, True):
                world.step(world.workers["a"], commits=commits)
            world.advance(5)
        world.answer(world.relay.waiting[0], answer)
    world.rest()


def headers_on(world: World, topic: str, lane: int) -> list[Headers]:
    return [record.headers for record in world.kafka.read(Partition(topic, lane))]


def read_only(headers: list[Headers]) -> TraceContext | None:
    (one,) = headers
    return read_context(one)


def test_attempts_are_linked_from_the_request_to_the_replay(
    world: World, spans: MemorySpans
) -> None:
    """Main topic, tier, tier, dead-letter topic, main topic again: a chain without a gap."""
    mail = post(world)
    answered(world, Answer.LATER, Answer.LATER, Answer.REFUSED)
    world.replay(*world.parked()[0])
    answered(world, Answer.ACCEPT)

    first, second, third, fourth = spans.all("process")
    came_from = [links_of(span) for span in (first, second, third, fourth)]
    assert came_from == [
        [REQUEST],
        [context_of(first)],
        [context_of(second)],
        [context_of(third)],
    ]
    assert [parent_of(span) for span in (first, second, third, fourth)] == [None] * 4
    assert len({context_of(span).trace_id for span in spans.all("process")}) == 4
    tiers = [headers_on(world, topic, mail.lane) for topic in TOPOLOGY.retries]
    assert [read_only(headers) for headers in tiers] == [context_of(first), context_of(second)]
    (dead,) = headers_on(world, TOPOLOGY.dlt, mail.lane)
    assert (read_context(dead), read_origin(dead)) == (context_of(third), REQUEST)
    told = [read_context(headers) for headers in headers_on(world, TOPOLOGY.ledger, mail.lane)]
    assert told == [context_of(span) for span in (first, second, third, fourth)]


def test_a_span_tells_what_came_of_its_attempt(world: World, spans: MemorySpans) -> None:
    """By OpenTelemetry's names where there are any, and never whom the mail was for."""
    mail = post(world)
    answered(world, Answer.LATER, Answer.ACCEPT)

    first, second = spans.all("process")
    told = dict(first.attributes or {})
    assert told["messaging.system"] == "kafka"
    assert told["messaging.destination.name"] == TOPOLOGY.main
    assert told["messaging.destination.partition.id"] == str(mail.lane)
    assert told["messaging.kafka.offset"] == 0
    assert told["messaging.message.id"] == mail_id(mail.event.event_id, mail.record.key or b"")
    assert told["mailcascade.state"] == "retry"
    assert told["mailcascade.outcome.scope"] == "recipient"
    assert told["mailcascade.smtp.phase"] == "rcpt"
    assert first.status.status_code is StatusCode.ERROR
    assert "mailcascade.tier" not in told
    told = dict(second.attributes or {})
    assert (told["mailcascade.tier"], told["mailcascade.attempt"]) == ("1m", 2)
    assert (told["mailcascade.state"], second.status.is_ok) == ("sent", True)
    handed_over = spans.all("deliver")
    assert [parent_of(span) for span in handed_over] == [context_of(first), context_of(second)]
    assert (handed_over[0].attributes or {})["mailcascade.outcome.class"] == "transient"
    assert not any(said_of(ADDRESS, span) for span in spans.all())


def said_of(address: str, span: ReadableSpan) -> bool:
    local, domain = address.split("@")
    return local in span.to_json() or domain in span.to_json()


def test_what_nobody_samples_is_not_traced_and_carried_on(world: World, spans: MemorySpans) -> None:
    """A client that decided against it decided for the whole journey."""
    mail = post(world, UNSAMPLED)
    answered(world, Answer.LATER, Answer.ACCEPT)
    assert spans.all() == []
    assert read_only(headers_on(world, TOPOLOGY.retries[0], mail.lane)) == UNSAMPLED


def test_a_sampled_mail_stays_sampled_and_another_is_up_to_the_sampler() -> None:
    """So the story of a mail is whole or not there."""
    for sampler in (ALWAYS_OFF, DEFAULT_OFF):
        spans = MemorySpans(sampler)
        world = world_of(spans)
        post(world, None)
        answered(world, Answer.LATER, Answer.ACCEPT)
        assert spans.all() == []
        post(world)
        answered(world, Answer.LATER, Answer.ACCEPT)
        assert len(spans.all("process")) == 2
        world.close()


def test_a_mail_that_came_in_no_trace_begins_one(world: World, spans: MemorySpans) -> None:
    """From its first attempt on it is followed like any other."""
    post(world, None)
    answered(world, Answer.LATER, Answer.ACCEPT)
    first, second = spans.all("process")
    assert (links_of(first), links_of(second)) == ([], [context_of(first)])


def test_a_mail_that_is_stopped_in_hand_ends_its_span(world: World, spans: MemorySpans) -> None:
    """The entry of its cancellation is in the trace of the attempt that it ended."""
    world.relay_goes_down()
    mail = post(world)
    for commits in (False, False, True):
        world.step(world.workers["a"], commits=commits)
    world.demand(mail, ControlAction.CANCEL, "")
    world.rest()
    (span,) = [span for span in spans.all("process") if links_of(span) == [REQUEST]]
    told = [read_context(headers) for headers in headers_on(world, TOPOLOGY.ledger, mail.lane)]
    assert context_of(span) in told


def test_what_is_told_before_a_mail_is_handed_over_is_in_its_trace(
    world: World, spans: MemorySpans
) -> None:
    """SENDING is committed while the attempt goes on."""
    mail = post(world, template=HOLD)
    answered(world, Answer.ACCEPT)
    told = [read_context(headers) for headers in headers_on(world, TOPOLOGY.ledger, mail.lane)]
    assert told == [context_of(spans.one("process"))] * 2


@pytest.mark.parametrize("traced", [True, False])
def test_every_line_about_a_mail_carries_its_id_and_its_trace(
    log: io.StringIO, traced: bool
) -> None:
    """With traces off as well: the request's is then in every one of them."""
    spans = MemorySpans() if traced else None
    world = world_of(spans)
    log.truncate(0)
    mail = post(world)
    answered(world, Answer.LATER, Answer.NO_SUCH_RECIPIENT)
    world.close()

    lines = [json.loads(line) for line in log.getvalue().strip("\0\n").splitlines()]
    told = [line for line in lines if line["event"].startswith("mail.")]
    assert [line["event"] for line in told] == ["mail.retry", "mail.dead"]
    assert {line["mail_id"] for line in told} == {
        mail_id(mail.event.event_id, mail.record.key or b"")
    }
    attempts = [context_of(span) for span in spans.all("process")] if spans else [REQUEST] * 2
    assert [line["trace_id"] for line in told] == [context.trace_id for context in attempts]
    assert [line["attempts"] for line in told] == [1, 2]
    assert ADDRESS not in log.getvalue()
    assert ADDRESS.partition("@")[0] not in log.getvalue()


def test_what_is_no_event_is_dead_in_its_trace_and_in_the_log(
    world: World, spans: MemorySpans, log: io.StringIO
) -> None:
    """By the id in its headers, if it has one; a repeat is dropped."""
    mail = post(world)
    world.rest()
    world.kafka.write(structs.replace(mail.record, value=b"junk"), mail.lane)
    world.kafka.write(mail.record, mail.lane)
    world.rest()
    states = [(span.attributes or {})["mailcascade.state"] for span in spans.all("process")]
    assert states == ["sent", "dead", "dropped"]
    (line,) = (json.loads(text) for text in log.getvalue().splitlines() if "undecodable" in text)
    assert line["mail_id"] == mail_id(mail.event.event_id, mail.record.key or b"")
    assert line["position"] == f"{TOPOLOGY.main}/{mail.lane}/1"


def test_a_fault_of_our_own_code_is_found_by_the_mail_s_id(log: io.StringIO) -> None:
    """The line with the traceback, too."""

    def fault(mail: Mail, worker: Worker) -> None:
        raise ValueError("a fault")

    world = world_of(None, fault)
    mail = post(world)
    world.rest()
    world.close()
    lines = [json.loads(line) for line in log.getvalue().splitlines() if "crashed" in line]
    known = {(line["mail_id"], line["trace_id"]) for line in lines}
    assert known == {(mail_id(mail.event.event_id, mail.record.key or b""), REQUEST.trace_id)}
