"""The ledger's entries: every change of a mail's state, keyed by event id in its lane."""

from functools import lru_cache
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from schemas.body import NULL, VALUE, write_long, write_string, write_timestamp
from schemas.errors import Undecodable
from schemas.framing import HEADER_BYTES, framing
from schemas.mail_states import MailState

KIND: Final = "ledger_entry"
OWNER_BYTES: Final = 4
#: The owner that stands for anyone.
NOBODY: Final = bytes(OWNER_BYTES)
#: In so many bytes an entry of small numbers tells all that a worker keeps of it; few differ.
_SHORT: Final = HEADER_BYTES + 4 + OWNER_BYTES
#: What a relay said is kept up to this many characters.
TEXT_CHARACTERS: Final = 300

_SYMBOLS: Final = ("unknown", *(state.value for state in MailState if state != MailState.QUEUED))
_STATE_LONGS: Final = {symbol: write_long(number) for number, symbol in enumerate(_SYMBOLS)}
_STATES: Final = tuple(MailState(symbol) if symbol != "unknown" else None for symbol in _SYMBOLS)


@lru_cache(maxsize=4096)
def owner_of(tenant: str) -> bytes:
    """Return the four bytes that stand for a tenant; no tenant is `NOBODY`."""
    return blake2b(tenant.encode(), digest_size=OWNER_BYTES).digest() if tenant else NOBODY


class LedgerEntry(Struct, frozen=True, gc=False):
    """One change of a mail's state. Instants are milliseconds since the epoch.

    (generation, step) says which record of the mail counts from here on. `text` is the relay's last
    words or a sentence for people; the fields behind it describe a failure.
    """

    state: MailState
    generation: int
    step: int
    attempts: int
    owner: bytes
    at: int
    due_at: int | None = None
    template: str = ""
    tenant: str = ""
    worker: str = ""
    reason: str = ""
    text: str = ""
    scope: str = ""
    kind: str = ""
    phase: str = ""
    rule: str = ""
    code: int | None = None
    enhanced: str | None = None


class Standing(Struct, frozen=True, gc=False):
    """What the worker keeps of a mail's last entry."""

    state: MailState
    generation: int
    step: int
    attempts: int
    owner: bytes

    @property
    def place(self) -> tuple[int, int]:
        """Which record of the mail counts; a later one's is larger."""
        return self.generation, self.step


def standing_of(entry: LedgerEntry) -> Standing:
    """Return what the worker keeps of an entry."""
    return Standing(entry.state, entry.generation, entry.step, entry.attempts, entry.owner)


def write_entry(entry: LedgerEntry) -> bytes:
    """Return the entry as the ledger holds it.

    It follows `avro/ledger_entry.v1.avsc` field by field, in a fraction of a general writer's time.
    """
    e, due_at = entry, entry.due_at
    return b"".join(
        (
            _head(e.state, e.generation, e.step, e.attempts, e.owner),
            write_timestamp(e.at),
            NULL if due_at is None else VALUE + write_long(due_at),
            _words(e.template, e.tenant, e.worker, e.reason),
            write_string(e.text),
            _tail(e.scope, e.kind, e.phase, e.rule, e.code, e.enhanced),
        )
    )


@lru_cache(maxsize=4096)
def _head(state: MailState, generation: int, step: int, attempts: int, owner: bytes) -> bytes:
    numbers = (generation, step, attempts)
    return b"".join(
        (framing(KIND).header, _STATE_LONGS[state], *(write_long(n) for n in numbers), owner)
    )


@lru_cache(maxsize=1024)
def _words(template: str, tenant: str, worker: str, reason: str) -> bytes:
    return b"".join([write_string(word) for word in (template, tenant, worker, reason)])


@lru_cache(maxsize=1024)
def _tail(
    scope: str, kind: str, phase: str, rule: str, code: int | None, enhanced: str | None
) -> bytes:
    return b"".join(
        (
            *(write_string(word) for word in (scope, kind, phase, rule)),
            NULL if code is None else VALUE + write_long(code),
            NULL if enhanced is None else VALUE + write_string(enhanced),
        )
    )


def read_entry(value: bytes | None) -> LedgerEntry:
    """Return the entry in a ledger record's value.

    Raises:
        Undecodable: the bytes are no entry, or of a state that this release does not know.
    """
    fields = framing(KIND).read(value)
    if fields["state"] == "unknown":
        raise Undecodable("the entry's state is none that this release knows")
    fields["state"] = MailState(fields["state"])
    return LedgerEntry(**fields)


def peek(value: bytes) -> Standing:
    """Return what the worker keeps of an entry, without reading the rest of it.

    Raises:
        Undecodable: as `read_entry`.
    """
    return _short(value[:_SHORT]) or _peek(value)


@lru_cache(maxsize=4096)
def _short(head: bytes) -> Standing | None:
    """Return the standing in an entry's first bytes, None where they do not hold all of it."""
    try:
        return _peek(head) if head.startswith(framing(KIND).header) else None
    except Undecodable:
        return None


def _peek(value: bytes) -> Standing:
    if not value.startswith(framing(KIND).header):
        return standing_of(read_entry(value))
    try:
        symbol, at = _long(value, HEADER_BYTES)
        generation, at = _long(value, at)
        step, at = _long(value, at)
        attempts, at = _long(value, at)
        state = _STATES[symbol]
    except IndexError as error:
        raise Undecodable("the entry is cut short, or of an unknown state") from error
    owner = value[at : at + OWNER_BYTES]
    if state is None or symbol < 0 or len(owner) < OWNER_BYTES:
        raise Undecodable("the entry is cut short, or of an unknown state")
    return Standing(state, generation, step, attempts, owner)


def _long(value: bytes, at: int) -> tuple[int, int]:
    """Read one Avro long at a place; return it and the place behind it."""
    byte = value[at]
    at += 1
    raw = byte & 0x7F
    shift = 7
    while byte & 0x80:
        byte = value[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        shift += 7
    return (raw >> 1) ^ -(raw & 1), at
