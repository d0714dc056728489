"""The record that a mail becomes on the main topic: CloudEvents' binary mode for Kafka."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from ingest.mails import Mail
from runtime.kafka.records import Headers
from runtime.trace_context import first_headers
from schemas.identity import lane_key, mail_ids

EVENT_TYPE: Final = b"com.mailcascade.email.requested.v1"
_SPEC_VERSION: Final = ("ce_specversion", b"1.0")
_TYPE: Final = ("ce_type", EVENT_TYPE)
_CONTENT_TYPE: Final = ("content-type", b"application/avro")


class Entry(msgspec.Struct, frozen=True):
    """A mail's event id, its template, and its record (see `runtime.kafka.pending`)."""

    event_id: str
    template: str
    topic: str
    key: bytes
    value: bytes
    headers: Headers
    partition: int | None = None

    def log_fields(self) -> dict[str, str]:
        """Return the mail's public id."""
        return {"mail_id": mail_ids([(self.event_id, self.key)])[0]}


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes mails down for one topic; `encode` chooses the framing."""

    topic: str
    encode: Callable[[Mail], bytes]

    def entry(self, mail: Mail) -> Entry:
        """Return the record of a mail, keyed by its recipient's lane, in the trace at hand."""
        key = lane_key(mail.recipient.address)
        headers = (
            _SPEC_VERSION,
            ("ce_id", mail.event_id.encode()),
            _source(mail.tenant),
            _TYPE,
            _time(mail.occurred_at),
            _CONTENT_TYPE,
            *first_headers(),
        )
        value = self.encode(mail)
        return Entry(mail.event_id, mail.template, self.topic, key, value, headers)


@lru_cache(maxsize=64)
def _source(tenant: str) -> tuple[str, bytes]:
    return "ce_source", f"/mailcascade/ingest/{tenant}".encode()


@lru_cache(maxsize=8)
def _time(instant_ms: int) -> tuple[str, bytes]:
    seconds, milliseconds = divmod(instant_ms, 1000)
    second = datetime.fromtimestamp(seconds, UTC)
    return "ce_time", f"{second:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z".encode()
