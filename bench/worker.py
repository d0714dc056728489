"""How fast workers drain a backlog into smtp-sink, beside what smtp-source can do there at all."""

import os
import pwd
import resource
import shutil
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.pipeline import (
    CONNECTIONS,
    PARTITIONS,
    BenchFailed,
    Pipeline,
    Site,
    microseconds,
    per_second,
)
from bench.process import cpu_seconds, peak_mib
from bench.table import Row
from console.stack.children import Child
from console.stack.plan import MAIL_FROM
from console.stack.ports import is_free
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
#: Debian puts them here, where only root looks.
_SBIN: Final = ("/usr/sbin",)
_SOURCE_ROUNDS: Final = 2
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


class PostfixMissing(BenchFailed):
    """smtp-sink or smtp-source is not there; the message says what to install."""


@dataclass(frozen=True, slots=True)
class SmtpTools:
    """Postfix's test programs."""

    sink: str
    source: str


class Drained(NamedTuple):
    """What happened between the first commit that was seen and the last one."""

    mails: int
    seconds: float
    cpu_seconds: float
    peak_mib: float


def find_tools(environ: Mapping[str, str], elsewhere: Sequence[str] = _SBIN) -> SmtpTools:
    """Return where the programs are, on PATH or else `elsewhere`; raises PostfixMissing."""
    path = os.pathsep.join([environ.get("PATH", os.defpath), *elsewhere])
    sink, source = (shutil.which(name, path=path) for name in ("smtp-sink", "smtp-source"))
    if sink is None or source is None:
        raise PostfixMissing(
            "the worker is measured beside smtp-source, and smtp-sink and smtp-source are not "
            "there.\nInstall them:  apt-get install postfix     (Debian, Ubuntu; it may stay "
            "without configuration)\nor leave this part out:  python -m bench --only ingest "
            "--only latency"
        )
    return SmtpTools(sink, source)


def run(site: Site, tools: SmtpTools, mails: int) -> list[Row]:
    """Measure with so many mails; return the rows to print. Raises BenchFailed."""
    source_seconds, source_cpu = _best_source_round(site, tools, mails)
    one, two = (_drain_with(site, tools, count, mails) for count in _PROCESSES)
    rate = one.mails / one.seconds
    return [
        (f"smtp-source, {CONNECTIONS} sessions, mails/s", per_second(mails, source_seconds)),
        ("smtp-source, CPU us/mail", microseconds(source_cpu, mails)),
        ("1 worker process, mails/s", per_second(one.mails, one.seconds)),
        ("1 worker process / smtp-source", f"{rate / (mails / source_seconds):.2f}"),
        ("1 worker process, CPU us/mail", microseconds(one.cpu_seconds, one.mails)),
        ("1 worker process, peak RSS MiB", f"{one.peak_mib:.0f}"),
        ("2 worker processes, mails/s", per_second(two.mails, two.seconds)),
        ("2 worker processes / 1", f"{two.mails / two.seconds / rate:.2f}"),
        ("2 worker processes, CPU us/mail", microseconds(two.cpu_seconds, two.mails)),
    ]


def _best_source_round(site: Site, tools: SmtpTools, mails: int) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of smtp-source's best round, on kept connections."""
    with Pipeline(site, "smtp-source") as pipeline:
        server = _start_sink(pipeline, tools)
        mail = server.spec.log.with_name("mail.eml")
        mail.write_bytes(_one_mail().replace(b"\r\n", b"\n"))
        command = [tools.source, "-d", "-s", str(CONNECTIONS), "-m", str(mails), "-F", str(mail)]
        command += ["-f", "no-reply@example.com", "-t", "person@example.com"]
        command += [f"127.0.0.1:{pipeline.ports.smtp}"]
        return min(_source_round(command) for _ in range(_SOURCE_ROUNDS))


def _source_round(command: list[str]) -> tuple[float, float]:
    used, began = _children_cpu(), time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_DRAIN_SECONDS, check=False
    )
    seconds = time.monotonic() - began
    if done.returncode != 0:
        raise BenchFailed(f"smtp-source ended with exit code {done.returncode}: {done.stderr}")
    return seconds, _children_cpu() - used


def _drain_with(site: Site, tools: SmtpTools, processes: int, mails: int) -> Drained:
    """Write a backlog at once to workers that wait for it, and watch them commit it.

    Workers that start on a backlog would begin with a rebalance, and that would be measured.
    """
    with Pipeline(site, f"{processes}-workers") as pipeline:
        _start_sink(pipeline, tools)
        workers = pipeline.start_workers(processes)
        backlog = _Backlog(pipeline, workers)
        backlog.drain(_WARM_UP_MAILS)
        drained = backlog.drain(mails)
        pipeline.check_nothing_failed()
        return drained


def _start_sink(pipeline: Pipeline, tools: SmtpTools) -> Child:
    port = pipeline.ports.smtp
    # It refuses to be root without being told whom to become; another user would slip the leash.
    user = ["-u", pwd.getpwuid(0).pw_name] if os.geteuid() == 0 else []
    sink = pipeline.start("smtp-sink", [tools.sink, *user, f"127.0.0.1:{port}", "256"])
    pipeline.wait_until(lambda: not is_free(port), _READY_SECONDS, "smtp-sink listens")
    return sink


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


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
