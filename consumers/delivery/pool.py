"""Keeps open connections for reuse, by age, by count, and never longer idle than a relay likes.

    acquire: a kept one  |  a new one while the limit allows  |  wait for whatever comes free first
    release: to whoever waits longest  |  kept until it has been idle too long  |  closed

A connection that is busy may be promised to whoever waits longest. If it breaks before that one's
turn comes, it waits on as the first.

So connections grow with the demand and shrink without it, and the limit follows the relay's mood.
With none open the first is a scout: all wait for it, and if it fails they fail with it, so a relay
that is out is asked once, and wrong credentials are shown once.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from consumers.delivery.concurrency import Concurrency, is_throttle
from consumers.delivery.connection import Connection, SessionFailed
from consumers.delivery.figures import PoolFigures
from consumers.delivery.message import Message
from retry_topics.failure import Accepted, Failure, FailureClass, Outcome, Phase, Scope
from runtime.clock import Clock

#: By age, as Postfix does it, and by count, as large providers ask for.
LONGEST_AGE_SECONDS: Final = 300.0
MOST_TRANSACTIONS: Final = 100
#: Providers close after some ten seconds; a connection that is gone costs the next mail time.
LONGEST_IDLE_SECONDS: Final = 8.0

#: How long closing waits for relays to take our leave.
_LEAVE_SECONDS: Final = 1.0
_CLOSED: Final = Failure(
    Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.CONNECT, "the delivery is closed", "closed"
)


class Opener(Protocol):
    """Opens connections to one relay."""

    async def open(self) -> Connection:
        """Return a connection that is ready for a mail; raises SessionFailed."""


@dataclass(slots=True)
class Lease:
    """A connection in somebody's hands. `round` is the limit's when it was taken."""

    connection: Connection
    opened_at: float
    round: int = 0
    idle_since: float = 0.0
    promised: "_Turn | None" = None


@dataclass(slots=True, eq=False)
class _Turn:
    """Somebody who waits: for a connection, or with None for leave to open one."""

    future: asyncio.Future[Lease | None]
    message: Message | None


class ConnectionPool:
    """Hands out at most `size` connections at a time, the one used last first.

    Owned by one event loop: every method is called on it.
    """

    def __init__(self, opener: Opener, size: int, clock: Clock) -> None:
        self._opener = opener
        self._clock = clock
        #: The owner, once somebody has waited: to find it out is a call to the system.
        self._loop: asyncio.AbstractEventLoop | None = None
        self._concurrency = Concurrency(size)
        #: The longest idle one first.
        self._idle: deque[Lease] = deque()
        self._busy: set[Connection] = set()
        self._opening = 0
        #: What comes free goes to the first.
        self._waiting: deque[_Turn] = deque()
        #: Whether connections may be promised while they are busy.
        self.promises = True
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    def figures(self) -> PoolFigures:
        """Return how the pool stands. From any thread."""
        return PoolFigures(
            len(self._busy),
            len(self._idle),
            self._opening,
            self.limit,
            self._concurrency.most,
            len(self._waiting),
        )

    @property
    def limit(self) -> int:
        """Connections that the relay is trusted to take at the moment."""
        return self._concurrency.limit

    async def acquire(self, message: Message | None = None) -> Lease:
        """Return a connection, waiting for one if need be.

        It may have been promised to `message`, whose envelope is out then.

        Raises:
            SessionFailed: no connection could be opened, or the pool is closed.
        """
        lease = None
        while lease is None:
            if self._idle and not self._waiting:
                lease = self._take_idle()
            elif not self._waiting and self._may_open():
                self._opening += 1
                lease = await self._open()
            else:
                lease = await self._next_free(message) or await self._open()
        lease.round = self._concurrency.round
        self._busy.add(lease.connection)
        if self._waiting:
            self._permit()
        return lease

    def release(self, lease: Lease, outcome: Outcome | None) -> None:
        """Take a connection back and learn from what came of it; None: it was given up."""
        connection, now = lease.connection, self._clock.monotonic()
        self._busy.discard(connection)
        if outcome is not None:
            self._learn(outcome, lease.round)
        if self._keep_promise(lease):
            return
        if not connection.reusable or not connection.is_open or connection.announced is not None:
            connection.abort()
        elif self._closed or _is_worn(lease, now) or self._standing() >= self.limit:
            connection.quit()
        elif not self._hand_on(lease):
            lease.idle_since = now
            self._idle.append(lease)
            if self._sweep is None:
                self._schedule_sweep(now)
            return
        self._permit()

    def promise(self, lease: Lease) -> Message | None:
        """Promise a connection to whoever waits longest, if its mail may be announced on it."""
        connection = lease.connection
        if not self.promises or self._closed or self._standing() > self.limit:
            return None
        while self._waiting and self._waiting[0].future.done():
            self._waiting.popleft()
        if not self._waiting or _is_worn(lease, self._clock.monotonic()):
            return None
        message = self._waiting[0].message
        if message is None or not connection.may_announce(message):
            return None
        lease.promised = self._waiting.popleft()
        return message

    def _keep_promise(self, lease: Lease) -> bool:
        """Hand a connection to the one it is promised to; False: to nobody, or it is no good."""
        turn, lease.promised = lease.promised, None
        if turn is None or turn.future.done():
            return False
        if self._closed:
            turn.future.set_exception(SessionFailed(_CLOSED))
            return False
        connection = lease.connection
        if not connection.reusable or not connection.is_open:
            self._waiting.appendleft(turn)
            return False
        self._busy.add(connection)
        turn.future.set_result(lease)
        return True

    def forget_idle(self) -> None:
        """Close what is kept: the one used last was stale, and all others are idle for longer."""
        while self._idle:
            self._idle.popleft().connection.abort()
        self._permit()

    async def close(self) -> None:
        """Take leave of idle connections and cut the others, whose transactions fail."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        leaving = [lease.connection for lease in self._idle]
        self._idle.clear()
        for connection in leaving:
            connection.quit()
        for connection in self._busy:
            connection.abort()
        self._fail_waiting(_CLOSED)
        await asyncio.gather(*(connection.wait_closed(_LEAVE_SECONDS) for connection in leaving))

    def _standing(self) -> int:
        return len(self._busy) + len(self._idle) + self._opening

    def _may_open(self) -> bool:
        open_ = len(self._busy) + len(self._idle)
        if self._opening and not open_:
            return False
        return open_ + self._opening < self._concurrency.limit

    def _take_idle(self) -> Lease | None:
        """Return the kept connection that was used last, if it is still fit."""
        now = self._clock.monotonic()
        while self._idle:
            lease = self._idle.pop()
            if not lease.connection.is_open:
                continue
            if not _is_worn(lease, now) and not _idles_too_long(lease, now):
                return lease
            lease.connection.quit()
        return None

    async def _next_free(self, message: Message | None) -> Lease | None:
        """Wait for a connection, or for leave to open one, which counts as opening already."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        future: asyncio.Future[Lease | None] = loop.create_future()
        turn = _Turn(future, message)
        self._waiting.append(turn)
        try:
            return await future
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            if future.done() and not future.cancelled() and future.exception() is None:
                self._give_back(future.result())
            raise

    def _give_back(self, lease: Lease | None) -> None:
        if lease is not None:
            self.release(lease, None)
        else:
            self._opening -= 1
            self._permit()

    async def _open(self) -> Lease | None:
        """Open a connection; None: the relay has no room for another one beside ours."""
        try:
            if self._closed:
                raise SessionFailed(_CLOSED)
            connection = await self._opener.open()
        except SessionFailed as failed:
            self._opening -= 1
            others = len(self._busy) + len(self._idle)
            if others and not self._closed and _has_no_room(failed.failure):
                self._concurrency.crowded(others)
                return None
            self._learn(failed.failure, self._concurrency.round)
            if others:
                self._permit()
            else:
                self._fail_waiting(failed.failure)
            raise
        except BaseException:
            self._opening -= 1
            self._permit()
            raise
        self._opening -= 1
        if self._closed:
            connection.abort()
            raise SessionFailed(_CLOSED)
        lease = Lease(connection, self._clock.monotonic())
        connection.promise = partial(self.promise, lease)
        return lease

    def _learn(self, outcome: Outcome, begun_in: int) -> None:
        if isinstance(outcome, Accepted):
            self._concurrency.accepted()
        elif is_throttle(outcome):
            self._concurrency.throttled(begun_in)

    def _hand_on(self, lease: Lease) -> bool:
        """Give a connection to whoever waits longest; False: nobody does."""
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                self._busy.add(lease.connection)
                future.set_result(lease)
                return True
        return False

    def _permit(self) -> None:
        """Let as many of those who wait open a connection as the limit has room for."""
        while self._waiting and self._may_open():
            future = self._waiting.popleft().future
            if not future.done():
                self._opening += 1
                future.set_result(None)

    def _fail_waiting(self, failure: Failure) -> None:
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(SessionFailed(failure))

    def _schedule_sweep(self, now: float) -> None:
        """Make sure that connections which nobody asks for again are given up, too."""
        if self._idle:
            left = LONGEST_IDLE_SECONDS - (now - self._idle[0].idle_since)
            self._sweep = asyncio.get_running_loop().call_later(max(0.05, left), self.sweep)

    def sweep(self) -> None:
        """Give up what has been idle for too long; done as often as it takes."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        now = self._clock.monotonic()
        while self._idle:
            first = self._idle[0]
            if first.connection.is_open and not _idles_too_long(first, now):
                break
            self._idle.popleft().connection.quit()
        self._schedule_sweep(now)


def _is_worn(lease: Lease, now: float) -> bool:
    old = now - lease.opened_at > LONGEST_AGE_SECONDS
    return old or lease.connection.transactions >= MOST_TRANSACTIONS


def _idles_too_long(lease: Lease, now: float) -> bool:
    return now - lease.idle_since > LONGEST_IDLE_SECONDS


def _has_no_room(failure: Failure) -> bool:
    """Tell whether a relay answers, but not to one connection more."""
    waiting_helps = failure.kind in (FailureClass.TRANSIENT, FailureClass.THROTTLE)
    return failure.phase is Phase.BANNER and failure.code is not None and waiting_helps
