"""How fast workers drain a backlog into smtp-sink, beside what smtp-source can do there at all."""

import time
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.pipeline import CONNECTIONS, PARTITIONS, BenchFailed, Pipeline, Site
from bench.postfix import Postfix, Programs, SourceRound
from bench.process import cpu_seconds, peak_mib
from bench.table import Row
from console.stack.children import Child
from console.stack.plan import MAIL_FROM
from consumers.delivery.compose import Composer
from consumers.delivery.mime import Sender
from consumers.delivery.render import Renderer
from runtime.clock import Deadline, SystemClock
from runtime.kafka.records import OutRecord
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.codec import encode
from schemas.events import Recipient, SignupEvent
from schemas.identity import lane_key

MAILS: Final = 30_000
QUICK_MAILS: Final = 5_000
_WARM_UP_MAILS: Final = 500
_PROCESSES: Final = (1, 2)
_DRAIN_SECONDS: Final = 300.0
_READY_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.05
_HEADERS: Final = (
    ("ce_specversion", b"1.0"),
    ("ce_source", b"/mailcascade/ingest/default"),
    ("ce_type", b"com.mailcascade.email.requested.v1"),
    ("ce_time", b"2026-01-01T00:00:00.000Z"),
    ("content-type", b"application/avro"),
)


class Drained(NamedTuple):
    """What happened between the first commit that was seen and the last one."""

    mails: int
    seconds: float
    cpu_seconds: float
    peak_mib: float


def run(site: Site, programs: Programs, mails: int) -> list[Row]:
    """Measure with so many mails; return the rows to print. Raises BenchFailed."""
    (first, one), (second, two) = (_measure(site, programs, n, mails) for n in _PROCESSES)
    source = min(first, second)
    rate, source_rate = one.mails / one.seconds, mails / source.seconds
    cpu, source_cpu = one.cpu_seconds / one.mails, source.cpu_seconds / mails
    return [
        (f"smtp-source, {CONNECTIONS} sessions, mails/s", f"{source_rate:,.0f}"),
        ("smtp-source, CPU us/mail", _microseconds(source_cpu)),
        ("1 worker process, mails/s", f"{rate:,.0f}"),
        ("1 worker process / smtp-source", f"{rate / source_rate:.2f}"),
        ("1 worker process, CPU us/mail", _microseconds(cpu)),
        ("CPU, 1 worker process / smtp-source", f"{cpu / source_cpu:.1f}"),
        ("1 worker process, peak RSS MiB", f"{one.peak_mib:.0f}"),
        ("2 worker processes, mails/s", f"{two.mails / two.seconds:,.0f}"),
        ("2 worker processes / 1", f"{two.mails / two.seconds / rate:.2f}"),
        ("2 worker processes, CPU us/mail", _microseconds(two.cpu_seconds / two.mails)),
    ]


def _measure(
    site: Site, programs: Programs, processes: int, mails: int
) -> tuple[SourceRound, Drained]:
    """Let smtp-source and then workers send as many mails to the same smtp-sink.

    The workers' backlog is written at once while they wait for it: workers that start on a
    backlog would begin with a rebalance, and that would be measured.
    """
    with Pipeline(site, f"{processes}-workers") as pipeline:
        postfix = Postfix(programs, pipeline)
        source = postfix.send(_one_mail(), mails)
        backlog = _Backlog(pipeline, pipeline.start_workers(processes))
        backlog.drain(_WARM_UP_MAILS)
        drained = backlog.drain(mails)
        pipeline.check_nothing_failed()
        return source, drained


class _Backlog:
    """Writes mails to the main topic and watches, from outside, how the group commits them."""

    def __init__(self, pipeline: Pipeline, workers: Sequence[Child]) -> None:
        self._pipeline = pipeline
        self._pids = [worker.pid for worker in workers]
        # Kafka ends before this client does, which is nothing to complain of.
        self._admin = AdminClient({**pipeline.properties, "log_level": 0})
        self._written = 0

    def drain(self, mails: int) -> Drained:
        """Write so many mails and return when all are committed."""
        records = [self._record(self._written + number) for number in range(mails)]
        before = self._written
        self._write(records)
        self._written += mails
        first = self._await(before + 1)
        last = self._await(self._written)
        return Drained(
            last.committed - first.committed,
            last.at - first.at,
            last.cpu_seconds - first.cpu_seconds,
            max(peak_mib(pid) for pid in self._pids),
        )

    def _await(self, committed: int) -> "_Look":
        deadline = Deadline(SystemClock(), _DRAIN_SECONDS)
        while (look := self._look()).committed < committed:
            self._pipeline.check()
            if deadline.expired():
                raise BenchFailed(f"{look.committed} of {self._written} mails are committed")
            time.sleep(_LOOK_SECONDS)
        return look

    def _look(self) -> "_Look":
        """Add up the committed offsets; no transaction writes to the main topic, so they count."""
        main = self._pipeline.topology.main
        group = self._pipeline.topology.group
        places = [TopicPartition(main, number) for number in range(PARTITIONS)]
        asked = ConsumerGroupTopicPartitions(group, places)
        answer = self._admin.list_consumer_group_offsets([asked])[group].result(10.0)
        committed = sum(max(0, place.offset) for place in answer.topic_partitions or ())
        return _Look(time.monotonic(), committed, sum(map(cpu_seconds, self._pids)))

    def _record(self, number: int) -> OutRecord:
        """Return a record with as many headers as the API writes."""
        event = _signup(f"person{number}@example{number % 50}.com")
        headers = (*_HEADERS, ("ce_id", str(event.event_id).encode()))
        key = lane_key(event.recipient.address)
        return OutRecord(self._pipeline.topology.main, key, encode(event), headers)

    def _write(self, records: Sequence[OutRecord]) -> None:
        producer = Producer({**self._pipeline.properties, "partitioner": "murmur2_random"})
        for record in records:
            producer.produce(record.topic, record.value, record.key, headers=list(record.headers))
        left = producer.flush(_READY_SECONDS)
        producer.close()
        if left:
            raise BenchFailed(f"Kafka did not take {left} of {len(records)} mails")


class _Look(NamedTuple):
    at: float
    committed: int
    cpu_seconds: float


def _signup(address: str) -> SignupEvent:
    return SignupEvent(
        event_id=uuid.uuid4(),
        occurred_at=SystemClock().now_ms(),
        template="signup-confirmation",
        recipient=Recipient(address, "Ada Lovelace"),
        locale="en",
        data={"confirm_url": "https://app.example.com/confirm?token=0123456789abcdef"},
        tenant="default",
    )


def _one_mail() -> bytes:
    composer = Composer(Renderer(Catalogue.load(DEFAULT_DIRECTORY)), Sender.parse(MAIL_FROM))
    return composer.compose(_signup("person@example.com")).content


def _microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f}"
