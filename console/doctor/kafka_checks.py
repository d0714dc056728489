"""What is to be said of a cluster: brokers, features, topics, the workers' group."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from console.doctor.finding import Answer, Finding, Findings, Part, Unasked
from console.doctor.kafka_facts import KafkaFacts
from console.doctor.topic_checks import check_copies, check_orphans, check_topics
from retry_topics.topic_specs import RETENTION_MS
from retry_topics.topology import Topology
from runtime.kafka.inspection import GroupState

#: As `runtime.kafka.transactions` asks for.
_TRANSACTION_MS: Final = 10_000
#: A worker that died is missed after this time at the latest, in milliseconds, or it is told.
_LATE_MS: Final = 20_000
_MINUTE_MS: Final = 60_000
_CONFIGS_MEND: Final = "mailcascade doctor --acls --role doctor"

Config = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the settings ask of a cluster; `address` is where it should be."""

    address: str
    topology: Topology
    replication: int | None
    protocol: str


def check_kafka(facts: Answer[KafkaFacts], wanted: Wanted) -> list[Finding]:
    """Return what is to be said of the cluster."""
    findings = Findings(Part.KAFKA)
    if isinstance(facts, Unasked):
        findings.fail(
            "brokers",
            facts.reason,
            f"is Kafka up, are MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS={wanted.address} and "
            "MAILCASCADE_KAFKA_PROPERTIES right?",
        )
        return findings.all
    findings.ok("brokers", f"{facts.nodes} at {wanted.address}")
    _check_brokers(findings, facts.brokers, facts.nodes, wanted)
    if isinstance(facts.topics, Unasked):
        findings.unknown("topics", facts.topics.reason, "mailcascade doctor --acls")
    else:
        check_topics(findings, wanted.topology, facts.topics)
        check_copies(findings, facts.topics, facts.nodes, wanted.replication)
    _check_orphans(findings, facts, wanted.topology)
    _check_transactions(findings, facts.transactions)
    _check_group(findings, facts, wanted)
    return findings.all


def _check_brokers(
    findings: Findings, brokers: Answer[Mapping[int, Config]], nodes: int, wanted: Wanted
) -> None:
    if isinstance(brokers, Unasked):
        findings.unknown("broker settings", brokers.reason, _CONFIGS_MEND)
        return
    for broker, config in sorted(brokers.items()):
        _check_version(findings, broker, config, wanted.protocol)
        _check_times(findings, broker, config)
    config = next(iter(brokers.values()), {})
    if config.get("auto.create.topics.enable") == "true":
        findings.warn(
            "topic creation",
            "brokers make topics by themselves (auto.create.topics.enable): a name that is spelt "
            "wrongly becomes a topic that nobody reads",
            "auto.create.topics.enable=false in the brokers' server.properties",
        )
    _check_inner_copies(findings, config, nodes)


def _check_version(findings: Findings, broker: int, config: Config, protocol: str) -> None:
    """Judge by what a broker can be configured with: clients are not told its version."""
    old = config.get("inter.broker.protocol.version")
    version = "4.0 or later" if old is None else old.partition("-")[0]
    groups = config.get("group.coordinator.rebalance.protocols", "classic")
    if protocol in groups.split(","):
        findings.ok("version", f"broker {broker} is Kafka {version} and knows {groups} groups")
        return
    findings.fail(
        "version",
        f"broker {broker} is Kafka {version} and knows {groups} groups, not {protocol}: no worker "
        "gets a lane",
        "MAILCASCADE_KAFKA_GROUP_PROTOCOL=classic, or brokers from 4.0",
    )


