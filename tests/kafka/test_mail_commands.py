"""The commands about mails and recipients on a real Kafka: what they write, and what they read."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import UUID

import pytest
from confluent_kafka import Consumer

from retry_topics.headers import Death, Journey, read_journey, write_journey
from retry_topics.topology import Topology
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.partitioner import partition_of
from runtime.kafka.reader import TopicReader
from runtime.kafka.records import OutRecord, Record
from runtime.kafka.writer import RecordWriter
from schemas.codec import encode
from schemas.control import ControlAction, ControlCommand, read_command
from schemas.events import Recipient, SignupEvent
from schemas.identity import lane_key, mail_id
from schemas.ledger import NOBODY, LedgerEntry, write_entry
from schemas.mail_states import MailState
from schemas.privacy import address_hash, mask_address
from schemas.suppressions import Suppression, read_suppression, write_suppression
from tests.support.broker import BrokerAddress
from tests.support.wait import wait_until

Run = Callable[..., subprocess.CompletedProcess[str]]
PARTITIONS = 4
ADDRESS = "ada@example.com"
EVENT_ID = UUID(int=7)
KEY = lane_key(ADDRESS)
MAIL_ID = mail_id(EVENT_ID, KEY)
AT = 1_800_000_000_000


@pytest.fixture
def topology(topics: Callable[..., Topology]) -> Topology:
    return topics(partitions=PARTITIONS)


@pytest.fixture
def run(broker: BrokerAddress, topology: Topology, tmp_path: Path) -> Run:
    """Runs `mailcascade` for the test's own topics."""

    def run(
        *arguments: str, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        own = {
            "PATH": "/usr/bin:/bin",
            "USER": "eve",
            "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "MAILCASCADE_TOPIC_PREFIX": topology.prefix,
            "MAILCASCADE_PARTITIONS": str(PARTITIONS),
            "MAILCASCADE_STATE_DIR": str(tmp_path),
        }
        return subprocess.run(
            [sys.executable, "-m", "console", *arguments],
            env=own | dict(environ or {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def writer(broker: BrokerAddress) -> Iterator[RecordWriter]:
    with RecordWriter({"bootstrap.servers": broker.bootstrap}, SystemClock()) as writer:
        yield writer


@pytest.fixture
def read(broker: BrokerAddress) -> Callable[[str], list[Record]]:
    """Reads a whole topic."""

    def read(topic: str) -> list[Record]:
        properties = {"bootstrap.servers": broker.bootstrap}
        spans = TopicAdmin(dict(properties)).spans([topic])
        return list(TopicReader(properties, SystemClock()).read(spans))

    return read


def hold(writer: RecordWriter, topology: Topology) -> bytes:
    """Let a worker hold the mail, and return its event as it stands on the topic."""
    event = SignupEvent(EVENT_ID, AT, "welcome", Recipient(ADDRESS), "en", {}, "shop")
    lane = partition_of(KEY, PARTITIONS)
    journey = Journey(attempts=1, step=1, death=Death(AT, "held", "no reply"))
    headers = write_journey((("ce_id", str(EVENT_ID).encode()),), journey)
    value = encode(event)
    entry = write_entry(LedgerEntry(MailState.HELD, 0, 2, 1, NOBODY, AT))
    writer.write(
        [
            OutRecord(topology.dlt, KEY, value, headers, lane),
            OutRecord(topology.ledger, EVENT_ID.bytes, entry, (), lane),
        ]
    )
    return value


def command_in(record: Record) -> ControlCommand:
    return read_command(record.value)


def test_what_is_asked_of_the_workers_is_in_the_recipient_s_lane(
    run: Run, topology: Topology, read: Callable[[str], list[Record]]
) -> None:
    """A cancellation, a suppression and its end: one record each, keyed like the mails."""
    for arguments in (
        ("cancel", MAIL_ID, "--reason", "wrong list"),
        ("suppress", ADDRESS, "--reason", "asked us to"),
        ("unsuppress", ADDRESS),
    ):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr

    found = read(topology.control)
    assert {(record.key, record.partition) for record in found} == {
        (KEY, partition_of(KEY, PARTITIONS))
    }
    asked = [command_in(record) for record in found]
    assert [(c.action, c.event_id, c.address, c.tenant, c.by, c.reason) for c in asked] == [
        (ControlAction.CANCEL, str(EVENT_ID), None, "", "eve", "wrong list"),
        (ControlAction.SUPPRESS, None, ADDRESS, "", "eve", "asked us to"),
        (ControlAction.UNSUPPRESS, None, ADDRESS, "", "eve", ""),
    ]


def test_a_topic_that_is_missing_is_named_with_what_creates_it(
    run: Run, topology: Topology
) -> None:
    """Whether the command reads it or writes to it."""
    environ = {"MAILCASCADE_TOPIC_PREFIX": f"{topology.prefix}-not"}
    for arguments, kind in ((("cancel", MAIL_ID), "control"), (("held", "list"), "dlt")):
        done = run(*arguments, environ=environ)

        assert done.returncode == 1
        assert f"there is no topic {topology.prefix}-not.{kind}; `mailcascade topics" in done.stderr


def test_a_held_mail_is_listed_and_released(
    run: Run, topology: Topology, writer: RecordWriter, read: Callable[[str], list[Record]]
) -> None:
    """Without a status view, from Kafka alone; the same bytes go out as a new generation."""
    value = hold(writer, topology)

    listed = run("held", "list", "--json")
    released = run("held", "release", MAIL_ID, "--reason", "not delivered")

    assert listed.returncode == 0, listed.stderr
    assert [mail["id"] for mail in json.loads(listed.stdout)] == [MAIL_ID]
    assert json.loads(listed.stdout)[0]["recipient"] == mask_address(ADDRESS)
    assert f"read from {topology.dlt}" in listed.stderr
    assert released.returncode == 0, released.stderr
    assert released.stdout == f"{MAIL_ID}: released, to be sent\n"
    assert '"reason": "not delivered"' in released.stderr
    (record,) = read(topology.main)
    assert (record.key, record.value) == (KEY, value)
    assert record.partition == partition_of(KEY, PARTITIONS)
    assert record.timestamp_ms > 0
    journey = read_journey(record.headers)
    assert (journey.generation, journey.attempts, journey.step) == (1, 0, 0)
    assert journey.death is None


def test_a_held_mail_is_discarded_by_a_command(
    run: Run, topology: Topology, writer: RecordWriter, read: Callable[[str], list[Record]]
) -> None:
    """And one that is not held is an error: exit code 1, and nothing is written."""
    refused = run("held", "discard", MAIL_ID)
    hold(writer, topology)
    done = run("held", "discard", MAIL_ID)

    assert refused.returncode == 1
    assert "is not held" in refused.stderr
    assert done.returncode == 0, done.stderr
    (record,) = read(topology.control)
    assert command_in(record).action is ControlAction.DISCARD
    assert command_in(record).event_id == str(EVENT_ID)
    assert not read(topology.main)


def test_suppressions_go_to_a_file_and_back(
    run: Run,
    topology: Topology,
    writer: RecordWriter,
    read: Callable[[str], list[Record]],
    tmp_path: Path,
) -> None:
    """Those that stand in a wrong lane are moved first; a lifted one is gone."""
    kept = Suppression(KEY, mask_address(ADDRESS), AT, "550 5.1.1", "w1")
    lane = partition_of(KEY, PARTITIONS)
    wrong = (lane + 1) % PARTITIONS
    topic = topology.suppressions
    writer.write(
        [
            OutRecord(topic, address_hash(ADDRESS), write_suppression(kept), (), wrong),
            OutRecord(topic, address_hash("bob@example.com"), write_suppression(kept), (), lane),
            OutRecord(topic, address_hash("bob@example.com"), None, (), lane),
        ]
    )

    moved = run("suppressions", "relocate")
    shown = run("suppressions")
    printed = run("suppressions", "--json")
    file = tmp_path / "file"
    file.write_text(printed.stdout)
    again = run("suppress", "--file", str(file))

    assert moved.stdout == "1 suppressions moved, 1 records taken away\n", moved.stderr
    assert shown.stdout.splitlines()[-1] == "1 suppressed recipients", shown.stderr
    assert ADDRESS not in shown.stdout + printed.stdout
    assert again.stdout == "1 suppressions written\n", again.stderr
    own = [r for r in read(topic) if r.key == address_hash(ADDRESS) and r.partition == lane]
    assert [read_suppression(record.value) for record in own] == [kept, kept]
    assert run("suppressions", "relocate").stdout == "nothing to do\n"


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_suppressions_are_not_moved_while_workers_run(
    run: Run, broker: BrokerAddress, topology: Topology, protocol: str
) -> None:
    """Whichever protocol the group uses; with its last member gone they are."""
    properties = {
        "bootstrap.servers": broker.bootstrap,
        "group.id": topology.group,
        "group.protocol": protocol,
    }
    worker = Consumer(properties)
    worker.subscribe([topology.main])

    def joined() -> bool:
        worker.poll(0.1)
        return bool(worker.assignment())

    wait_until(joined, 30, "the group to have a member")
    refused = run("suppressions", "relocate")
    worker.close()

    assert refused.returncode == 1
    assert "1 workers are running" in refused.stderr
    assert run("suppressions", "relocate").returncode == 0
