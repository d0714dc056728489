"""How fast operators sort, plan and replay a dead-letter topic, and in how much memory."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from confluent_kafka import Producer

from bench.backlog import signup
from bench.dlt_desk import FAST, SLOW, Done
from bench.pipeline import PARTITIONS, BenchFailed, Pipeline, Site
from bench.table import Row
from console.stack.plan import own_module, without_settings
from retry_topics.failure import Failure, FailureClass, Phase, Scope
from retry_topics.headers import Death, Journey, Origin, write_journey
from retry_topics.policy import DeadReason
from runtime.clock import SystemClock
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import Headers
from schemas.codec import encode
from schemas.identity import lane_key
from schemas.ledger import LedgerEntry, owner_of, write_entry
from schemas.mail_states import MailState

LETTERS: Final = 1_000_000
QUICK_LETTERS: Final = 100_000
#: The records a second of the job with a rate, and for how many seconds it has some.
_RATE: Final = 2_000
_RATE_SECONDS: Final = 10
#: One of so many parts of the topic, whose records lie together, is replayed without a rate.
_FAST_SHARE: Final = 5
_BATCH: Final = 20_000
_DESK_SECONDS: Final = 600.0
_FLUSH_SECONDS: Final = 60.0
#: What a relay said ends with the mail's id there, which no two mails share.
_MARK: Final = b"QUEUEMARK"
_CODES: Final = ((550, "5.1.1"), (550, "5.7.1"), (552, "5.2.2"), (451, "4.7.1"), (421, "4.3.2"))


def run(site: Site, letters: int) -> list[Row]:
    """Measure with so many dead letters; return the rows to print. Raises BenchFailed."""
    with Pipeline(site, "dlt") as pipeline:
        _write(pipeline, letters)
        done = _at_desk(pipeline)
    if done.grouped != letters or done.planned != letters:
        raise BenchFailed(f"of {letters} letters {done.grouped} are open, {done.planned} planned")
    return rows(done)


def rows(done: Done) -> list[Row]:
    """Return what a table says of it."""
    return [
        ("dead letters", f"{done.grouped:,}"),
        ("grouping, records/s", f"{done.grouped / done.group_seconds:,.0f}"),
        ("grouping, CPU us/record", f"{done.group_cpu_seconds / done.grouped * 1e6:.1f}"),
        ("planning, records/s", f"{done.planned / done.plan_seconds:,.0f}"),
        ("planning, CPU us/record", f"{done.plan_cpu_seconds / done.planned * 1e6:.1f}"),
        ("grouping and planning, peak RSS MiB", f"{done.peak_mib:.0f}"),
        ("replay without a rate, records/s", f"{done.replayed / done.replay_seconds:,.0f}"),
        ("replay, CPU us/record", f"{done.replay_cpu_seconds / done.replayed * 1e6:.1f}"),
        (f"replay at {_RATE:,} a second, off by %", f"{abs(done.rate / _RATE - 1) * 100:.1f}"),
    ]


def _write(pipeline: Pipeline, letters: int) -> None:
    """Write dead letters of five causes, and the ledger's word on each."""
    topology = pipeline.topology
    producer = Producer({**pipeline.properties, "queue.buffering.max.messages": 4 * _BATCH})
    slow = min(_RATE * _RATE_SECONDS, letters // 4)
    causes = [_headers(code, enhanced) for code, enhanced in _CODES]
    dead = write_entry(
        LedgerEntry(MailState.DEAD, 0, 1, 1, owner_of("default"), SystemClock().now_ms())
    )
    for start in range(0, letters, _BATCH):
        for number in range(start, min(start + _BATCH, letters)):
            tenant = "default"
            if number < slow:
                tenant = SLOW
            elif number < slow + letters // _FAST_SHARE:
                tenant = FAST
            event = signup(f"person{number}@example{number % 50}.com", tenant)
            key = lane_key(event.recipient.address)
            lane = partition_of(key, PARTITIONS)
            headers = list(_marked(causes[number % len(causes)]))
            producer.produce(topology.dlt, encode(event), key, partition=lane, headers=headers)
            producer.produce(topology.ledger, dead, event.event_id.bytes, partition=lane)
        if left := producer.flush(_FLUSH_SECONDS):
            raise BenchFailed(f"Kafka did not take {left} records")
    producer.close()


def _headers(code: int, enhanced: str) -> Headers:
    """Return the headers of a mail that died after four attempts."""
    now = SystemClock().now_ms()
    kind = FailureClass.PERMANENT if code >= 550 else FailureClass.TRANSIENT
    text = f"{code} {enhanced} refused, see https://relay.example/help ({_MARK.decode()})"
    failure = Failure(Scope.RECIPIENT, kind, Phase.RCPT, text, f"rule-{enhanced}", code, enhanced)
    journey = Journey(origin=Origin("mails", 0, 0, now))
    for _ in range(4):
        journey = journey.failed(failure, now, "bench-0")
    death = Death(now, DeadReason.EXHAUSTED, text)
    return write_journey((("ce_id", _MARK),), replace(journey, step=4, death=death))


def _marked(headers: Headers) -> Iterator[tuple[str, str | bytes | None]]:
    mark = uuid.uuid4().hex[:10].encode()
    for name, value in headers:
        yield name, None if value is None else value.replace(_MARK, mark)


def _at_desk(pipeline: Pipeline) -> Done:
    environ = {
        **without_settings(os.environ),
        "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": pipeline.settings.kafka_bootstrap_servers,
        "MAILCASCADE_TOPIC_PREFIX": pipeline.topology.prefix,
        "MAILCASCADE_PARTITIONS": str(PARTITIONS),
    }
    done = subprocess.run(
        own_module("bench.dlt_desk", str(_RATE)),
        env=environ,
        capture_output=True,
        text=True,
        timeout=_DESK_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise BenchFailed(f"the desk ended with exit code {done.returncode}: {done.stderr}")
    return Done(**json.loads(done.stdout.splitlines()[-1]))
