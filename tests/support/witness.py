"""What comes to be in a pipeline's topics, as it comes: how a test waits for a mail's state."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from runtime.kafka.admin import TopicAdmin
from runtime.kafka.errors import TopicMissing
from runtime.kafka.follower import Follower
from runtime.kafka.records import Partition
from schemas.events import SignupEvent
from schemas.ledger import LedgerEntry, read_entry
from schemas.mail_states import MailState
from schemas.privacy import address_hash
from tests.support.mailer import Kafka, event_of
from tests.support.wait import wait_until

_MOST: Final = 1_000
_MOMENT_SECONDS: Final = 0.1
_PATIENCE_SECONDS: Final = 20.0


class Witness:
    """Follows the ledger, the tiers, the dead letters and the suppressions of one topology."""

    def __init__(self, kafka: Kafka) -> None:
        self._topology = kafka.topology
        self._behind_main = (*kafka.topology.retries, kafka.topology.dlt)
        self._topics = (kafka.topology.ledger, kafka.topology.suppressions, *self._behind_main)
        self._admin = TopicAdmin({"bootstrap.servers": kafka.bootstrap})
        self._reached: dict[Partition, int] = {}
        self._entries: dict[UUID, list[LedgerEntry]] = {}
        self._topics_of: dict[UUID, list[str]] = {}
        self._suppressed: dict[bytes, bool] = {}
        # A busy broker takes a moment to know the topics that it has just made.
        wait_until(self._knows_topics, _PATIENCE_SECONDS, "the broker to know its topics")
        spans = self._admin.spans(self._topics)
        self._follower = Follower({"bootstrap.servers": kafka.bootstrap}, spans)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._follower.close()

    def entries(self, event: SignupEvent) -> list[LedgerEntry]:
        """Return what the ledger says of a mail up to this moment."""
        self._catch_up()
        return list(self._entries.get(event.event_id, ()))

    def until(self, event: SignupEvent, *states: MailState) -> list[LedgerEntry]:
        """Wait for one of a mail's states, and return what the ledger says up to then."""

        def is_there() -> bool:
            found = self._entries.get(event.event_id)
            return found is not None and found[-1].state in states

        self._follow_until(is_there, f"a mail that is {' or '.join(states)}")
        return list(self._entries[event.event_id])

    def moved(self, event: SignupEvent) -> list[str]:
        """Return the topics behind the main topic on which a mail has been up to this moment."""
        self._catch_up()
        return list(self._topics_of.get(event.event_id, ()))

    def is_suppressed(self, address: str) -> bool:
        """Tell whether a recipient gets no more mail from this moment on."""
        self._catch_up()
        return self._suppressed.get(address_hash(address), False)

    def _knows_topics(self) -> bool:
        try:
            self._admin.spans(self._topics)
        except TopicMissing:
            return False
        return True

    def _catch_up(self) -> None:
        """Read all that there is."""
        ends = {p: span.end for p, span in self._admin.spans(self._topics).items() if span.end}

        def is_read() -> bool:
            return all(self._reached.get(p, 0) >= end for p, end in ends.items())

        self._follow_until(is_read, "all that is in the topics")

    def _follow_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            if time.monotonic() >= deadline:
                raise AssertionError(f"{what} did not come within {_PATIENCE_SECONDS:g} s")
            self._take()

    def _take(self) -> None:
        followed = self._follower.take(_MOST, _MOMENT_SECONDS)
        self._reached.update(followed.reached)
        for record in followed.records:
            if record.topic == self._topology.ledger:
                event_id = UUID(bytes=record.key or b"")
                self._entries.setdefault(event_id, []).append(read_entry(record.value or b""))
            elif record.topic == self._topology.suppressions:
                self._suppressed[record.key or b""] = record.value is not None
            else:
                self._topics_of.setdefault(event_of(record).event_id, []).append(record.topic)
