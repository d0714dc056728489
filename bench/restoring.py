"""`python -m bench.restoring`: restores one lane in a process of its own and prints what it took.

The process has what a worker's restorer has and nothing else, so its memory is the restore's.
"""

import json
import os
import queue
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from bench.process import peak_mib
from consumers.mailer.ledger.catch_up import RestorerParts
from consumers.mailer.ledger.identity import read_boot_id
from consumers.mailer.ledger.restore import RestoreFailed, Restorer
from consumers.mailer.ledger.store import LaneStore, StorePlace
from retry_topics.topology import Topology, parse_tiers
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.bulk import BulkReader
from runtime.kafka.client import Properties
from runtime.kafka.records import Partition

#: The lane that is restored.
LANE: Final = 0
_RESTORE_SECONDS: Final = 300.0
_CLOSE_SECONDS: Final = 10.0
_LOOK_UPS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Which lane to restore: where the broker is, whose topics, and where stores are."""

    bootstrap: str
    prefix: str
    partitions: int
    state_dir: str


@dataclass(frozen=True, slots=True)
class Restored:
    """What it took. `hit_us` and `miss_us` are one look-up of a known and of an unknown mail."""

    read_seconds: float
    seconds: float
    cpu_seconds: float
    peak_mib: float
    hit_us: float
    miss_us: float


def restored(asked: Asked, known: bytes) -> Restored:
    """Read the lane without a store, then restore it, then look `known` up."""
    clock = SystemClock()
    properties: Properties = {"bootstrap.servers": asked.bootstrap}
    topology = Topology(asked.prefix, parse_tiers("1m,10m,1h"), asked.partitions)
    admin = TopicAdmin(properties)
    reader = BulkReader(properties, clock)
    read_seconds = _read(admin, reader, Partition(topology.ledger, LANE))
    handed: queue.SimpleQueue[LaneStore | RestoreFailed] = queue.SimpleQueue()
    place = StorePlace(Path(asked.state_dir))
    began, used = time.monotonic(), time.process_time()
    restorer = Restorer(
        RestorerParts(
            topology, admin, reader, place, read_boot_id(), clock, lambda seconds, entries: None
        )
    )
    restorer.restore(LANE, handed.put)
    store = handed.get(timeout=_RESTORE_SECONDS)
    seconds, cpu_seconds = time.monotonic() - began, time.process_time() - used
    if isinstance(store, RestoreFailed):
        raise store
    hit_us = _look_up(store, [known] * _LOOK_UPS)
    miss_us = _look_up(store, [random.randbytes(16) for _ in range(_LOOK_UPS)])
    store.close()
    restorer.close(_CLOSE_SECONDS)
    return Restored(read_seconds, seconds, cpu_seconds, peak_mib(os.getpid()), hit_us, miss_us)


def _read(admin: TopicAdmin, reader: BulkReader, partition: Partition) -> float:
    span = admin.partition_spans([partition])[partition]
    began = time.monotonic()
    for _ in reader.read(partition, span, lambda: False):
        pass
    return time.monotonic() - began


def _look_up(store: LaneStore, ids: list[bytes]) -> float:
    began = time.monotonic()
    for event_id in ids:
        store.get(event_id)
    return (time.monotonic() - began) / len(ids) * 1e6


if __name__ == "__main__":
    bootstrap, prefix, partitions, state_dir, known = sys.argv[1:]
    what = restored(Asked(bootstrap, prefix, int(partitions), state_dir), bytes.fromhex(known))
    print(json.dumps(asdict(what)))