def _check_times(findings: Findings, broker: int, config: Config) -> None:
    longest = int(config.get("transaction.max.timeout.ms", str(_TRANSACTION_MS)))
    if longest < _TRANSACTION_MS:
        findings.fail(
            "transactions",
            f"broker {broker} has transaction.max.timeout.ms={longest}; workers need "
            f"{_TRANSACTION_MS}",
            f"kafka-configs.sh --alter --entity-type brokers --entity-name {broker} --add-config "
            f"transaction.max.timeout.ms={_TRANSACTION_MS}",
        )
    kept_ms = int(config.get("offsets.retention.minutes", "10080")) * _MINUTE_MS
    if kept_ms < RETENTION_MS:
        findings.warn(
            "offsets retention",
            f"broker {broker} forgets offsets {kept_ms // _MINUTE_MS} minutes after the last "
            "worker stopped; the workers would then read everything once more",
            f"offsets.retention.minutes={RETENTION_MS // _MINUTE_MS} in its server.properties",
        )
    missed = int(config.get("group.consumer.session.timeout.ms", "0"))
    if missed > _LATE_MS:
        findings.warn(
            "fail-over",
            f"broker {broker} misses a worker that died after {missed / 1000:g} s only "
            "(group.consumer.session.timeout.ms); its lanes' mails wait for that long",
            "6000 to 10000 there, and in group.consumer.min.session.timeout.ms",
        )


def _check_inner_copies(findings: Findings, config: Config, nodes: int) -> None:
    """Offsets and transactions are topics, too, and no better kept than these."""
    for name in ("offsets.topic.replication.factor", "transaction.state.log.replication.factor"):
        copies = int(config.get(name, "3"))
        if copies < min(3, nodes):
            findings.warn(
                "copies",
                f"{name}={copies} on {nodes} brokers: what it keeps is lost with one broker",
                f"{name}={min(3, nodes)}, and kafka-reassign-partitions.sh for the topic",
            )
        elif copies > nodes:
            findings.fail(
                "copies",
                f"{name}={copies} and there are {nodes} brokers: no worker can work",
                f"{name}={nodes} in the brokers' server.properties, or more brokers",
            )


def _check_orphans(findings: Findings, facts: KafkaFacts, topology: Topology) -> None:
    if isinstance(facts.names, Unasked):
        return  # whoever may not see one topic is told so with the topics
    if isinstance(facts.stranded, Unasked):
        findings.unknown("former tiers", facts.stranded.reason)
        return
    check_orphans(findings, topology, facts.names, facts.stranded)


def _check_transactions(findings: Findings, transactions: Answer[bool]) -> None:
    """Tell whether they work; whether they are allowed is told with the ACLs."""
    if isinstance(transactions, Unasked):
        findings.fail(
            "transactions",
            f"none can begin, so no worker can work: {transactions.reason}",
            "transaction.state.log.replication.factor and .min.isr of the brokers: no more than "
            "there are brokers; their logs say more",
        )
    elif transactions:
        findings.ok("transactions", "can begin")


def _check_group(findings: Findings, facts: KafkaFacts, wanted: Wanted) -> None:
    name, group, waiting = wanted.topology.group, facts.group, facts.waiting
    if isinstance(group, Unasked):
        findings.unknown("workers", group.reason, "mailcascade doctor --acls")
        return
    _check_protocol(findings, name, group, wanted)
    if isinstance(waiting, Unasked):
        findings.unknown("waiting mails", waiting.reason)
        return
    if group.members:
        findings.ok("workers", f"{group.members} in the group {name}; {waiting} records wait")
    elif waiting:
        findings.fail(
            "workers",
            f"{waiting} records wait and the group {name} has no member: nobody sends them",
            "mailcascade worker",
        )
    else:
        findings.ok("workers", f"none in the group {name}, and no record waits")


def _check_protocol(findings: Findings, name: str, group: GroupState, wanted: Wanted) -> None:
    if group.members and group.protocol not in (wanted.protocol, "unknown"):
        findings.warn(
            "group protocol",
            f"the group {name} is a {group.protocol} one; MAILCASCADE_KAFKA_GROUP_PROTOCOL is "
            f"{wanted.protocol} here",
            "the same protocol for all workers",
        )
