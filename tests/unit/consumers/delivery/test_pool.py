"""Connections are opened by demand, handed on, limited by the relay's mood, and never leaked."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.connection import Connection, SessionFailed
from consumers.delivery.figures import Stopwatch
from consumers.delivery.outcome import classify
from consumers.delivery.pool import ConnectionPool, Lease
from consumers.delivery.timeouts import Timeouts
from consumers.delivery.wire import CONNECTION_LOST, Wire
from retry_topics.failure import Accepted, Failure, FailureClass, Outcome, Phase, Scope
from tests.support.clock import ManualClock
from tests.support.wait import eventually

ACCEPTED = Accepted("250 Ok")
THROTTLED = Failure(Scope.SENDER, FailureClass.THROTTLE, Phase.MAIL, "slow down", "throttled", 452)
AWAY = Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.CONNECT, "away", "unreachable")
NO_ROOM = Failure(
    Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.BANNER, "too many connections", "x", 421
)


class StandingWire(Wire):
    """A wire without a network behind it."""

    @property
    def stands(self) -> bool:
        return self.fault is None

    def leave(self) -> None:
        self.break_off(CONNECTION_LOST, "it left")

    async def wait_closed(self, seconds: float) -> None:
        return


class FakeOpener:
    """Opens connections at once, or when `gate` is set, or fails as it is told."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: Failure | None = None
        #: More connections than this at a time are turned away.
        self.room = 1000
        self.asked = 0
        self.opened: list[Connection] = []

    @property
    def standing(self) -> int:
        return sum(connection.is_open for connection in self.opened)

    async def open(self) -> Connection:
        self.asked += 1
        await self.gate.wait()
        if self.failure is not None:
            raise SessionFailed(self.failure)
        if self.standing >= self.room:
            raise SessionFailed(NO_ROOM)
        watch = Stopwatch(ManualClock())
        connection = Connection(StandingWire(), Timeouts(), classify, watch)
        self.opened.append(connection)
        return connection


@pytest.fixture
def clock() -> ManualClock:
    """The clock by which connections age."""
    return ManualClock()


@pytest.fixture
async def opener() -> FakeOpener:
    """Opens at once."""
    return FakeOpener()


async def acquire(pool: ConnectionPool, count: int) -> list[Lease]:
    return [await pool.acquire() for _ in range(count)]


def release(pool: ConnectionPool, leases: Sequence[Lease], outcome: Outcome = ACCEPTED) -> None:
    for lease in leases:
        pool.release(lease, outcome)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_no_more_are_opened_than_are_needed(opener: FakeOpener, clock: ManualClock) -> None:
    """Mail after mail goes over one connection, three at once over three."""
    pool = ConnectionPool(opener, 8, clock)
    for _ in range(5):
        release(pool, await acquire(pool, 1))
    assert len(opener.opened) == 1

    release(pool, await acquire(pool, 3))
    assert len(opener.opened) == 3


async def test_idle_ones_are_closed_one_by_one(opener: FakeOpener, clock: ManualClock) -> None:
    """With less to do the pool shrinks: what was not used for long is given up, the rest stays."""
    pool = ConnectionPool(opener, 8, clock)
    release(pool, await acquire(pool, 3))
    for _ in range(3):
        clock.advance(3)
        release(pool, await acquire(pool, 1))

    pool.sweep()

    assert opener.standing == 1


async def test_whoever_waits_longest_is_next(opener: FakeOpener, clock: ManualClock) -> None:
    """Nobody who comes later is served earlier."""
    pool = ConnectionPool(opener, 1, clock)
    (lease,) = await acquire(pool, 1)
    served: list[int] = []

    async def use(number: int) -> None:
        mine = await pool.acquire()
        served.append(number)
        await asyncio.sleep(0)
        pool.release(mine, ACCEPTED)

    users = [asyncio.ensure_future(use(number)) for number in range(5)]
    await settle()
    pool.release(lease, ACCEPTED)
    await asyncio.gather(*users)

    assert served == [0, 1, 2, 3, 4]
    assert len(opener.opened) == 1


async def test_a_broken_one_makes_room_for_a_new_one(
    opener: FakeOpener, clock: ManualClock
) -> None:
    """Whoever waits opens it."""
    pool = ConnectionPool(opener, 1, clock)
    (lease,) = await acquire(pool, 1)
    waiting = asyncio.ensure_future(pool.acquire())
    await settle()
    lease.connection.abort()

    pool.release(lease, AWAY)

    assert (await waiting).connection is opener.opened[1]


async def test_throttled_connections_are_given_up(opener: FakeOpener, clock: ManualClock) -> None:
    """Eight that are told to slow down become four, and grow again with what is accepted."""
    pool = ConnectionPool(opener, 8, clock)
    release(pool, await acquire(pool, 8), THROTTLED)
    assert pool.limit == 4
    assert opener.standing == 4

    for _ in range(10):
        release(pool, await acquire(pool, 4))
    assert pool.limit == 8


async def test_a_relay_that_is_full_gets_no_more(opener: FakeOpener, clock: ManualClock) -> None:
    """A connection that is turned away beside others is no outage: the mail takes one of those."""
    opener.room = 2
    pool = ConnectionPool(opener, 8, clock)
    leases = await acquire(pool, 2)
    waiting = asyncio.ensure_future(pool.acquire())
    await settle()
    assert pool.limit == 2

    release(pool, leases)

    assert (await waiting).connection in opener.opened[:2]


