"""What the doctor says of a cluster, from facts alone."""

from dataclasses import replace
from typing import Any

import pytest

from console.doctor.finding import Finding, Level, Unasked
from console.doctor.kafka_checks import Wanted, check_kafka
from console.doctor.kafka_facts import KafkaFacts
from console.doctor.kafka_tls import certificate_ends, check_certificates
from retry_topics.topic_specs import DAY_MS, desired
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.inspection import GroupState
from runtime.kafka.topics import TopicState

TOPOLOGY = Topology("mails", parse_tiers("1m,1h"), 8)
WANTED = Wanted("kafka:9092", TOPOLOGY, None, "consumer")
BROKER = {
    "group.coordinator.rebalance.protocols": "classic,consumer,streams",
    "group.consumer.session.timeout.ms": "6000",
    "offsets.retention.minutes": "10080",
    "transaction.max.timeout.ms": "900000",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
}


def _topics() -> dict[str, TopicState]:
    return {
        spec.name: TopicState(spec.name, spec.partitions, 3, spec.configs, 3)
        for spec in desired(TOPOLOGY, 3)
    }


def _facts(**changes: Any) -> KafkaFacts:
    facts = KafkaFacts(
        nodes=3,
        brokers={1: BROKER, 2: BROKER, 3: BROKER},
        topics=_topics(),
        names=frozenset(_topics()),
        stranded=(),
        group=GroupState(2, "consumer"),
        waiting=7,
        transactions=True,
    )
    return replace(facts, **changes)


def _bad(facts: KafkaFacts, wanted: Wanted = WANTED) -> list[Finding]:
    return [found for found in check_kafka(facts, wanted) if found.level is not Level.OK]


def _topic(name: str, **changes: Any) -> dict[str, TopicState]:
    topics = _topics()
    return topics | {name: replace(topics[name], **changes)}


def _configured(name: str, **configs: str) -> dict[str, TopicState]:
    changed = {key.replace("_", "."): value for key, value in configs.items()}
    return _topic(name, configs=dict(_topics()[name].configs) | changed)


def test_a_cluster_as_it_should_be_is_well() -> None:
    """Nothing to mend, and each check says what it saw."""
    findings = check_kafka(_facts(), WANTED)

    assert {found.level for found in findings} == {Level.OK}
    assert {found.check for found in findings} == {
        "brokers",
        "version",
        "topics",
        "partitions",
        "topic configuration",
        "copies",
        "transactions",
        "workers",
    }


def test_a_cluster_that_does_not_answer_is_one_failure() -> None:
    """Nothing else is said of it, and the setting to look at is named."""
    (found,) = check_kafka(Unasked("no Kafka answers at kafka:9092"), WANTED)

    assert found.level is Level.FAIL
    assert "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS=kafka:9092" in found.mend


@pytest.mark.parametrize(
    ("changes", "level", "check", "says", "mend"),
    [
        ({"brokers": Unasked("denied")}, "unknown", "broker settings", "denied", "--role doctor"),
        ({"topics": Unasked("denied")}, "unknown", "topics", "denied", "doctor --acls"),
        ({"group": Unasked("denied")}, "unknown", "workers", "denied", "doctor --acls"),
        ({"waiting": Unasked("late")}, "unknown", "waiting mails", "late", ""),
        ({"transactions": Unasked("late")}, "fail", "transactions", "no worker", "min.isr"),
        ({"topics": {}}, "fail", "topics", "all of the topics are missing", "topics apply"),
        (
            {"group": GroupState(0, "")},
            *("fail", "workers", "7 records wait and the group mails.mailer", "mailcascade worker"),
        ),
        ({"group": GroupState(1, "classic")}, "warn", "group protocol", "classic", "the same"),
        (
            {"stranded": ["mails.retry.5m holds 3 mails; add 5m to MAILCASCADE_TIERS again"]},
            *("fail", "former tiers", "mails.retry.5m holds 3 mails", "add 5m to MAILCASCADE"),
        ),
        ({"stranded": Unasked("late")}, "unknown", "former tiers", "late", ""),
    ],
)
def test_what_is_wrong_with_a_cluster_is_named_with_its_cure(
    changes: dict[str, Any], level: str, check: str, says: str, mend: str
) -> None:
    """One finding for each thing, and no other."""
    (found,) = _bad(_facts(**changes))

    assert (found.level, found.check) == (level, check)
    assert says in found.what
    assert mend in found.mend


def test_a_former_tier_that_is_empty_is_only_told() -> None:
    """Of this topology, not of one whose prefix is longer."""
    names = frozenset({"mails.retry.5m", "mails2.retry.5m"})

    found = check_kafka(_facts(names=names), WANTED)

    (told,) = (one for one in found if one.check == "former tiers")
    assert told.level is Level.OK
    assert told.what.startswith("mails.retry.5m: empty")


def test_no_worker_is_no_fault_while_nothing_waits() -> None:
    """So the doctor can be asked before the first start."""
    assert _bad(_facts(group=GroupState(0, ""), waiting=0)) == []


