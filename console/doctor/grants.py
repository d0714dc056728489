"""What each part of mailcascade must be allowed to do in Kafka, and nothing more.

Reading or writing includes describing; writing to a topic includes idempotent writes (from Kafka
3.0), so that nobody needs an ACL on the cluster for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from consumers.exporter.following import followed_topics
from consumers.status.projected import projected_topics
from retry_topics.dlt.journal import claims_id, job_transactions_id
from retry_topics.topic_specs import desired
from retry_topics.topology import Topology

READ: Final = "Read"
WRITE: Final = "Write"
DESCRIBE: Final = "Describe"
CREATE: Final = "Create"
ALTER: Final = "Alter"
ALTER_CONFIGS: Final = "AlterConfigs"
DESCRIBE_CONFIGS: Final = "DescribeConfigs"
_CLUSTER: Final = "kafka-cluster"


class Role(StrEnum):
    """Who connects to Kafka; each has credentials of its own, where ACLs are to mean something."""

    INGEST = "ingest"
    WORKER = "worker"
    PROJECTOR = "projector"
    EXPORTER = "exporter"
    #: Commands about mails, recipients and dead letters.
    OPERATOR = "operator"
    #: `mailcascade topics`.
    PROVISIONER = "provisioner"
    #: `mailcascade doctor` where it is to see everything.
    DOCTOR = "doctor"


class Kind(StrEnum):
    """What an ACL is on, in the words of `kafka-acls.sh`."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Grant:
    """ACLs on one resource, or on all whose names begin so."""

    kind: Kind
    name: str
    operations: tuple[str, ...]
    prefixed: bool = False

    def covers(self, kind: Kind, name: str) -> bool:
        """Tell whether this grant is about a resource."""
        return self.kind is kind and (
            name.startswith(self.name) if self.prefixed else name == self.name
        )


def grants_of(role: Role, topology: Topology, *, operators: bool = False) -> tuple[Grant, ...]:
    """Return what a role needs; `operators`: the API also serves those (see its keys)."""
    match role:
        case Role.INGEST:
            own = _topics([topology.main, topology.control], WRITE)
            return _merged([*own, *_operator(topology)]) if operators else own
        case Role.WORKER:
            return _worker(topology)
        case Role.PROJECTOR:
            return _topics(projected_topics(topology), READ)
        case Role.EXPORTER:
            return _exporter(topology)
        case Role.OPERATOR:
            return _operator(topology)
        case Role.PROVISIONER:
            each = (CREATE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS)
            return _merged(_every_topic(topology, *each))
        case Role.DOCTOR:
            return _merged(
                [
                    *_every_topic(topology, DESCRIBE, DESCRIBE_CONFIGS),
                    Grant(Kind.GROUP, topology.group, (DESCRIBE,)),
                    # Only who may describe the cluster is told what else is allowed with it.
                    Grant(Kind.CLUSTER, _CLUSTER, (DESCRIBE, DESCRIBE_CONFIGS)),
                ]
            )


def _worker(topology: Topology) -> tuple[Grant, ...]:
    """A worker looks at every topic before it starts, and may have any number of instances."""
    return _merged(
        [
            *_every_topic(topology, DESCRIBE_CONFIGS),
            *_topics([topology.main, topology.control], READ),
            _tiers(topology, READ, WRITE),
            *_topics([topology.ledger, topology.suppressions], READ, WRITE),
            *_topics([topology.dlt, topology.outages], WRITE),
            *_topics([topology.switches], READ),
            *_topics([topology.dlt_journal], DESCRIBE),
            Grant(Kind.GROUP, topology.group, (READ,)),
            Grant(Kind.TRANSACTIONAL_ID, f"{topology.prefix}.", (WRITE,), prefixed=True),
        ]
    )


def _exporter(topology: Topology) -> tuple[Grant, ...]:
    """It reads the first records that wait, since when, and what is open."""
    return _merged(
        [
            *_topics([topology.main, topology.control], READ, DESCRIBE_CONFIGS),
            _tiers(topology, READ, DESCRIBE_CONFIGS),
            *_topics(followed_topics(topology), READ),
            Grant(Kind.GROUP, topology.group, (DESCRIBE,)),
        ]
    )


def _operator(topology: Topology) -> tuple[Grant, ...]:
    """Who erases a person tells what remains of it in the topics, and for how long."""
    return _merged(
        [
            *_topics([topology.main, topology.control, topology.dlt], READ, DESCRIBE_CONFIGS),
            _tiers(topology, READ, DESCRIBE_CONFIGS),
            *_topics([topology.ledger], READ),
            *_topics([topology.main, topology.control], WRITE),
            *_topics([topology.dlt_journal, topology.suppressions], READ, WRITE),
            *_topics([topology.switches], READ, WRITE),
            Grant(Kind.GROUP, topology.group, (DESCRIBE,)),
            Grant(Kind.TRANSACTIONAL_ID, claims_id(topology), (WRITE,)),
            Grant(
                Kind.TRANSACTIONAL_ID, job_transactions_id(topology, ""), (WRITE,), prefixed=True
            ),
        ]
    )


def _tiers(topology: Topology, *operations: str) -> Grant:
    """All tiers, also those of another day: a worker tells of one whose mails nobody would send."""
    return Grant(Kind.TOPIC, f"{topology.prefix}.retry.", operations, prefixed=True)


def _every_topic(topology: Topology, *operations: str) -> tuple[Grant, ...]:
    names = [spec.name for spec in desired(topology, 1) if topology.tier_of(spec.name) is None]
    return (*_topics(names, *operations), _tiers(topology, *operations))


def _topics(names: Iterable[str], *operations: str) -> tuple[Grant, ...]:
    return tuple(Grant(Kind.TOPIC, name, operations) for name in names)


def _merged(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Return one grant for each resource, without what others of its operations include."""
    found: dict[tuple[Kind, str, bool], dict[str, None]] = {}
    for grant in grants:
        operations = found.setdefault((grant.kind, grant.name, grant.prefixed), {})
        operations.update(dict.fromkeys(grant.operations))
    return tuple(
        Grant(kind, name, _needed(operations), prefixed)
        for (kind, name, prefixed), operations in found.items()
    )


def _needed(operations: Iterable[str]) -> tuple[str, ...]:
    """Leave out what is included: who may read, write, alter or delete may describe."""
    asked = set(operations)
    if asked & {READ, WRITE, ALTER}:
        asked.discard(DESCRIBE)
    return tuple(sorted(asked))
