"""The exporter's loop: it shows what it saw last, and says when that is old."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from consumers.exporter.exporter import Exporter
from consumers.exporter.following import Counted
from consumers.exporter.lag import LaneLag, Oldest
from consumers.exporter.letters import GroupCount
from consumers.exporter.survey import Seen
from consumers.exporter.telemetry import Telemetry
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.errors import KafkaFault, KafkaUnreachable
from runtime.kafka.records import Partition
from runtime.metric_catalogue import EXPORTER_METRICS
from runtime.metrics import Metrics
from runtime.pulse import Pulse
from schemas.errors import RegistryUnavailable
from tests.support.clock import ManualClock
from tests.support.wait import wait_until

TOPOLOGY = Topology("t", parse_tiers("1m"), 1)
#: Between two looks, in seconds: what failed is tried again no later.
INTERVAL = 0.25
AWAY = KafkaUnreachable("kafka:9092", "gone")


class World:
    """What the exporter asks. A look waits while `gate` is closed."""

    def __init__(self) -> None:
        self.seen = Seen({Partition("t", 0): LaneLag(5, 3, Oldest(0, 0))}, {"t": 60_000}, 1)
        self.fault: KafkaFault | None = None
        self.looks = 0
        self.gate = threading.Event()
        self.gate.set()
        self.uncountable: Exception | None = None
        self.down = False
        self.closed = False
        self.has_counted: Counted | None = None

    def look(self) -> Seen:
        self.looks += 1
        self.gate.wait(10)
        if self.fault is not None:
            raise self.fault
        return self.seen

    def take(self, seconds: float) -> bool:
        if self.uncountable is not None:
            raise self.uncountable
        threading.Event().wait(0.002)
        return False

    def counted(self) -> Counted | None:
        return self.has_counted

    def all_down(self) -> bool:
        down, self.down = self.down, False
        return down

    def close(self) -> None:
        self.closed = True


class Running:
    """An exporter in a thread of its own."""

    def __init__(self) -> None:
        self.world, self.clock = World(), ManualClock()
        self.metrics = Metrics(EXPORTER_METRICS)
        telemetry = Telemetry(self.metrics, TOPOLOGY)
        self.exporter = Exporter(
            self.world, self.world, telemetry, self.clock, INTERVAL, Pulse(self.clock, 60)
        )

    def shows(self, line: str) -> bool:
        return line in self.metrics.exposition().decode().splitlines()

    def until(self, condition: Callable[[], object]) -> None:
        wait_until(condition, 10)


@pytest.fixture
def running() -> Iterator[Running]:
    with _run(Running()) as running:
        yield running


@contextmanager
def _run(running: Running) -> Iterator[Running]:
    thread = threading.Thread(target=running.exporter.run)
    thread.start()
    try:
        yield running
    finally:
        running.exporter.stop()
        thread.join(10)
        assert not thread.is_alive()
        assert running.world.closed


def test_before_the_first_look_it_is_not_ready_and_shows_nothing() -> None:
    """What is not known is not zero."""
    running = Running()

    readiness = running.exporter.readiness()

    assert (readiness.ready, list(readiness.reasons)) == (False, ["nothing was looked at yet"])
    for name in ("group_members", "lag_records", "suppressions", "exporter_refreshed_seconds"):
        assert not any(
            line.startswith(f"mailcascade_{name}")
            for line in running.metrics.exposition().decode().splitlines()
        )


def test_it_looks_again_when_it_is_time_to(running: Running) -> None:
    """And shows what it saw."""
    running.until(lambda: running.exporter.readiness().ready)
    assert running.shows('mailcascade_lag_records{lane="0",tier="",topic_kind="main"} 3.0')
    running.world.seen = Seen({}, {}, 4)
    looks = running.world.looks
    running.clock.advance(INTERVAL)

    running.until(lambda: running.shows("mailcascade_group_members 4.0"))
    assert running.world.looks == looks + 1


def test_a_broker_that_is_gone_is_noticed_before_it_is_time_to_look(running: Running) -> None:
    """It says so, shows what it saw last, and is ready again by itself."""
    running.until(lambda: running.exporter.readiness().ready)
    running.world.fault = AWAY
    running.world.down = True

    running.until(lambda: not running.exporter.readiness().ready)
    assert list(running.exporter.readiness().reasons) == [str(AWAY)]
    assert running.shows("mailcascade_exporter_outage_open 1.0")
    assert running.shows("mailcascade_group_members 1.0")
    running.world.fault = None
    running.until(lambda: running.exporter.readiness().ready)
    assert running.shows("mailcascade_exporter_outage_open 0.0")


def test_letters_that_cannot_be_read_are_no_reason_not_to_believe_the_lag(
    running: Running,
) -> None:
    """It says so once, goes on looking, and counts when it can."""
    running.world.has_counted = Counted([], 7)
    running.world.uncountable = RegistryUnavailable("the registry is gone")
    running.until(lambda: running.exporter.readiness().ready)
    running.until(lambda: running.exporter.readiness().reasons)
    running.clock.advance(INTERVAL)
    readiness = running.exporter.readiness()

    assert readiness.ready
    assert readiness.reasons[0].endswith("not counted: the registry is gone")
    assert running.shows("mailcascade_exporter_outage_open 0.0")
    looks = running.world.looks
    running.until(lambda: running.world.looks > looks)
    running.world.uncountable = None
    running.until(lambda: running.shows("mailcascade_suppressions 7.0"))
    running.until(lambda: not running.exporter.readiness().reasons)


def test_a_look_that_hangs_is_told(running: Running) -> None:
    """After three intervals nobody should believe what is shown."""
    running.until(lambda: running.exporter.readiness().ready)
    running.world.gate.clear()
    running.clock.advance(3 * INTERVAL)

    readiness = running.exporter.readiness()
    running.world.gate.set()

    assert not readiness.ready
    assert "within 0.75 s" in readiness.reasons[0]


def test_groups_that_are_gone_are_not_shown_any_more(running: Running) -> None:
    """And a name that no template can have is nobody's label."""
    stranger = GroupCount("f2", "ada@example.com", 1)
    running.world.has_counted = Counted([GroupCount("f1", "plain", 2), stranger], 7)
    running.clock.advance(INTERVAL)
    running.until(lambda: running.shows("mailcascade_suppressions 7.0"))
    assert running.shows('mailcascade_dlt_open_records{group="f1",template="plain"} 2.0')
    assert running.shows('mailcascade_dlt_open_records{group="f2",template=""} 1.0')

    running.world.has_counted = Counted([], 8)
    running.clock.advance(INTERVAL)
    running.until(lambda: running.shows("mailcascade_suppressions 8.0"))
    assert b"mailcascade_dlt_open_records{" not in running.metrics.exposition()
