"""Records and positions as the rest of the code sees them; no client type leaves this package."""

from typing import NamedTuple

from msgspec import Struct

Headers = tuple[tuple[str, bytes | None], ...]


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int


class Record(Struct, frozen=True, gc=False):
    """A record as it was read. `timestamp_ms` is 0 where the broker gave none."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def source(self) -> Partition:
        """The partition that the record was read from."""
        return Partition(self.topic, self.partition)


class OutRecord(Struct, frozen=True, gc=False):
    """A record to write. Without `partition` the key chooses it (murmur2, as Java's clients do)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int | None = None