async def test_the_first_one_turned_away_is_an_outage(
    opener: FakeOpener, clock: ManualClock
) -> None:
    """With no connection to fall back on, the relay's answer counts."""
    opener.room = 0
    pool = ConnectionPool(opener, 8, clock)

    with pytest.raises(SessionFailed) as failed:
        await pool.acquire()

    assert failed.value.failure == NO_ROOM


async def test_a_relay_that_is_away_is_asked_once(opener: FakeOpener, clock: ManualClock) -> None:
    """Whoever waits for the first connection fails with it: no storm, no locked account."""
    pool = ConnectionPool(opener, 8, clock)
    opener.gate.clear()
    opener.failure = AWAY
    users = [asyncio.ensure_future(pool.acquire()) for _ in range(4)]
    await settle()

    opener.gate.set()
    failures = await asyncio.gather(*users, return_exceptions=True)

    assert [type(failure) for failure in failures] == [SessionFailed] * 4
    assert opener.asked == 1


async def test_once_the_first_is_open_the_others_follow(
    opener: FakeOpener, clock: ManualClock
) -> None:
    """All that the limit allows are opened at once then."""
    pool = ConnectionPool(opener, 3, clock)
    users = [asyncio.ensure_future(pool.acquire()) for _ in range(4)]
    await settle()

    assert [user.done() for user in users] == [True, True, True, False]
    pool.release(users[0].result(), ACCEPTED)
    assert (await users[3]).connection in opener.opened
    assert opener.asked == 3


async def test_a_scout_that_is_given_up_is_followed_by_another(
    opener: FakeOpener, clock: ManualClock
) -> None:
    """Those who wait do not wait for somebody who has left."""
    pool = ConnectionPool(opener, 3, clock)
    opener.gate.clear()
    scout, other = (asyncio.ensure_future(pool.acquire()) for _ in range(2))
    await settle()

    scout.cancel()
    opener.gate.set()

    assert (await other).connection.is_open


async def test_who_stops_waiting_takes_no_turn(opener: FakeOpener, clock: ManualClock) -> None:
    """A turn that was given to somebody who is gone meanwhile goes to the next."""
    pool = ConnectionPool(opener, 1, clock)
    (lease,) = await acquire(pool, 1)
    first, second, third = (asyncio.ensure_future(pool.acquire()) for _ in range(3))
    await settle()
    second.cancel()
    await settle()
    pool.release(lease, ACCEPTED)
    # The connection is the first one's already, though it has not woken yet.
    first.cancel()

    assert (await third).connection is lease.connection
    assert len(opener.opened) == 1


async def test_closing_ends_those_who_wait_and_those_who_open(
    opener: FakeOpener, clock: ManualClock
) -> None:
    """Nobody hangs, and no connection is left."""
    pool = ConnectionPool(opener, 2, clock)
    await acquire(pool, 1)
    opener.gate.clear()
    opening, waiting, later = (asyncio.ensure_future(pool.acquire()) for _ in range(3))
    await settle()

    await pool.close()
    opener.gate.set()
    results = await asyncio.gather(opening, waiting, later, return_exceptions=True)

    assert [type(result) for result in results] == [SessionFailed] * 3
    with pytest.raises(SessionFailed):
        await pool.acquire()
    await eventually(lambda: opener.standing == 0)


@given(
    size=st.integers(1, 4),
    script=st.lists(st.sampled_from("aaartbcfo"), min_size=1, max_size=80),
)
def test_nothing_is_leaked_whatever_happens(size: int, script: list[str]) -> None:
    """Acquiring, releasing, throttles, breaks, cancels and failures never lose a place."""
    asyncio.run(run_script(size, script))


async def run_script(size: int, script: list[str]) -> None:
    opener, pending, held = FakeOpener(), list[asyncio.Task[Lease]](), list[Lease]()
    pool = ConnectionPool(opener, size, ManualClock())
    for step in script:
        match step:
            case "a":
                pending.append(asyncio.ensure_future(pool.acquire()))
            case "r" if held:
                pool.release(held.pop(0), ACCEPTED)
            case "t" if held:
                pool.release(held.pop(0), THROTTLED)
            case "b" if held:
                held[0].connection.abort()
                pool.release(held.pop(0), AWAY)
            case "c" if pending:
                pending.pop(0).cancel()
            case "f":
                opener.failure = None if opener.failure else AWAY
            case "o":
                opener.gate.clear() if opener.gate.is_set() else opener.gate.set()
        await asyncio.sleep(0)
        collect(pending, held)
        assert len(held) <= size
        assert opener.standing <= size
    opener.failure = None
    opener.gate.set()
    for _ in range(len(pending) + 1):
        await settle()
        collect(pending, held)
        release(pool, held)
        held.clear()
    assert pending == []
    # Every place is there to be had.
    release(pool, await acquire(pool, pool.limit))
    await pool.close()


def collect(pending: list[asyncio.Task[Lease]], held: list[Lease]) -> None:
    for task in [task for task in pending if task.done()]:
        pending.remove(task)
        if task.exception() is None:
            held.append(task.result())
