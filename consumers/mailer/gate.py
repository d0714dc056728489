"""The gate before something that can be out: while it is, everybody waits and one probe asks again.

    CLOSED --outage--> OPEN --a probe is answered--> CLOSED

(The words are a circuit breaker's: open means that nothing flows.) Lives on the engine's loop; only
`outage` may be read from other threads.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from tenacity import AsyncRetrying, retry_if_result, stop_never, wait_exponential_jitter
from tenacity.wait import wait_base

from retry_topics.failure import Failure
from runtime.clock import Clock

T = TypeVar("T")

#: Pauses between probes: about half a second at first, doubling to about half a minute.
PROBE_WAIT: Final = wait_exponential_jitter(multiplier=0.5, max=30, jitter=0.5)
_FIRST_PAUSE_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Outage:
    """Why and since when (milliseconds since the epoch) nothing flows."""

    failure: Failure
    since: int


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
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


class OutageGate:
    """Lets everybody through, or holds all while the other side is out; counts no attempt."""

    def __init__(
        self,
        clock: Clock,
        changed: Callable[[Outage | None], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        wait: wait_base = PROBE_WAIT,
    ) -> None:
        """`changed` is told when an outage begins, gives another reason, and ends (None)."""
        self._clock = clock
        self._wait = wait
        self._sleep = sleep
        self._changed = changed
        self._probe = asyncio.Lock()
        self.outage: Outage | None = None

    async def through(self, attempt: Callable[[], Awaitable[Pass[T]]]) -> T:
        """Attempt as often as it takes to get past an outage, and return the result.

        What `attempt` raises goes on to the caller and says nothing about the other side.
        """
        while True:
            if self.outage is None:
                passed = await attempt()
                if not isinstance(passed, Out):
                    return passed.result
                self._open(passed.failure)
            async with self._probe:
                if self.outage is not None:
                    return await self._until_passed(attempt)

    async def _until_passed(self, attempt: Callable[[], Awaitable[Pass[T]]]) -> T:
        async def probe() -> Pass[T]:
            passed = await attempt()
            if isinstance(passed, Out):
                self._open(passed.failure)
            elif isinstance(passed, Answered):
                self._close()
            return passed

        await self._sleep(_FIRST_PAUSE_SECONDS)
        retrying = AsyncRetrying(
            retry=retry_if_result(lambda passed: isinstance(passed, Out)),
            wait=self._wait,
            stop=stop_never,
            sleep=self._sleep,
        )
        passed: Answered[T] | Aside[T] = await retrying(probe)
        return passed.result

    def _open(self, failure: Failure) -> None:
        before = self.outage
        if before is not None and before.failure.text == failure.text:
            return
        self.outage = Outage(failure, before.since if before else self._clock.now_ms())
        self._changed(self.outage)

    def _close(self) -> None:
        if self.outage is not None:
            self.outage = None
            self._changed(None)
