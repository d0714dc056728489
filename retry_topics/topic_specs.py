"""Every topic as it should be: partitions, copies, retention, room for headers."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from retry_topics.topology import Tier, Topology
from runtime.kafka.topics import TopicSpec

DAY_MS: Final = 86_400_000
RETENTION_MS: Final = 7 * DAY_MS
DLT_RETENTION_MS: Final = 30 * DAY_MS
#: For so long the end of a pause is there to be read, also by a view that was not kept meanwhile.
SWITCH_ENDS_MS: Final = 30 * DAY_MS
_FOR_EVER: Final = -1
DEFAULT_REPLICATION: Final = 3

#: Each step leaves room for the headers that a record gains on its way: never may a record be too
#: large for the topic that it must go to next.
MAIN_MESSAGE_BYTES: Final = 1_048_576
RETRY_MESSAGE_BYTES: Final = 1_310_720
DLT_MESSAGE_BYTES: Final = 2_097_152


def replication_for(asked: int | None, brokers: int) -> int:
    """Return the copies of each topic: what was asked, or three, or what the cluster can have.

    Raises:
        ValueError: more copies are asked for than there are brokers.
    """
    if asked is None:
        return max(1, min(DEFAULT_REPLICATION, brokers))
    if asked > brokers:
        raise ValueError(
            f"{asked} copies need as many brokers and there are {brokers}: "
            "set MAILCASCADE_REPLICATION_FACTOR to auto or less"
        )
    return asked


def desired(topology: Topology, replication: int) -> list[TopicSpec]:
    """Return every topic of the topology as it should be."""

    def spec(name: str, retention_ms: int, max_bytes: int, cleanup: str = "delete") -> TopicSpec:
        configs = {
            "cleanup.policy": cleanup,
            "retention.ms": str(retention_ms),
            "max.message.bytes": str(max_bytes),
            "min.insync.replicas": "2" if replication >= 3 else "1",
            "message.timestamp.type": "CreateTime",
        }
        return TopicSpec(name, topology.partitions, replication, configs)

    def switches() -> TopicSpec:
        # A key must stay in its partition when the others grow, or an old record would count again.
        made = spec(topology.switches, _FOR_EVER, MAIN_MESSAGE_BYTES, cleanup="compact")
        configs = {**made.configs, "delete.retention.ms": str(SWITCH_ENDS_MS)}
        return replace(made, partitions=1, configs=configs)

    longest = max(tier_retention(tier) for tier in topology.tiers)
    dlt_retention = max(DLT_RETENTION_MS, longest)
    # Segments are deleted as a whole: what is said of a record must be there for as long as it is.
    journal_retention = 2 * dlt_retention
    return [
        spec(topology.main, RETENTION_MS, MAIN_MESSAGE_BYTES),
        *(
            spec(topology.retry(tier), tier_retention(tier), RETRY_MESSAGE_BYTES)
            for tier in topology.tiers
        ),
        spec(topology.dlt, dlt_retention, DLT_MESSAGE_BYTES),
        spec(topology.dlt_journal, journal_retention, MAIN_MESSAGE_BYTES, "compact,delete"),
        spec(topology.ledger, longest, RETRY_MESSAGE_BYTES, cleanup="compact,delete"),
        spec(topology.control, RETENTION_MS, MAIN_MESSAGE_BYTES),
        spec(topology.suppressions, _FOR_EVER, MAIN_MESSAGE_BYTES, cleanup="compact"),
        # Each worker repeats what is still so; older records are those of workers that are gone.
        spec(topology.outages, DAY_MS, MAIN_MESSAGE_BYTES, cleanup="compact,delete"),
        switches(),
    ]


def tier_retention(tier: Tier) -> int:
    """Return how long a tier keeps a record: its delay and a backlog of seven days."""
    return RETENTION_MS if tier.delay_ms <= DAY_MS else tier.delay_ms + RETENTION_MS


def orphans_of(topology: Topology, names: Iterable[str]) -> list[str]:
    """Return the topics of tiers that the topology does not have, by their names."""
    start = f"{topology.prefix}.retry."
    return sorted(name for name in names if name.startswith(start) and not topology.tier_of(name))
