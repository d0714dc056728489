"""Hands mails to one relay over SMTP, on connections that are kept open."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from consumers.delivery.connection import Classify, Overtaken, SessionFailed, StaleConnection
from consumers.delivery.endpoint import RelayEndpoint
from consumers.delivery.figures import RelayFigures, Stopwatch
from consumers.delivery.message import Message
from consumers.delivery.outcome import classify
from consumers.delivery.pacing import Pace
from consumers.delivery.pool import ConnectionPool
from consumers.delivery.protocol import Begins
from consumers.delivery.session import SessionOpener
from consumers.delivery.wire import GARBLED_REPLY, UNASKED_REPLY
from retry_topics.failure import Failure, Outcome, Phase, Scope
from runtime.clock import Clock
from runtime.logs import get_logger

_log = get_logger("delivery")

#: Rules of a relay that is out of step with us: a new connection usually helps.
_OUT_OF_STEP: Final = frozenset({"out-of-step", "unexpected-reply", GARBLED_REPLY, UNASKED_REPLY})
_TRANSACTION: Final = frozenset({Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT})


@dataclass(frozen=True, slots=True)
class Manners:
    """How to treat a relay: what its words mean, how fast to send."""

    classify: Classify = classify
    pace: Pace | None = None


class SmtpDelivery:
    """A `Delivery` to one relay, over at most `connections` connections at a time."""

    def __init__(
        self,
        endpoint: RelayEndpoint,
        connections: int,
        clock: Clock,
        manners: Manners | None = None,
    ) -> None:
        manners = manners or Manners()
        self._watch = Stopwatch(clock)
        opener = SessionOpener(endpoint, endpoint.timeouts, manners.classify, self._watch)
        self._pool = ConnectionPool(opener, connections, clock)
        self._clock = clock
        self._pace = manners.pace
        self._paced = 0
        self._name = f"{endpoint.host}:{endpoint.port}"

    async def send(self, message: Message, begins: Begins | None = None) -> Outcome:
        """Hand over one mail and say what came of it.

        A relay that is out of step gets a second chance on a new connection at once. If it
        stumbles again, the mail may be what trips it, so the failure becomes the mail's own.
        """
        if self._pace is not None and (seconds := self._pace.reserve(self._clock.monotonic())):
            self._paced += 1
            try:
                await asyncio.sleep(seconds)
            finally:
                self._paced -= 1
        stumbled = False
        while True:
            try:
                lease = await self._pool.acquire(message)
            except SessionFailed as failed:
                return failed.failure
            outcome: Outcome | None = None
            try:
                if begins is not None and (first := begins()) is not None:
                    await first
                outcome = await lease.connection.transact(message)
            except StaleConnection as stale:
                # Only a kept connection is ever stale and it is not kept again, so this ends.
                self._forget_idle(stale)
                continue
            finally:
                self._pool.release(lease, outcome)
            if isinstance(outcome, Failure) and _is_out_of_step(outcome):
                if not stumbled:
                    stumbled = True
                    continue
                outcome = replace(outcome, scope=Scope.MESSAGE)
            return outcome

    def figures(self) -> Sequence[RelayFigures]:
        """Return how the relay stands. From any thread."""
        figures = RelayFigures(self._name, self._pool.figures(), self._paced, self._watch.read())
        return (figures,)

    async def close(self) -> None:
        """Give up every connection."""
        await self._pool.close()

    def _forget_idle(self, stale: StaleConnection) -> None:
        self._pool.forget_idle()
        if isinstance(stale, Overtaken):
            self._pool.promises = False
            _log.info("relay.one_mail_at_a_time", relay=self._name)


def _is_out_of_step(failure: Failure) -> bool:
    return failure.phase in _TRANSACTION and failure.rule in _OUT_OF_STEP
