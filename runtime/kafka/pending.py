"""The records of one call to the publisher, from their hand-over until the last is settled."""

import asyncio
from typing import Protocol

from confluent_kafka import KafkaError, Message

from runtime.kafka.published import PublishError, publish_error
from runtime.kafka.records import Headers


class Publishable(Protocol):
    """A record to write: `OutRecord`, or whatever has these."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def partition(self) -> int | None: ...


class PendingRecords:
    """How many records of a call are under way, and what became of the others.

    They stay among the open ones until all are settled, also when nobody waits any more.
    """

    __slots__ = ("_open", "done", "failures", "last", "under_way")

    def __init__(
        self, done: "asyncio.Future[None]", count: int, others: "set[PendingRecords]"
    ) -> None:
        self.done = done
        self.under_way = count
        self.failures: dict[int, PublishError] = {}
        self.last: Message | None = None
        self._open = others
        others.add(self)

    def on_delivery(self, index: int, error: KafkaError | None, message: Message) -> None:
        """Take the brokers' word on a record."""
        if error is not None:
            self.failures[index] = publish_error(error, message.topic())
        self.last = message
        self.under_way -= 1
        if not self.under_way:
            self._close()

    def fail(self, index: int, failure: PublishError) -> None:
        """Note that a record does not get to the brokers."""
        self.failures[index] = failure
        self.under_way -= 1
        if not self.under_way:
            self._close()

    def _close(self) -> None:
        self._open.discard(self)
        if not self.done.done():
            self.done.set_result(None)
