"""How fast the projector takes a backlog of mails and of their ledger into an empty SQLite view."""

from collections.abc import Iterator
from contextlib import closing
from typing import Final, NamedTuple

from confluent_kafka import Producer

from bench.pipeline import PARTITIONS, BenchFailed, Pipeline, Site
from bench.process import cpu_seconds, peak_mib
from bench.table import Row
from console.stack.children import Child
from console.stack.plan import own_module
from consumers.status.reader import StatusReader, StatusUnavailable, view_url
from runtime.clock import SystemClock
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import OutRecord
from schemas.codec import encode
from schemas.events import Recipient, SignupEvent
from schemas.identity import idempotent_event_id, lane_key
from schemas.ledger import LedgerEntry, owner_of, write_entry
from schemas.mail_states import MailState

MAILS: Final = 100_000
QUICK_MAILS: Final = 20_000
_TENANT: Final = "default"
_TEMPLATE: Final = "signup-confirmation"
_PROJECT_SECONDS: Final = 300.0
_FLUSH_SECONDS: Final = 60.0


class _Look(NamedTuple):
    """What the view says of itself at one moment, and the CPU time until then."""

    projected_at: int
    behind: int
    cpu_seconds: float


def run(site: Site, mails: int) -> list[Row]:
    """Measure with so many mails, each with one ledger entry; return the rows to print.

    The figures are from the end of the first transaction to that of the last one, as the view
    itself has them: the start of the process is not in them.

    Raises:
        BenchFailed: the projector ends, or is not done in time.
    """
    with Pipeline(site, "projector") as pipeline:
        _write(pipeline, mails)
        child = pipeline.start("projector", own_module("console", "projector"))
        with closing(StatusReader(view_url(pipeline.settings), None)) as reader:
            looks = _watched(pipeline, reader, child)
        first, last = looks
        changes = first.behind
        seconds = (last.projected_at - first.projected_at) / 1000
        if not changes or not seconds:
            raise BenchFailed(f"{mails} mails are too few to be measured")
        cpu = (last.cpu_seconds - first.cpu_seconds) / changes
        return [
            ("1 projector, changes/s", f"{changes / seconds:,.0f}"),
            ("1 projector, CPU us/change", f"{cpu * 1e6:,.0f}"),
            ("1 projector, peak RSS MiB", f"{peak_mib(child.pid):.0f}"),
        ]


def _watched(pipeline: Pipeline, reader: StatusReader, child: Child) -> tuple[_Look, _Look]:
    """Return the first look at a view that was written to, and the first at one without a rest."""
    looks: list[_Look] = []

    def done() -> bool:
        try:
            fresh = reader.freshness()
        except StatusUnavailable:
            return False
        if fresh.projected_at is None or fresh.behind is None:
            return False
        looks.append(_Look(fresh.projected_at, fresh.behind, cpu_seconds(child.pid)))
        return fresh.behind == 0

    pipeline.wait_until(done, _PROJECT_SECONDS, "everything is projected")
    return looks[0], looks[-1]


def _write(pipeline: Pipeline, mails: int) -> None:
    producer = Producer({**pipeline.properties, "partitioner": "murmur2_random", "linger.ms": 5})
    for record in _records(pipeline, mails):
        while True:
            try:
                producer.produce(
                    record.topic,
                    record.value,
                    record.key,
                    partition=-1 if record.partition is None else record.partition,
                    headers=list(record.headers),
                )
                break
            except BufferError:
                producer.poll(0.1)
    left = producer.flush(_FLUSH_SECONDS)
    producer.close()
    if left:
        raise BenchFailed(f"Kafka did not take {left} records")


def _records(pipeline: Pipeline, mails: int) -> Iterator[OutRecord]:
    """Yield a main record and a ledger record for each mail, as the API and a worker write them."""
    topology, now = pipeline.topology, SystemClock().now_ms()
    for number in range(mails):
        address = f"person{number}@example{number % 50}.com"
        key = lane_key(address)
        event_id = idempotent_event_id(_TENANT, str(number), address)
        data = {"confirm_url": f"https://app.example.com/confirm?token={number}"}
        event = SignupEvent(event_id, now, _TEMPLATE, Recipient(address), "en", data, _TENANT)
        yield OutRecord(topology.main, key, encode(event), (("ce_id", str(event_id).encode()),))
        sent = LedgerEntry(
            state=MailState.SENT,
            generation=0,
            step=0,
            attempts=0,
            owner=owner_of(_TENANT),
            at=now + 50,
            template=_TEMPLATE,
            tenant=_TENANT,
            worker="host-0",
            text="2.0.0 Ok: queued as 4bXyZ12345",
            code=250,
        )
        lane = partition_of(key, PARTITIONS)
        yield OutRecord(topology.ledger, event_id.bytes, write_entry(sent), (), lane)