@pytest.mark.parametrize(
    ("name", "value", "level", "check", "says"),
    [
        ("inter.broker.protocol.version", "3.6-IV2", "fail", "version", "Kafka 3.6 and knows cl"),
        ("transaction.max.timeout.ms", "5000", "fail", "transactions", "workers need 10000"),
        ("offsets.retention.minutes", "60", "warn", "offsets retention", "60 minutes after"),
        ("group.consumer.session.timeout.ms", "45000", "warn", "fail-over", "after 45 s only"),
        ("auto.create.topics.enable", "true", "warn", "topic creation", "spelt wrongly"),
        ("offsets.topic.replication.factor", "1", "warn", "copies", "lost with one broker"),
        ("transaction.state.log.replication.factor", "5", "fail", "copies", "no worker can work"),
    ],
)
def test_what_is_wrong_with_a_broker_s_settings_is_told(
    name: str, value: str, level: str, check: str, says: str
) -> None:
    """By the configuration of the brokers themselves."""
    config = BROKER | {name: value}
    if name == "inter.broker.protocol.version":
        config["group.coordinator.rebalance.protocols"] = "classic"

    (found,) = _bad(_facts(brokers={1: config}))

    assert (found.level, found.check) == (level, check)
    assert says in found.what
    assert found.mend


def test_an_old_broker_is_fine_for_classic_groups() -> None:
    """Where the settings ask for no other."""
    old = BROKER | {
        "inter.broker.protocol.version": "3.6-IV2",
        "group.coordinator.rebalance.protocols": "classic",
    }
    wanted = replace(WANTED, protocol="classic")

    assert _bad(_facts(brokers={1: old}, group=GroupState(0, "")), wanted)[0].check == "workers"
    assert _bad(_facts(brokers={1: old}, group=GroupState(1, "classic")), wanted) == []


@pytest.mark.parametrize(
    ("topics", "level", "check", "says"),
    [
        (_topic("mails.dlt", partitions=4), "fail", "partitions", "mails.dlt has 4"),
        (_topic("mails.dlt", in_sync=2), "warn", "copies", "2 of 3 copies in sync"),
        (_topic("mails.dlt", in_sync=1), "fail", "copies", "nothing can be written"),
        (_topic("mails.dlt", in_sync=0), "fail", "copies", "0 copies in sync and needs 2"),
        (
            _configured("mails", cleanup_policy="compact"),
            *("fail", "topic configuration", "loses the others"),
        ),
        (
            _configured("mails", retention_ms=str(2 * DAY_MS)),
            *("warn", "topic configuration", "retention.ms 172800000 -> 604800000"),
        ),
        (
            _configured("mails", retention_bytes="1000000"),
            *("warn", "topic configuration", "mails that were not sent are deleted"),
        ),
        (
            _configured("mails", unclean_leader_election_enable="true"),
            *("warn", "topic configuration", "what it lacks is lost"),
        ),
    ],
)
def test_what_is_wrong_with_a_topic_is_told(
    topics: dict[str, TopicState], level: str, check: str, says: str
) -> None:
    """What loses or holds mails fails, what may come to that or only differs is a warning."""
    (found,) = _bad(_facts(topics=topics))

    assert (found.level, found.check) == (level, check)
    assert says in found.what
    assert found.mend


def test_one_copy_of_everything_is_a_warning() -> None:
    """A single broker, as for development, is said to be one."""
    topics = {
        spec.name: TopicState(spec.name, spec.partitions, 1, spec.configs, 1)
        for spec in desired(TOPOLOGY, 1)
    }
    inner = {
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
    }

    (found,) = _bad(_facts(nodes=1, brokers={1: BROKER | inner}, topics=topics))

    assert found.level is Level.WARN
    assert "one copy" in found.what


def test_a_broker_s_certificate_is_told_before_it_ends() -> None:
    """Two weeks before, as a relay's; one that could not be seen is unknown."""
    day = 86_400.0
    ends = {"a:9093": 100 * day, "b:9093": 11.5 * day, "c:9093": Unasked("unable to verify")}

    found = check_certificates(ends, 10 * day)

    assert [one.level for one in found] == [Level.OK, Level.WARN, Level.UNKNOWN]
    assert "that of a:9093 is valid for 90 days" in found[0].what
    assert "ends in 1 days" in found[1].what


def test_brokers_in_clear_text_have_no_certificates() -> None:
    """Nobody is asked."""
    assert certificate_ends("127.0.0.1:1", {}) == {}
    assert certificate_ends("127.0.0.1:1", {"security.protocol": "SASL_PLAINTEXT"}) == {}


def test_more_copies_than_brokers_are_a_wrong_setting() -> None:
    """As `topics apply` says, too."""
    (found,) = _bad(_facts(), replace(WANTED, replication=5))

    assert found.level is Level.FAIL
    assert "MAILCASCADE_REPLICATION_FACTOR" in found.mend
