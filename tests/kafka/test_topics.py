"""Topics are planned, made, found and read on a real Kafka."""

import pytest
from confluent_kafka import Producer

from retry_topics.provisioning import Action, Create, Grow, apply, survey, topic_of, verify
from retry_topics.stranded import stranded
from retry_topics.topology import Topology, parse_tiers
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties
from runtime.kafka.errors import KafkaUnreachable, TopicMissing
from runtime.kafka.reader import ReaderStalled, TopicReader
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span, TopicSpec
from tests.support.broker import BrokerAddress


@pytest.fixture
def properties(broker: BrokerAddress) -> Properties:
    return {"bootstrap.servers": broker.bootstrap}


@pytest.fixture
def admin(properties: Properties) -> TopicAdmin:
    return TopicAdmin(properties)


@pytest.fixture
def topology(prefix: str) -> Topology:
    """A topology that does not exist yet."""
    return Topology(prefix, parse_tiers("1m,10m"), 3)


def _apply(topology: Topology, admin: TopicAdmin) -> list[Action]:
    done: list[Action] = []
    apply(survey(topology, 1, admin), admin, done.append)
    return done


def test_what_was_applied_is_not_planned_again(topology: Topology, admin: TopicAdmin) -> None:
    """`apply` makes exactly what `plan` named, and a second plan is empty."""
    planned = survey(topology, 1, admin)

    done = _apply(topology, admin)

    assert done == list(planned.actions)
    assert {topic_of(action) for action in done} == {
        topology.main,
        *topology.retries,
        topology.dlt,
        topology.dlt_journal,
        topology.ledger,
        topology.control,
        topology.suppressions,
        topology.outages,
        topology.switches,
    }
    assert survey(topology, 1, admin).actions == ()
    assert verify(topology, admin) == []


def test_a_changed_configuration_is_mended(topology: Topology, admin: TopicAdmin) -> None:
    """Only the topic and the configuration that differ are touched; what was a hazard is none."""
    _apply(topology, admin)
    admin.configure(topology.suppressions, {"cleanup.policy": "delete"})
    (hazard,) = verify(topology, admin)
    assert hazard.startswith(f"{topology.suppressions} has cleanup.policy=delete")

    done = _apply(topology, admin)

    assert [str(action) for action in done] == ["cleanup.policy delete -> compact"]
    assert survey(topology, 1, admin).actions == ()
    assert verify(topology, admin) == []


def test_mails_in_a_tier_that_is_none_any_more_are_found(
    topology: Topology, admin: TopicAdmin, properties: Properties
) -> None:
    """Those that the group has not finished; without them a tier may go."""
    _apply(topology, admin)
    producer = Producer(properties)
    for number in (0, 1, 1):
        producer.produce(topology.retries[1], b"a mail", partition=number)
    assert producer.flush(30) == 0
    producer.close()
    smaller = Topology(topology.prefix, topology.tiers[:1], topology.partitions)
    reader = TopicReader(properties, SystemClock())
    done = {Partition(topology.retries[1], 0): 1}

    (problem,) = stranded(smaller, admin, lambda _: done, reader.read)
    assert problem.startswith(f"{topology.retries[1]} holds 2 mails, and 10m is no tier")
    done |= {Partition(topology.retries[1], 1): 2}
    assert stranded(smaller, admin, lambda _: done, reader.read) == []
    assert stranded(topology, admin, lambda _: {}, reader.read) == []


def test_growing_raises_every_topic_to_the_same_count(
    topology: Topology, admin: TopicAdmin
) -> None:
    """A larger number of partitions is planned as growth and done for all topics."""
    _apply(topology, admin)
    larger = Topology(topology.prefix, topology.tiers, 5)
    assert "every topic must have 5 partitions" in verify(larger, admin)[0]

    done = _apply(larger, admin)

    assert all(isinstance(action, Grow) for action in done)
    assert verify(larger, admin) == []


