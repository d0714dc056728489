"""What about a topic, as it is, would lose mails, hold them for ever or send them wrongly.

A worker does not start on one of these. What merely differs from what `topics plan` would have is
no hazard.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from retry_topics.topic_specs import DAY_MS
from retry_topics.topology import Topology
from runtime.kafka.topics import TopicState

#: So much longer than its delay a record must be kept: workers may be down for that long.
LEAST_BACKLOG_MS: Final = DAY_MS
#: Room for the headers that a record gains before it goes to the next topic: the history, which
#: is bounded (`retry_topics.headers`), and the rest of the story.
HEADER_BYTES: Final = 16_384
_APPLY: Final = "mailcascade topics apply"


@dataclass(frozen=True, slots=True)
class Hazard:
    """What is wrong with a topic, what comes of it, and the command that mends it."""

    topic: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.topic} {self.what}; mend it: {self.mend}"


def hazards(topology: Topology, existing: Mapping[str, TopicState]) -> list[Hazard]:
    """Return what is wrong with those topics of the topology that exist; [] is good."""
    found: list[Hazard] = []
    kept = (topology.dlt_journal, topology.ledger, topology.suppressions, topology.switches)
    for name in (*_passed(topology), *kept):
        state = existing.get(name)
        if state is not None:
            found += _of_topic(topology, state)
    return [*found, *_too_small(topology, existing)]


def _passed(topology: Topology) -> tuple[str, ...]:
    """Return the topics through which records pass, each of which counts."""
    return (*topology.consumed, topology.dlt)


def _of_topic(topology: Topology, state: TopicState) -> Iterator[Hazard]:
    policies = set(state.configs.get("cleanup.policy", "delete").replace(" ", "").split(","))
    if state.name in _passed(topology) and "compact" in policies:
        what = (
            f"has cleanup.policy={','.join(sorted(policies))}, which keeps one record of each "
            "recipient and loses the others"
        )
        yield Hazard(state.name, what, _APPLY)
    forgotten = {
        topology.suppressions: "suppressions: the recipients would get mail again",
        topology.switches: "pauses: mails that are to wait would be sent",
    }
    if state.name in forgotten and "delete" in policies:
        policy = ",".join(sorted(policies))
        what = f"has cleanup.policy={policy}, which forgets {forgotten[state.name]}"
        yield Hazard(state.name, what, _APPLY)
    yield from _kept_too_shortly(topology, state)
    if state.replication < (needed := int(state.configs.get("min.insync.replicas", "1"))):
        what = (
            f"has min.insync.replicas={needed} and only {state.replication} copies, so that "
            "nothing can be written to it"
        )
        yield Hazard(state.name, what, _set_config(state.name, "min.insync.replicas", "1"))
    if topology.tier_of(state.name) and _appends(state):
        what = (
            "has message.timestamp.type=LogAppendTime: the brokers' clocks would decide when its "
            "mails are due"
        )
        yield Hazard(state.name, what, _APPLY)


def _kept_too_shortly(topology: Topology, state: TopicState) -> Iterator[Hazard]:
    policies = state.configs.get("cleanup.policy", "delete")
    kept = int(state.configs.get("retention.ms", "-1"))
    if kept < 0 or "delete" not in policies:
        return
    tier = topology.tier_of(state.name)
    least = LEAST_BACKLOG_MS + (0 if tier is None else tier.delay_ms)
    comes = "would be deleted before they are sent"
    if state.name == topology.ledger:
        # Whatever may still be read again must be known as sent.
        least = max(tier.delay_ms for tier in topology.tiers) + LEAST_BACKLOG_MS
        comes = "would be forgotten, and sent again when they are read again"
    elif state.name == topology.dlt:
        comes = "would be deleted before anybody has looked at them"
    elif state.name == topology.dlt_journal:
        comes = "that were replayed would be forgotten, and could be replayed again"
    elif state.name not in topology.consumed:
        return
    if kept < least:
        what = f"has retention.ms={kept} and needs {least} at least: mails {comes}"
        yield Hazard(state.name, what, _APPLY)


def _too_small(topology: Topology, existing: Mapping[str, TopicState]) -> Iterator[Hazard]:
    sizes = {
        name: int(state.configs["max.message.bytes"])
        for name, state in existing.items()
        if "max.message.bytes" in state.configs
    }
    if topology.main not in sizes:
        return
    largest = sizes[topology.main]
    tiers = [name for name in topology.retries if name in sizes]
    for name in tiers:
        yield from _smaller(name, sizes[name], largest)
    if topology.dlt in sizes:
        before = max([largest, *(sizes[name] for name in tiers)])
        yield from _smaller(topology.dlt, sizes[topology.dlt], before)


def _smaller(name: str, size: int, before: int) -> Iterator[Hazard]:
    if size < before + HEADER_BYTES:
        what = (
            f"has max.message.bytes={size} and needs {before + HEADER_BYTES} at least: a record "
            "grows by headers on its way, and one that does not fit holds its lane for ever"
        )
        yield Hazard(name, what, _set_config(name, "max.message.bytes", str(before + HEADER_BYTES)))


def _appends(state: TopicState) -> bool:
    return state.configs.get("message.timestamp.type") == "LogAppendTime"


def _set_config(topic: str, name: str, value: str) -> str:
    return (
        f"kafka-configs.sh --alter --entity-type topics --entity-name {topic} "
        f"--add-config {name}={value}"
    )
