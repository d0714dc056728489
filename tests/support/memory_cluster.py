"""A cluster in memory, for what commands do with topics."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from runtime.kafka.errors import KafkaFault
from runtime.kafka.partitioner import partition_of
from runtime.kafka.records import OutRecord, Record


class MemoryCluster:
    """Topics with `count` partitions each; every record is a millisecond later than the last.

    `written` has what was written, in order; `refusals` are raised, one for each write.
    """

    def __init__(self, count: int = 4) -> None:
        self.count = count
        self.workers = 0
        self.settings: dict[str, Mapping[str, str]] = {}
        self.written: list[OutRecord] = []
        self.refusals: list[KafkaFault] = []
        self._records: dict[str, list[Record]] = defaultdict(list)
        self._now = 1_800_000_000_000

    def partitions(self, topic: str) -> int:
        """Return the number of partitions, which is that of every topic."""
        return self.count

    def members(self, group: str) -> int:
        """Return how many workers there are."""
        return self.workers

    def configs(self, topic: str) -> Mapping[str, str]:
        """Return what is set of a topic; by itself, nothing is."""
        return self.settings.get(topic, {})

    def records(self, topic: str, numbers: Collection[int] | None = None) -> Iterator[Record]:
        """Yield a topic's records partition by partition."""
        held = sorted(self._records[topic], key=lambda record: record.partition)
        yield from (r for r in held if numbers is None or r.partition in numbers)

    def write(self, records: Sequence[OutRecord]) -> None:
        """Write the records, or refuse them all."""
        if self.refusals:
            raise self.refusals.pop(0)
        for record in records:
            self.written.append(record)
            self.add(record)

    def add(self, out: OutRecord) -> Record:
        """Let somebody else have written a record."""
        self._now += 1
        number = out.partition
        if number is None:
            number = partition_of(out.key or b"", self.count)
        held = self._records[out.topic]
        record = Record(out.topic, number, len(held), self._now, out.key, out.value, out.headers)
        held.append(record)
        return record
