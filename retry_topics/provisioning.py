"""What stands between the topics as they are and as they should be, and making it so.

`plan` is pure and says what `apply` would do. Nothing here ever deletes a topic, a partition or a
record: what cannot be mended without that is a conflict for a person.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from retry_topics.hazards import hazards
from retry_topics.topic_specs import desired, orphans_of, replication_for
from retry_topics.topology import Topology
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.topics import TopicSpec, TopicState

#: More than we ask for is as good: an operator may have raised it on purpose.
_AT_LEAST: Final = frozenset(
    {"retention.ms", "delete.retention.ms", "max.message.bytes", "min.insync.replicas"}
)
_UNLIMITED: Final = "-1"


@dataclass(frozen=True, slots=True)
class Create:
    """The topic does not exist."""

    spec: TopicSpec

    def __str__(self) -> str:
        spec = self.spec
        configs = ", ".join(f"{name}={value}" for name, value in sorted(spec.configs.items()))
        return f"{spec.partitions} partitions, {spec.replication} copies, {configs}"


@dataclass(frozen=True, slots=True)
class Grow:
    """The topic has fewer partitions. Growing it moves recipients to other lanes."""

    topic: str
    old: int
    new: int

    def __str__(self) -> str:
        return f"partitions {self.old} -> {self.new}: recipients move to other lanes"


class ConfigChange(NamedTuple):
    """One configuration that differs; `old` is None where the broker names none."""

    name: str
    old: str | None
    new: str


@dataclass(frozen=True, slots=True)
class Configure:
    """The topic's configuration differs."""

    topic: str
    changes: tuple[ConfigChange, ...]

    def __str__(self) -> str:
        return ", ".join(f"{name} {old} -> {new}" for name, old, new in self.changes)


@dataclass(frozen=True, slots=True)
class Conflict:
    """The topic differs in a way that only a person can mend."""

    topic: str
    reason: str

    def __str__(self) -> str:
        return self.reason


Action = Create | Grow | Configure | Conflict


@dataclass(frozen=True, slots=True)
class Plan:
    """What stands between the topics as they are and as they should be.

    `orphans` are the topics of tiers that are none any more: they are left alone, and nobody
    reads them.
    """

    actions: tuple[Action, ...]
    orphans: tuple[str, ...] = field(default=())

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """What nobody but a person can mend."""
        return tuple(action for action in self.actions if isinstance(action, Conflict))

    @property
    def grows(self) -> tuple[Grow, ...]:
        """What moves recipients to other lanes."""
        return tuple(action for action in self.actions if isinstance(action, Grow))


def topic_of(action: Action) -> str:
    """Return the name of the topic that an action is about."""
    return action.spec.name if isinstance(action, Create) else action.topic


def plan(
    specs: Sequence[TopicSpec], existing: Mapping[str, TopicState], orphans: Iterable[str] = ()
) -> Plan:
    """Compare what should be with what is."""
    actions: list[Action] = []
    for spec in specs:
        state = existing.get(spec.name)
        actions += [Create(spec)] if state is None else _differences(spec, state)
    return Plan(tuple(actions), tuple(sorted(orphans)))


def survey(topology: Topology, replication: int | None, admin: TopicAdmin) -> Plan:
    """Ask the cluster and plan.

    Raises:
        ValueError: the cluster has too few brokers for `replication`.
        KafkaFault: the cluster cannot be asked.
    """
    specs = desired(topology, replication_for(replication, admin.ping()))
    existing = admin.topics(spec.name for spec in specs)
    return plan(specs, existing, orphans_of(topology, admin.names()))


def apply(plan: Plan, admin: TopicAdmin, done: Callable[[Action], None]) -> None:
    """Carry out a plan; `done` is told of each step after it. Conflicts are left to a person.

    Safe to repeat after any fault: what is done already is not planned again.
    """
    creations = [action for action in plan.actions if isinstance(action, Create)]
    admin.create([action.spec for action in creations])
    for creation in creations:
        done(creation)
    for action in plan.actions:
        match action:
            case Grow(topic, _, new):
                admin.grow(topic, new)
                done(action)
            case Configure(topic, changes):
                admin.configure(topic, {change.name: change.new for change in changes})
                done(action)


def verify(topology: Topology, admin: TopicAdmin) -> list[str]:
    """Return why a process of this topology must not start, each with what mends it; [] is good.

    Raises:
        KafkaFault: the cluster cannot be asked.
    """
    admin.ping()
    names = [spec.name for spec in desired(topology, 1)]
    return unfit(topology, names, admin.topics(names))


def unfit(
    topology: Topology, names: Sequence[str], existing: Mapping[str, TopicState]
) -> list[str]:
    """Return what is wrong with the topics; the pure part of `verify`."""
    missing = [name for name in names if name not in existing]
    problems = [
        f"there is no topic {name}; create it: mailcascade topics apply" for name in missing
    ]
    problems += _unequal(topology, existing)
    return problems + [str(hazard) for hazard in hazards(topology, existing)]


def _unequal(topology: Topology, existing: Mapping[str, TopicState]) -> list[str]:
    lanes = {name: state for name, state in existing.items() if topology.has_lanes(name)}
    counts = {state.partitions for state in lanes.values()}
    if counts <= {topology.partitions}:
        return []
    wrong = ", ".join(
        f"{name} has {state.partitions}"
        for name, state in lanes.items()
        if state.partitions != topology.partitions
    )
    mend = (
        f"set MAILCASCADE_PARTITIONS={counts.pop()}"
        if len(counts) == 1
        else "see what is to do: mailcascade topics plan"
    )
    return [f"every topic must have {topology.partitions} partitions and {wrong}; {mend}"]


def _differences(spec: TopicSpec, state: TopicState) -> list[Action]:
    found: list[Action] = []
    if state.partitions > spec.partitions:
        reason = (
            f"has {state.partitions} partitions and cannot shrink to {spec.partitions}: "
            f"set MAILCASCADE_PARTITIONS={state.partitions}"
        )
        found.append(Conflict(spec.name, reason))
    elif state.partitions < spec.partitions:
        found.append(Grow(spec.name, state.partitions, spec.partitions))
    if state.replication < spec.replication:
        reason = (
            f"has {state.replication} copies of {spec.replication}: add them with "
            f"kafka-reassign-partitions, or set MAILCASCADE_REPLICATION_FACTOR={state.replication}"
        )
        found.append(Conflict(spec.name, reason))
    changes = tuple(
        ConfigChange(name, state.configs.get(name), new)
        for name, new in sorted(spec.configs.items())
        if not _satisfied(name, state.configs.get(name), new)
    )
    return [*found, Configure(spec.name, changes)] if changes else found


def _satisfied(name: str, old: str | None, new: str) -> bool:
    if old is None:
        return False
    if name == "cleanup.policy":
        return set(old.replace(" ", "").split(",")) == set(new.split(","))
    if name in _AT_LEAST:
        return (old == _UNLIMITED and name == "retention.ms") or int(old) >= int(new)
    return old == new
