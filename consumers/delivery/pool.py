"""Keeps open connections for reuse, by age, by count, and never longer idle than a relay likes."""

import asyncio
from dataclasses import dataclass
from typing import Final

from consumers.delivery.connection import Connection
from consumers.delivery.session import SessionOpener
from runtime.clock import Clock

#: By age, as Postfix does it, and by count, as large providers ask for.
LONGEST_AGE_SECONDS: Final = 300.0
MOST_TRANSACTIONS: Final = 100
#: Providers close after some ten seconds; a connection that is gone costs the next mail time.
LONGEST_IDLE_SECONDS: Final = 5.0


#: How long closing waits for relays to take our leave.
_LEAVE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Kept:
    connection: Connection
    opened_at: float
    idle_since: float


class ConnectionPool:
    """Hands out at most `size` connections at a time, the one used last first.

    Owned by one event loop: every method is called on it.
    """

    def __init__(self, opener: SessionOpener, size: int, clock: Clock) -> None:
        self._opener = opener
        self._clock = clock
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Kept] = []
        self._busy: dict[Connection, float] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def acquire(self) -> Connection:
        """Wait for a slot and return a connection, a kept one if there is any.

        Raises:
            SessionFailed: no connection could be opened; the slot is free again.
        """
        await self._slots.acquire()
        try:
            self._drop_worn()
            if self._idle:
                kept = self._idle.pop()
                self._busy[kept.connection] = kept.opened_at
                return kept.connection
            return await self._open()
        except BaseException:
            self._slots.release()
            raise

    def release(self, connection: Connection) -> None:
        """Take a connection back and free its slot; keep it if it may be used again."""
        opened_at = self._busy.get(connection)
        if opened_at is None or not connection.reusable or not connection.is_open:
            self._discard(connection)
        elif self._closed or self._is_old(connection, opened_at):
            del self._busy[connection]
            connection.quit()
        else:
            del self._busy[connection]
            self._idle.append(_Kept(connection, opened_at, self._clock.monotonic()))
            self._schedule_sweep()
        self._slots.release()

    async def close(self) -> None:
        """Take leave of idle connections and cut the others, whose transactions fail."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        leaving = [kept.connection for kept in self._idle]
        self._idle.clear()
        for connection in leaving:
            connection.quit()
        for connection in self._busy:
            connection.abort()
        await asyncio.gather(*(connection.wait_closed(_LEAVE_SECONDS) for connection in leaving))

    async def _open(self) -> Connection:
        connection = await self._opener.open()
        self._busy[connection] = self._clock.monotonic()
        return connection

    def _discard(self, connection: Connection) -> None:
        self._busy.pop(connection, None)
        connection.abort()

    def _is_old(self, connection: Connection, opened_at: float) -> bool:
        age = self._clock.monotonic() - opened_at
        return connection.transactions >= MOST_TRANSACTIONS or age > LONGEST_AGE_SECONDS

    def _drop_worn(self) -> None:
        """Take leave of kept connections that are too old or idle, and forget those that broke."""
        now = self._clock.monotonic()
        fit = []
        for kept in self._idle:
            if not kept.connection.is_open:
                continue
            worn = now - kept.idle_since > LONGEST_IDLE_SECONDS
            if worn or self._is_old(kept.connection, kept.opened_at):
                kept.connection.quit()
            else:
                fit.append(kept)
        self._idle = fit

    def _schedule_sweep(self) -> None:
        """Make sure that connections which nobody asks for again are given up, too."""
        if self._sweep is None:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(LONGEST_IDLE_SECONDS, self._swept)

    def _swept(self) -> None:
        self._sweep = None
        self._drop_worn()
        if self._idle:
            self._schedule_sweep()
