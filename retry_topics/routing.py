"""The record that goes on: same key, same value bytes, same partition number; only headers change.

Its timestamp is fresh, because time-based retention counts from it.
"""

from dataclasses import replace

from retry_topics.headers import Death, Journey, origin_of, write_journey
from retry_topics.ladder import ladder
from retry_topics.topology import Topology
from runtime.kafka.records import OutRecord, Record


def to_tier(
    record: Record, journey: Journey, due_at: int, now: int, topology: Topology
) -> OutRecord:
    """Return the record on the tier in which it waits next for `due_at` (see `ladder`)."""
    tier = ladder(now, due_at, topology.tiers)
    return _forward(record, topology.retry(tier), replace(journey, due_at=due_at))


def to_dlt(record: Record, journey: Journey, death: Death, topology: Topology) -> OutRecord:
    """Return the record on the dead-letter topic, with its whole story."""
    return _forward(record, topology.dlt, replace(journey, due_at=None, death=death))


def _forward(record: Record, topic: str, journey: Journey) -> OutRecord:
    told = replace(journey, step=journey.step + 1, origin=origin_of(record, journey))
    headers = write_journey(record.headers, told)
    return OutRecord(topic, record.key, record.value, headers, record.partition)
