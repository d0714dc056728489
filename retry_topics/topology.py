"""Which topics there are: one prefix, one partition count, and the tiers between main and DLT."""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from runtime.settings import Settings

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([1-9]\d{0,8})(ms|s|m|h|d)")
_PREFIX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,180}")


def parse_duration(text: str) -> int:
    """Return the milliseconds in a duration such as `500ms`, `30s`, `10m`, `1h` or `7d`.

    Raises:
        ValueError: the text is not one positive whole number with one of these units.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write for example 500ms, 30s, 10m, 1h, 7d")
    return int(match[1]) * _UNITS_MS[match[2]]


@dataclass(frozen=True, slots=True)
class Tier:
    """One retry topic and how long a record stays in it, in milliseconds."""

    label: str
    delay_ms: int


def parse_tiers(text: str) -> tuple[Tier, ...]:
    """Return the tiers named by a list such as `1m,10m,1h`.

    Raises:
        ValueError: an item is no duration, the list is empty, or the delays do not ascend.
    """
    labels = [label.strip() for label in text.split(",") if label.strip()]
    tiers = tuple(Tier(label, parse_duration(label)) for label in labels)
    if not tiers:
        raise ValueError("at least one tier is needed, for example 1m,10m,1h")
    if any(shorter.delay_ms >= longer.delay_ms for shorter, longer in pairwise(tiers)):
        raise ValueError(f"the tiers {text!r} must ascend, for example 1m,10m,1h")
    return tiers


@dataclass(frozen=True, slots=True)
class Topology:
    """The topics of one pipeline. A partition number is a lane, so all have `partitions` of them.

    Only the switches, which are for all lanes alike, have one partition.
    """

    prefix: str
    tiers: tuple[Tier, ...]
    partitions: int

    def __post_init__(self) -> None:
        if not _PREFIX.fullmatch(self.prefix):
            raise ValueError(f"{self.prefix!r} cannot start a topic's name")
        if self.partitions < 1:
            raise ValueError(f"partitions must be at least 1, not {self.partitions}")

    @property
    def main(self) -> str:
        """The topic of accepted events."""
        return self.prefix

    @property
    def dlt(self) -> str:
        """The dead-letter topic."""
        return f"{self.prefix}.dlt"

    @property
    def ledger(self) -> str:
        """The topic of mail states."""
        return f"{self.prefix}.ledger"

    @property
    def control(self) -> str:
        """The topic of cancellations and suppressions."""
        return f"{self.prefix}.control"

    @property
    def suppressions(self) -> str:
        """The topic of recipients that get no more mail; the newest record of each counts."""
        return f"{self.prefix}.suppressions"

    @property
    def outages(self) -> str:
        """The topic of what is out in each worker; the newest record of each counts."""
        return f"{self.prefix}.outages"

    @property
    def switches(self) -> str:
        """The topic of what operators have paused, of one partition; the newest record counts."""
        return f"{self.prefix}.switches"

    @property
    def dlt_journal(self) -> str:
        """The topic of what became of each record of the dead-letter topic, and of replay jobs."""
        return f"{self.prefix}.dlt-journal"

    @property
    def group(self) -> str:
        """The consumer group of the workers; named after the topics, so none is shared."""
        return f"{self.prefix}.mailer"

    def retry(self, tier: Tier) -> str:
        """Return the name of a tier's topic."""
        return f"{self.prefix}.retry.{tier.label}"

    @property
    def retries(self) -> tuple[str, ...]:
        """The tiers' topics, shortest delay first."""
        return tuple(self.retry(tier) for tier in self.tiers)

    @property
    def consumed(self) -> tuple[str, ...]:
        """The topics that the worker's group reads, co-assigned by partition number."""
        return (self.main, *self.retries, self.control)

    def has_lanes(self, topic: str) -> bool:
        """Tell whether a topic has a partition for each lane, so that it must have as many."""
        return topic != self.switches

    def tier_of(self, topic: str) -> Tier | None:
        """Return the tier whose topic this is, None for any other topic."""
        return next((tier for tier in self.tiers if self.retry(tier) == topic), None)


def topology_of(settings: Settings) -> Topology:
    """Return the topology that the settings describe."""
    return Topology(
        settings.topic_prefix, parse_tiers(",".join(settings.tiers)), settings.partitions
    )
