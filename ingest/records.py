"""The record that an event becomes on the main topic: CloudEvents' binary mode for Kafka."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from runtime.kafka.records import OutRecord
from schemas.events import SignupEvent
from schemas.identity import lane_key, mail_id

EVENT_TYPE: Final = b"com.mailcascade.email.requested.v1"
_SPEC_VERSION: Final = ("ce_specversion", b"1.0")
_TYPE: Final = ("ce_type", EVENT_TYPE)
_CONTENT_TYPE: Final = ("content-type", b"application/avro")


class Entry(NamedTuple):
    """An event's public id, its template, and its record."""

    mail_id: str
    template: str
    record: OutRecord


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes events down for one topic; `encode` chooses the framing."""

    topic: str
    encode: Callable[[SignupEvent], bytes]

    def entry(self, event: SignupEvent) -> Entry:
        """Return the record of an event, keyed by its recipient's lane."""
        key = lane_key(event.recipient.address)
        headers = (
            _SPEC_VERSION,
            ("ce_id", str(event.event_id).encode()),
            ("ce_source", f"/mailcascade/ingest/{event.tenant}".encode()),
            _TYPE,
            ("ce_time", _rfc3339(event.occurred_at)),
            _CONTENT_TYPE,
        )
        record = OutRecord(self.topic, key, self.encode(event), headers)
        return Entry(mail_id(event.event_id, key), event.template, record)


def _rfc3339(instant_ms: int) -> bytes:
    seconds, milliseconds = divmod(instant_ms, 1000)
    return b"%b.%03dZ" % (_second(seconds), milliseconds)


@lru_cache(maxsize=8)
def _second(seconds: int) -> bytes:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}".encode()
