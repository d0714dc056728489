"""A record of the dead-letter topic as operators see it, read as far as sorting needs it."""

from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

from retry_topics.dlt.cause import Cause, CauseReader, Group
from retry_topics.headers import (
    DEAD_AT,
    DEAD_REASON,
    GENERATION,
    HISTORY,
    REPLAY_COUNT,
)
from retry_topics.policy import DeadReason
from runtime.kafka.sweep import Scanned
from schemas.codec import EventCodec
from schemas.dlt_journal import Position
from schemas.errors import Undecodable
from schemas.glance import Glance, glance
from schemas.identity import LANE_KEY_BYTES, lane_key, mail_id

_MOST_DIGITS: Final = 18


class Letter(NamedTuple):
    """One dead-lettered record. `at` is when it died, milliseconds since the epoch.

    `about` is None where the value is no event. `replays` is how often the mail was replayed
    before, `generation` that of the record.
    """

    position: Position
    at: int
    key: bytes | None
    about: Glance | None
    group: Group
    generation: int
    replays: int

    @property
    def is_held(self) -> bool:
        """Tell whether it waits for a decision by `mailcascade held`."""
        return self.group.cause.reason == DeadReason.HELD

    @property
    def cause(self) -> Cause:
        """What it died of."""
        return self.group.cause

    @property
    def mail_id(self) -> str:
        """The public id of the mail, "" where the value is no event."""
        if self.about is None:
            return ""
        return mail_id(UUID(bytes=self.about.event_id), self.lane_key)

    @property
    def lane_key(self) -> bytes:
        """The lane key of the recipient; that of the record where it has one."""
        if self.key is not None and len(self.key) == LANE_KEY_BYTES:
            return self.key
        return b"" if self.about is None else lane_key(self.about.address)


class LetterReader:
    """Reads letters; remembers causes, of which most are alike. Owned by one thread."""

    def __init__(self, codec: EventCodec) -> None:
        self._codec = codec
        self._causes = CauseReader()

    def read(self, partition: int, message: Scanned) -> Letter:
        """Return the letter in a message.

        Raises:
            RegistryUnavailable: the registry had to be asked and does not answer.
        """
        key, value, offset, at, headers = message
        found = dict(headers).get
        try:
            about = glance(value, self._codec)
            template = about.template
        except Undecodable:
            about, template = None, ""
        return Letter(
            Position(partition, offset),
            at or _number(found(DEAD_AT)),
            key,
            about,
            self._causes.read(template, found(DEAD_REASON) or b"", found(HISTORY) or b""),
            _number(found(GENERATION)),
            _number(found(REPLAY_COUNT)),
        )


@lru_cache(maxsize=1024)
def _number(value: bytes | None) -> int:
    # Generations and counts of replays are few.
    return int(value) if value and value.isdigit() and len(value) <= _MOST_DIGITS else 0
