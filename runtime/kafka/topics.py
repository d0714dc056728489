"""Topics as they should be and as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it should be. `configs` has only what is not left to the broker."""

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is. `replication` is that of its least replicated partition.

    `in_sync` is the least number of copies that any partition has in sync, 0 without a leader.
    """

    name: str
    partitions: int
    replication: int
    configs: Mapping[str, str]
    in_sync: int


class Span(NamedTuple):
    """Offsets of one partition from `start` up to, but without, `end`."""

    start: int
    end: int
