"""What operators have paused: the switches topic's records, and all of them as one value. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from schemas.errors import Undecodable
from schemas.framing import framing
from schemas.instants import show_instant

KIND: Final = "switch"
#: A reason is kept up to this many characters.
REASON_CHARACTERS: Final = 300
#: What is said of a pause to whoever may not know its reason.
PAUSED: Final = "paused by an operator"
#: The rule of an outage that is an operator's will.
SWITCHED_OFF: Final = "switched-off"


class SwitchKind(StrEnum):
    """What can be paused; the words of commands, keys, metrics and status."""

    ALL = "all"
    RELAY = "relay"
    TIER = "tier"
    TENANT = "tenant"
    TEMPLATE = "template"


class SwitchKey(NamedTuple):
    """One thing that can be paused. `what` is its name, empty for everything."""

    kind: SwitchKind
    what: str

    def __str__(self) -> str:
        return f"{self.kind} {self.what}" if self.what else "everything"


@dataclass(frozen=True, slots=True)
class Switch:
    """One thing that is paused: `since` when (milliseconds since the epoch), by whom, and why."""

    key: SwitchKey
    since: int
    by: str = ""
    reason: str = ""

    @property
    def words(self) -> str:
        """What anybody may be told: that it is paused, and since when."""
        return f"{PAUSED} since {show_instant(self.since)}"

    def __str__(self) -> str:
        told = f"{self.key} is {self.words}"
        return f"{told}: {self.reason}" if self.reason else told


#: The key of the switch for all mails.
EVERYTHING: Final = SwitchKey(SwitchKind.ALL, "")


def paused_reason(kind: SwitchKind) -> str:
    """Return the reason in the ledger of a mail that was put off for a switch of this kind."""
    return f"{kind}-paused"


def write_key(key: SwitchKey) -> bytes:
    """Return a record's key."""
    return f"{key.kind}:{key.what}".encode()


def read_key(key: bytes | None) -> SwitchKey:
    """Return what a record is about.

    Raises:
        Undecodable: the bytes name nothing that can be paused.
    """
    try:
        kind, colon, what = (key or b"").decode().partition(":")
        found = SwitchKey(SwitchKind(kind), what)
    except ValueError as error:
        raise Undecodable(f"{key!r} names nothing that can be paused") from error
    if not colon or bool(what) == (found.kind is SwitchKind.ALL):
        raise Undecodable(f"{key!r} names nothing that can be paused")
    return found


def write_switch(switch: Switch) -> bytes:
    """Return the value as the topic holds it."""
    fields = {"since": switch.since, "by": switch.by, "reason": switch.reason[:REASON_CHARACTERS]}
    return framing(KIND).write(fields)


def read_switch(key: SwitchKey, value: bytes | None) -> Switch:
    """Return the switch in a record's value.

    Raises:
        Undecodable: the bytes are no switch.
    """
    return Switch(key, **framing(KIND).read(value))


def _nothing() -> Mapping[SwitchKey, Switch]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Switches:
    """Everything that is paused at one moment; false where nothing is."""

    off: Mapping[SwitchKey, Switch] = field(default_factory=_nothing)

    def __bool__(self) -> bool:
        return bool(self.off)

    def __iter__(self) -> Iterator[Switch]:
        """Yield every switch, the oldest first."""
        return iter(sorted(self.off.values(), key=lambda switch: (switch.since, switch.key)))

    def turned(self, key: SwitchKey, switch: Switch | None) -> "Switches":
        """Return the switches after one more record; None: it is resumed."""
        rest = {known: other for known, other in self.off.items() if known != key}
        return Switches(rest if switch is None else {**rest, key: switch})

    def read(self, key: bytes | None, value: bytes | None, at: int) -> "Switches":
        """Return the switches after one more record, written `at` an instant.

        A value that cannot be read pauses all the same: what may be paused is not to be sent.

        Raises:
            Undecodable: the key names nothing that can be paused.
        """
        named = read_key(key)
        if value is None:
            return self.turned(named, None)
        try:
            return self.turned(named, read_switch(named, value))
        except Undecodable:
            return self.turned(named, Switch(named, at, reason="the record cannot be read"))

    def stops(
        self, *, template: str = "", tenant: str = "", tier: str = "", relay: str = ""
    ) -> Switch | None:
        """Return what keeps a mail of these from going out, the widest first; None: nothing."""
        keys = (
            EVERYTHING,
            SwitchKey(SwitchKind.RELAY, relay),
            SwitchKey(SwitchKind.TIER, tier),
        )
        wide = (self.off[key] for key in keys if key in self.off)
        return next(wide, None) or self.puts_off(template, tenant)

    def puts_off(self, template: str, tenant: str) -> Switch | None:
        """Return what keeps a mail back while others go out: its tenant, or its template."""
        return self.off.get(SwitchKey(SwitchKind.TENANT, tenant)) or self.off.get(
            SwitchKey(SwitchKind.TEMPLATE, template)
        )

    def has(self, key: bytes) -> bool:
        """Tell whether what a record's key names is paused."""
        return any(write_key(known) == key for known in self.off)

    def names(self, kind: SwitchKind) -> frozenset[str]:
        """Return what is paused of one kind."""
        return frozenset(key.what for key in self.off if key.kind is kind)
