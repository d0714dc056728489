"""Whether a client is connected to a broker, by its own word."""

from typing import Final

import msgspec

from runtime.clock import Clock
from runtime.kafka.client import error_hook
from runtime.logs import get_logger

_log = get_logger(__name__)

_STATISTICS_MS: Final = 1_000


class _Broker(msgspec.Struct):
    state: str


class _Statistics(msgspec.Struct):
    """The part of librdkafka's statistics that says whether somebody is connected."""

    brokers: dict[str, _Broker] = {}


class Connection:
    """Follows one client; written by the thread that polls it, read by any.

    It is at most some 2 s behind, and starts as not connected.
    """

    def __init__(self, clock: Clock, role: str) -> None:
        """`role` is what the client is for; its log lines begin with it."""
        self._clock = clock
        self._role = role
        self._down_since: float | None = clock.monotonic()
        self._reason = "no broker is connected yet"

    def hooks(self) -> dict[str, object]:
        """Return the properties by which a client tells of itself, to be given when it is made."""
        return {
            "error_cb": error_hook(self.faulted),
            "stats_cb": self.counted,
            "statistics.interval.ms": _STATISTICS_MS,
        }

    @property
    def reason(self) -> str:
        """Why no broker is connected; empty while one is."""
        return self._reason

    @property
    def connected(self) -> bool:
        """Tell whether a broker is connected."""
        return self._down_since is None

    def down_seconds(self) -> float:
        """Return for how long no broker has been connected, 0 while one is."""
        since = self._down_since
        return 0.0 if since is None else self._clock.monotonic() - since

    def faulted(self, name: str, fatal: bool) -> None:
        """Take note of a client's fault by its name."""
        _log.debug(f"{self._role}.kafka_fault", error=name, fatal=fatal)
        if name == "_ALL_BROKERS_DOWN":
            self.lost(f"Kafka is not reachable ({name})")

    def counted(self, text: str) -> None:
        """Take note of a client's statistics."""
        brokers = msgspec.json.decode(text, type=_Statistics).brokers.values()
        if not any(broker.state == "UP" for broker in brokers):
            self.lost(self._reason or "Kafka is not reachable (no broker is connected)")
        elif self._down_since is not None:
            _log.info(f"{self._role}.connected")
            self._down_since, self._reason = None, ""

    def lost(self, reason: str) -> None:
        """Take note that no broker is connected."""
        if self._down_since is None:
            _log.warning(f"{self._role}.disconnected", reason=reason)
            self._down_since = self._clock.monotonic()
        self._reason = reason
