"""The gate before something that can be out: while it is, everybody waits and one asks at a time.

When to ask is a breaker's business (`consumers.delivery.breaker`); here is who asks. Whoever was
not answered goes to the end of the line, so that no mail is the only one that ever asks. Lives on
the engine's loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from msgspec import Struct

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage
from consumers.delivery.guard import Guard
from retry_topics.failure import Failure

T = TypeVar("T")

#: Nobody sleeps for longer without looking again: what is waited for may come sooner.
_LONGEST_SLEEP_SECONDS: Final = 30.0


class Answered(Struct, Generic[T], frozen=True):
    """The other side works; this is what it said."""

    result: T


@dataclass(frozen=True, slots=True)
class Aside(Generic[T]):
    """The other side was not asked, so nothing is known of it."""

    result: T


@dataclass(frozen=True, slots=True)
class Out:
    """The other side is out."""

    failure: Failure


Pass = Answered[T] | Aside[T] | Out
Attempt = Callable[[], Awaitable[Pass[T]]]


class OutageGate:
    """Lets everybody through, or holds all while the other side is out; counts no attempt."""

    def __init__(
        self,
        pause: Callable[[], float | None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`pause` tells for how many seconds nobody may ask; 0: one may; None: all may."""
        self._pause = pause
        self._sleep = sleep
        self._turn = asyncio.Lock()

    async def through(self, attempt: Attempt[T]) -> T:
        """Attempt as often as it takes to get past an outage, and return the result.

        What `attempt` raises goes on to the caller and says nothing about the other side.
        """
        while True:
            if self._pause() is None:
                passed = await attempt()
                if not isinstance(passed, Out):
                    return passed.result
            async with self._turn:
                while seconds := self._pause():
                    await self._sleep(min(seconds, _LONGEST_SLEEP_SECONDS))
                if seconds is None:
                    continue
                passed = await attempt()
                if not isinstance(passed, Out):
                    return passed.result


class RegistryGate:
    """The gate before the schema registry, with the registry's breaker."""

    def __init__(
        self, guard: Guard, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._guard = guard
        self._breaker = guard.breaker(Blame.REGISTRY, "schema registry")
        self._gate = OutageGate(lambda: self._breaker.wait(guard.clock.monotonic()), sleep)

    @property
    def outage(self) -> Outage | None:
        """Why the registry cannot be asked. May be read from any thread."""
        return self._breaker.outage

    async def through(self, attempt: Attempt[T]) -> T:
        """Do as `OutageGate.through` does; nothing is asked of the breaker for a mail aside."""

        async def ask() -> Pass[T]:
            permit = self._breaker.ask(self._guard.clock.monotonic())
            if isinstance(permit, Outage):
                return Out(permit.failure)
            passed: Pass[T] | None = None
            try:
                passed = await attempt()
            finally:
                if passed is None or isinstance(passed, Aside):
                    self._breaker.returned(permit)
            if isinstance(passed, Out):
                self._breaker.failed(permit, passed.failure, self._guard.moment())
            elif isinstance(passed, Answered):
                self._breaker.answered(permit)
            return passed

        return await self._gate.through(ask)
