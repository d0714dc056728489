"""`mailcascade pause`, `resume` and `switches`: what operators keep from being sent.

A pause is a record of a compacted topic that every worker reads before it sends anything.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from console.cluster import Cluster
from console.failures import CommandFailed, ExitCode
from console.operator import Order
from retry_topics.topology import Topology
from runtime.kafka.records import OutRecord
from runtime.logs import get_logger
from schemas.errors import Undecodable
from schemas.instants import show_instant, write_instant
from schemas.switches import (
    EVERYTHING,
    REASON_CHARACTERS,
    Switch,
    Switches,
    SwitchKey,
    SwitchKind,
    write_key,
    write_switch,
)

_log = get_logger("switches")

Print = Callable[[str], None]

#: What becomes of mails that a switch of this kind keeps back.
_EFFECTS: Final[Mapping[SwitchKind, str]] = {
    SwitchKind.ALL: "all mails wait where they are",
    SwitchKind.RELAY: "it gets no mail: others take its share, and without any other mails wait",
    SwitchKind.TIER: "its records wait also when they are due, all others go on",
    SwitchKind.TENANT: "its mails wait in the retry tiers without an attempt, all others go on",
    SwitchKind.TEMPLATE: "its mails wait in the retry tiers without an attempt, all others go on",
}


@dataclass(frozen=True, slots=True)
class Known:
    """The names that this host's settings know, by kind; a kind without an entry has any."""

    names: Mapping[SwitchKind, Collection[str]]
    #: Kinds of which a name counts only here, so that --force does not help.
    fixed: Collection[SwitchKind] = (SwitchKind.TIER,)

    def key(self, kind: SwitchKind, what: str | None, *, force: bool) -> SwitchKey:
        """Return what these words mean.

        Raises:
            CommandFailed: they name nothing that there is; with `force` only where nothing of that
                name can be anywhere.
        """
        key = named(kind, what, self.names.get(SwitchKind.RELAY, ()))
        known = self.names.get(kind)
        if known is None or key.what in known or (force and kind not in self.fixed):
            return key
        listed = ", ".join(sorted(known)) or "none"
        hint = "" if kind in self.fixed else "; if there is one elsewhere, add --force"
        raise CommandFailed(
            f"there is no {kind} {key.what}; known here: {listed}{hint}", ExitCode.WRONG_SETTING
        )


def named(kind: SwitchKind, what: str | None, relays: Collection[str]) -> SwitchKey:
    """Return the switch that these words mean; a relay may be named without its port.

    Raises:
        CommandFailed: a name is missing, or there is one too many.
    """
    if kind is SwitchKind.ALL:
        if what:
            raise CommandFailed("`all` has no name", ExitCode.WRONG_SETTING)
        return EVERYTHING
    if not what:
        raise CommandFailed(f"name the {kind}", ExitCode.WRONG_SETTING)
    if kind is SwitchKind.RELAY:
        matching = [relay for relay in relays if relay.rpartition(":")[0] == what]
        if len(matching) == 1:
            return SwitchKey(kind, matching[0])
    return SwitchKey(kind, what)


class SwitchDesk:
    """The switches' topic, for one order."""

    def __init__(self, cluster: Cluster, topology: Topology, order: Order) -> None:
        self._cluster = cluster
        self._topology = topology
        self._order = order

    def read(self) -> Switches:
        """Return what is paused; a record that names nothing is logged, as workers do."""
        switches = Switches()
        for record in self._cluster.records(self._topology.switches):
            try:
                switches = switches.read(record.key, record.value, record.timestamp_ms)
            except Undecodable as error:
                _log.warning("switches.unreadable", reason=f"offset {record.offset}: {error}")
        return switches

    def pause(self, key: SwitchKey, show: Print) -> None:
        """Pause something. Paused already, it keeps since when and takes the new reason."""
        order = self._order
        before = self.read().off.get(key)
        since = order.at if before is None else before.since
        reason = order.reason[:REASON_CHARACTERS]
        self._write(key, write_switch(Switch(key, since, order.by, reason)))
        if before is None:
            show(f"{key} is paused: {_EFFECTS[key.kind]}")
        else:
            show(f"{key} was paused already, since {show_instant(since)}; the reason is new")
        show("what a worker has in hand is sent; what expires meanwhile is expired and not sent")
        show(f"{self._workers()}; to go on: mailcascade resume {_arguments(key)}")

    def resume(self, kind: SwitchKind, what: str | None, show: Print) -> None:
        """Resume something; where it is not paused, say so and change nothing."""
        switches = self.read()
        key = named(kind, what, switches.names(SwitchKind.RELAY))
        if key not in switches.off:
            show(f"{key} is not paused: there is nothing to do")
            return
        self._write(key, None)
        show(f"{key} is resumed; {self._workers()}")
        for other in switches.turned(key, None):
            show(f"still paused: {other}")

    def show(self, as_json: bool, show: Print) -> None:
        """Show what is paused, since when, by whom and why."""
        switches = list(self.read())
        if as_json:
            show(json.dumps(list(map(switch_json, switches)), indent=2))
            return
        for switch in switches:
            by = f" ({switch.by})" if switch.by else ""
            show(f"{show_instant(switch.since)}  {switch.key}  {switch.reason or '-'}{by}")
        show(f"{len(switches)} switches are off" if switches else "nothing is paused")

    def _write(self, key: SwitchKey, value: bytes | None) -> None:
        headers = (("by", self._order.by.encode()), ("reason", self._order.reason.encode()))
        record = OutRecord(self._topology.switches, write_key(key), value, headers)
        self._cluster.write([record])

    def _workers(self) -> str:
        count = self._cluster.members(self._topology.group)
        if not count:
            return "no worker runs, and each that starts heeds it before it sends anything"
        return f"{count} worker{'s heed' if count > 1 else ' heeds'} it within seconds"


def switch_json(switch: Switch) -> dict[str, object]:
    """Return a switch for programs."""
    return {
        "kind": switch.key.kind.value,
        "what": switch.key.what or None,
        "since": write_instant(switch.since),
        "by": switch.by or None,
        "reason": switch.reason or None,
    }


def _arguments(key: SwitchKey) -> str:
    return f"{key.kind} {key.what}" if key.what else key.kind.value
