"""What a delivery shows of itself: its connections, who waits for one, how long relays take."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from runtime.clock import Clock


class Step(StrEnum):
    """What a relay is waited for."""

    #: From connecting until a mail may begin: greeting, TLS and login included.
    SESSION = "session"
    #: From MAIL until the relay asks for the mail or refuses; with PIPELINING one answer.
    ENVELOPE = "envelope"
    #: From the mail with its final dot until the answer to it.
    DOT = "dot"


class Spent(NamedTuple):
    """How often a relay was waited for, and how many seconds in all."""

    times: int
    seconds: float


@dataclass(slots=True)
class Meter:
    """Adds up one step's times."""

    times: int = 0
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.times += 1
        self.seconds += seconds


class Stopwatch:
    """Adds up what a relay takes for each step. Written on one loop, read from any thread."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.monotonic
        self.session, self.envelope, self.dot = Meter(), Meter(), Meter()

    def read(self) -> Mapping[Step, Spent]:
        """Return what was added up since the start."""
        meters = zip(Step, (self.session, self.envelope, self.dot), strict=True)
        return {step: Spent(meter.times, meter.seconds) for step, meter in meters}


@dataclass(frozen=True, slots=True)
class PoolFigures:
    """How a pool stands. `limit` is what the relay is trusted to take, `most` what is allowed."""

    busy: int
    idle: int
    opening: int
    limit: int
    most: int
    waiting: int


@dataclass(frozen=True, slots=True)
class RelayFigures:
    """One relay, by host and port: its pool, the mails that its rate holds back, its answers."""

    relay: str
    pool: PoolFigures
    paced: int
    spent: Mapping[Step, Spent]
