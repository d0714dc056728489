"""Which partition a key chooses: what the producers' `murmur2_random` does, and Java's default."""

from confluent_kafka import murmur2


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that a record with this key is written to, out of so many."""
    return murmur2(key, partitions)
