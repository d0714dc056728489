"""What a delivery shows of itself: its connections, who waits for one, how long relays take."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from runtime.clock import Clock
from runtime.metric_catalogue import RELAY_REPLY_BUCKETS
from runtime.tally import Tally


class Step(StrEnum):
    """What a relay is waited for."""

    #: From connecting until a mail may begin: greeting, TLS and login included.
    SESSION = "session"
    #: From MAIL until the relay asks for the mail or refuses; with PIPELINING one answer, and what
    #: is left of it once the mail before is answered where the envelope went out behind that one.
    ENVELOPE = "envelope"
    #: From the mail with its final dot until the answer to it.
    DOT = "dot"


class Stopwatch:
    """Counts what a relay takes for each step. Written on one loop, read from any thread."""

    def __init__(self, clock: Clock) -> None:
        self.now = clock.monotonic
        self.session, self.envelope, self.dot = (Tally(RELAY_REPLY_BUCKETS) for _ in Step)

    def read(self) -> Mapping[Step, Tally]:
        """Return what was counted since the start, in seconds; it grows."""
        return dict(zip(Step, (self.session, self.envelope, self.dot), strict=True))


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
    spent: Mapping[Step, Tally]
