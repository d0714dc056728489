"""Hands mails to one relay over SMTP, on connections that are kept open."""

from dataclasses import replace
from typing import Final

from consumers.delivery.connection import SessionFailed, StaleConnection, Timeouts
from consumers.delivery.endpoint import RelayEndpoint
from consumers.delivery.message import Message
from consumers.delivery.pool import ConnectionPool
from consumers.delivery.session import SessionOpener
from retry_topics.failure import Failure, Outcome, Phase, Scope
from runtime.clock import Clock

#: Rules of a relay that is out of step with us: a new connection usually helps.
_OUT_OF_STEP: Final = frozenset({"out-of-step", "unexpected-reply", "garbled-reply"})
_TRANSACTION: Final = frozenset({Phase.MAIL, Phase.RCPT, Phase.DATA, Phase.DOT})


class SmtpDelivery:
    """A `Delivery` to one relay, over at most `connections` connections at a time."""

    def __init__(
        self,
        endpoint: RelayEndpoint,
        connections: int,
        clock: Clock,
        timeouts: Timeouts | None = None,
    ) -> None:
        opener = SessionOpener(endpoint, timeouts or Timeouts())
        self._pool = ConnectionPool(opener, connections, clock)

    async def send(self, message: Message) -> Outcome:
        """Hand over one mail and say what came of it.

        A relay that is out of step gets a second chance on a new connection at once. If it
        stumbles again, the mail may be what trips it, so the failure becomes the mail's own.
        """
        outcome = await self._send_once(message)
        if not _is_out_of_step(outcome):
            return outcome
        outcome = await self._send_once(message)
        if isinstance(outcome, Failure) and _is_out_of_step(outcome):
            return replace(outcome, scope=Scope.MESSAGE)
        return outcome

    async def close(self) -> None:
        """Give up every connection."""
        await self._pool.close()

    async def _send_once(self, message: Message) -> Outcome:
        while True:
            try:
                connection = await self._pool.acquire()
            except SessionFailed as failed:
                return failed.failure
            try:
                return await connection.transact(message)
            except StaleConnection:
                # Only a kept connection is ever stale and it is not kept again, so this ends.
                continue
            finally:
                self._pool.release(connection)


def _is_out_of_step(outcome: Outcome) -> bool:
    return (
        isinstance(outcome, Failure)
        and outcome.phase in _TRANSACTION
        and outcome.rule in _OUT_OF_STEP
    )
