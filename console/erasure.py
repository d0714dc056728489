"""`mailcascade erase`: removes what can be removed of a person's data, and tells what remains.

Kafka removes records by their age only. So what remains is told with the time at which the last of
it is gone: a segment goes as a whole, when its newest record is past the retention, and is closed
after `segment.ms` at the latest.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from console.cluster import Cluster
from console.failures import ExitCode
from console.suppression_list import survey
from consumers.status.erasure import Erased
from retry_topics.topology import Topology
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import Record
from schemas.identity import lane_key
from schemas.instants import show_instant, write_instant
from schemas.privacy import address_hash

Print = Callable[[str], None]

_WEEK_MS: Final = 7 * 86_400_000


@dataclass(frozen=True, slots=True)
class Remains:
    """Records about a recipient that a topic has, and when the last of them is gone.

    `until` is in milliseconds since the epoch, None where the topic keeps its records for ever.
    """

    topic: str
    records: int
    until: int | None


@dataclass(frozen=True, slots=True)
class Report:
    """What was removed and what remains. `suppressed`: the recipient gets no more mail."""

    erased: Erased
    remains: tuple[Remains, ...]
    suppressed: bool


def look(cluster: Cluster, topology: Topology, erased: Erased, address: str) -> Report:
    """Return what Kafka still has about an address."""
    key = lane_key(address)
    lane = partition_of(key, cluster.partitions(topology.main))
    remains = (
        remaining(topic, key, cluster.records(topic, {lane}), cluster.configs(topic))
        for topic in (*topology.consumed, topology.dlt)
    )
    listed = survey(
        cluster.records(topology.suppressions, {lane}),
        topology.suppressions,
        cluster.partitions(topology.suppressions),
    )
    hashes = {one.address_hash for one in listed.suppressed}
    found = tuple(one for one in remains if one.records)
    return Report(erased, found, address_hash(address) in hashes)


def remaining(
    topic: str, key: bytes, records: Iterable[Record], configs: Mapping[str, str]
) -> Remains:
    """Return what a topic has under a recipient's key, and until when at the latest."""
    times = [record.timestamp_ms for record in records if record.key == key]
    retention = int(configs.get("retention.ms", _WEEK_MS))
    if not times or retention < 0:
        return Remains(topic, len(times), None)
    segment = int(configs.get("segment.ms", _WEEK_MS))
    return Remains(topic, len(times), max(times) + retention + segment)


def show_report(report: Report, as_json: bool, show: Print) -> int:
    """Show a report and return the exit code: 1 where mails are not over yet."""
    if as_json:
        show(_json(report))
    else:
        for line in _lines(report):
            show(line)
    return ExitCode.FAILED if report.erased.under_way else ExitCode.OK


def _lines(report: Report) -> Iterable[str]:
    removed, under_way = report.erased
    yield f"status view: {removed} mails removed"
    if under_way:
        yield (
            f"status view: {under_way} mails are not over and stay; list them by `mailcascade "
            "status --recipient ADDRESS`, cancel them or wait, and repeat this"
        )
    yield "Kafka removes records by their age only; what it has, and until when at the latest:"
    for one in report.remains:
        until = "for ever" if one.until is None else show_instant(one.until)
        yield f"  {one.topic}: {one.records} records, {until}"
    if not report.remains:
        yield "  nothing"
    if report.suppressed:
        yield (
            "suppressions: the address' hash and its masked form, for ever, so that it gets no "
            "mail; `mailcascade unsuppress` takes that away, too"
        )
    yield "not looked at: relays, logs, exported files, backups"


def _json(report: Report) -> str:
    return json.dumps(
        {
            "removed": report.erased.removed,
            "under_way": report.erased.under_way,
            "remains": [
                {
                    "topic": one.topic,
                    "records": one.records,
                    "until": None if one.until is None else write_instant(one.until),
                }
                for one in report.remains
            ],
            "suppressed": report.suppressed,
        },
        indent=2,
    )