def test_a_tier_that_is_none_any_more_is_told(topology: Topology, admin: TopicAdmin) -> None:
    """A topic that nobody reads after a change of the tiers is an orphan, and left alone."""
    _apply(topology, admin)
    fewer = Topology(topology.prefix, parse_tiers("1m"), topology.partitions)

    planned = survey(fewer, 1, admin)

    assert planned.actions == ()
    assert planned.orphans == (f"{topology.prefix}.retry.10m",)


def test_a_missing_topic_is_named_with_its_cure(topology: Topology, admin: TopicAdmin) -> None:
    """The check at start says which topic is missing and which command creates it."""
    problems = verify(topology, admin)

    assert len(problems) == 10
    assert problems[0] == f"there is no topic {topology.main}; create it: mailcascade topics apply"
    assert all(isinstance(action, Create) for action in survey(topology, 1, admin).actions)


def test_nobody_at_the_address_is_named_in_time() -> None:
    """An unreachable Kafka is an error with the address and a hint."""
    admin = TopicAdmin({"bootstrap.servers": "127.0.0.1:1"})

    with pytest.raises(KafkaUnreachable) as caught:
        admin.ping(timeout_seconds=1.0)

    assert caught.value.address == "127.0.0.1:1"
    assert "refused" in caught.value.hint


def test_the_spans_of_a_missing_topic_are_a_fault(prefix: str, admin: TopicAdmin) -> None:
    """Asking for the offsets of a topic that is not there does not invent any."""
    with pytest.raises(TopicMissing, match=prefix):
        admin.spans([prefix])


def _one_topic(admin: TopicAdmin, name: str) -> None:
    admin.create([TopicSpec(name, 2, 1, {})])


def _transactional(properties: Properties, name: str) -> Producer:
    producer = Producer({**properties, "transactional.id": name, "transaction.timeout.ms": 10_000})
    producer.init_transactions(10)
    return producer


def test_reading_ends_behind_the_last_transaction_marker(
    topology: Topology, admin: TopicAdmin, properties: Properties
) -> None:
    """A topic whose last offsets are markers and aborted records is read to its end."""
    name = topology.main
    _one_topic(admin, name)
    producer = _transactional(properties, name)
    producer.begin_transaction()
    for number in range(10):
        producer.produce(name, value=str(number), partition=number % 2, headers=[("n", b"1")])
    producer.commit_transaction(10)
    producer.begin_transaction()
    producer.produce(name, value="aborted", partition=0)
    producer.flush(10)
    producer.abort_transaction(10)

    spans = admin.spans([name])
    records = list(TopicReader(properties, SystemClock()).read(spans))

    # Partition 0 holds 5 records, a marker, an aborted record and its marker.
    assert spans[Partition(name, 0)] == Span(0, 8)
    assert [record.value for record in records if record.partition == 0] == [
        b"0", b"2", b"4", b"6", b"8"
    ]  # fmt: skip
    assert len(records) == 10
    assert {record.headers for record in records} == {(("n", b"1"),)}


def test_reading_stops_at_the_end_it_was_given(
    topology: Topology, admin: TopicAdmin, properties: Properties
) -> None:
    """Records behind the span are not read, and an empty span yields nothing."""
    name = topology.main
    _one_topic(admin, name)
    producer = Producer(properties)
    for number in range(6):
        producer.produce(name, value=str(number), partition=0)
    producer.flush(10)

    reader = TopicReader(properties, SystemClock())
    records = list(reader.read({Partition(name, 0): Span(1, 4), Partition(name, 1): Span(0, 0)}))

    assert [record.offset for record in records] == [1, 2, 3]


def test_an_open_transaction_holds_the_reader_back_until_its_patience_ends(
    topology: Topology, admin: TopicAdmin, properties: Properties
) -> None:
    """What is undecided is neither shown nor skipped."""
    name = topology.main
    _one_topic(admin, name)
    producer = _transactional(properties, name)
    producer.begin_transaction()
    producer.produce(name, value="undecided", partition=0)
    producer.flush(10)

    reader = TopicReader(properties, SystemClock(), patience_seconds=0.5)
    with pytest.raises(ReaderStalled, match=f"{name}-0"):
        list(reader.read(admin.spans([name])))
    producer.abort_transaction(10)
