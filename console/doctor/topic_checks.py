"""What is to be said of the topics: what loses or holds mails, and what merely differs."""

from collections.abc import Mapping, Sequence
from typing import Final

from console.doctor.finding import Findings
from retry_topics.hazards import hazards
from retry_topics.provisioning import Configure, Conflict, plan
from retry_topics.topic_specs import DAY_MS, desired, orphans_of, replication_for
from retry_topics.topology import Topology
from runtime.kafka.topics import TopicState

_APPLY: Final = "mailcascade topics apply"
_PLAN: Final = "mailcascade topics plan"
_UNLIMITED: Final = "-1"

Topics = Mapping[str, TopicState]


def check_topics(findings: Findings, topology: Topology, topics: Topics) -> None:
    """Check that every topic is there, and how it is made."""
    _check_there(findings, topology, topics)
    dangers = hazards(topology, topics)
    for hazard in dangers:
        findings.fail("topic configuration", f"{hazard.topic} {hazard.what}", hazard.mend)
    differing = _check_differences(findings, topology, topics, {h.topic for h in dangers})
    _check_limits(findings, topology, topics)
    if topics and not dangers and not differing:
        findings.ok("topic configuration", _configuration(topology, topics))


def check_copies(findings: Findings, topics: Topics, nodes: int, asked: int | None) -> None:
    """Check that mails outlive the loss of a broker, and that all copies are there now."""
    before = len(findings.all)
    for name, state in topics.items():
        least = int(state.configs.get("min.insync.replicas", "1"))
        if state.in_sync < min(least, state.replication):
            findings.fail(
                "copies",
                f"{name} has a partition with {state.in_sync} copies in sync and needs {least}: "
                "nothing can be written to it",
                f"bring the missing brokers back; kafka-topics.sh --describe --topic {name}",
            )
        elif state.in_sync < state.replication:
            findings.warn(
                "copies",
                f"{name} has a partition with {state.in_sync} of {state.replication} copies in "
                "sync",
                f"see which brokers lag: kafka-topics.sh --describe --topic {name}",
            )
    single = [name for name, state in topics.items() if state.replication == 1]
    if single:
        findings.warn(
            "copies",
            f"{len(single)} topics have one copy: their mails are lost with the disk of a broker",
            "add copies with kafka-reassign-partitions.sh"
            if nodes > 1
            else "run three brokers before this is production",
        )
    try:
        wanted = replication_for(asked, nodes)
    except ValueError as error:
        findings.fail("copies", str(error), "MAILCASCADE_REPLICATION_FACTOR=auto")
        return
    fewer = [name for name, state in topics.items() if 1 < state.replication < wanted]
    if fewer:
        findings.warn(
            "copies",
            f"{', '.join(fewer)}: fewer than {wanted} copies",
            "add copies with kafka-reassign-partitions.sh",
        )
    if topics and len(findings.all) == before:
        findings.ok("copies", f"every topic has {wanted} copies or more, all in sync")


def check_orphans(
    findings: Findings, topology: Topology, names: frozenset[str], stranded: Sequence[str]
) -> None:
    """Check that no mail is left in the topic of a former tier; `stranded` tells which hold some.

    An empty one may stay; it is told, so that nobody wonders.
    """
    for told in stranded:
        what, _, mend = told.partition("; ")
        findings.fail("former tiers", what, mend)
    if not stranded and (orphans := orphans_of(topology, names)):
        findings.ok("former tiers", f"{', '.join(orphans)}: empty, and nobody reads them any more")


def _check_there(findings: Findings, topology: Topology, topics: Topics) -> None:
    wanted = [spec.name for spec in desired(topology, 1)]
    missing = [name for name in wanted if name not in topics]
    if missing:
        which = "all of the topics are" if len(missing) == len(wanted) else ", ".join(missing)
        what = f"{which} missing" if len(missing) == len(wanted) else f"missing: {which}"
        findings.fail("topics", what, f"{_APPLY} (if MAILCASCADE_TOPIC_PREFIX is right)")
    elif topics:
        findings.ok("topics", f"all {len(wanted)} are there")
    lanes = {name: state for name, state in topics.items() if topology.has_lanes(name)}
    counts = {state.partitions for state in lanes.values()}
    if not counts:
        return
    if counts == {topology.partitions}:
        findings.ok("partitions", f"{topology.partitions} in every topic of lanes")
        return
    wrong = ", ".join(
        f"{name} has {state.partitions}"
        for name, state in lanes.items()
        if state.partitions != topology.partitions
    )
    mend = (
        f"MAILCASCADE_PARTITIONS={counts.pop()}" if len(counts) == 1 else f"see what to do: {_PLAN}"
    )
    findings.fail("partitions", f"must be {topology.partitions} everywhere; {wrong}", mend)


def _check_differences(
    findings: Findings, topology: Topology, topics: Topics, dangerous: set[str]
) -> bool:
    """Tell what `topics apply` would change; a topic that is a hazard was told already."""
    copies = {name: state.replication for name, state in topics.items()}
    found = False
    for spec in desired(topology, min(copies.values(), default=1)):
        if spec.name not in topics or spec.name in dangerous:
            continue
        for action in plan([spec], topics).actions:
            if isinstance(action, Configure):
                found = True
                findings.warn("topic configuration", f"{spec.name}: {action}", _APPLY)
            elif isinstance(action, Conflict) and "copies" in action.reason:
                found = True
    return found


def _check_limits(findings: Findings, topology: Topology, topics: Topics) -> None:
    """Check what an operator or a broker's default may have set beside what we ask for."""
    for name in (*topology.consumed, topology.dlt, topology.ledger):
        state = topics.get(name)
        if state is None:
            continue
        limit = state.configs.get("retention.bytes", _UNLIMITED)
        if limit != _UNLIMITED:
            findings.warn(
                "topic configuration",
                f"{name} has retention.bytes={limit}: with more than that waiting, mails that were "
                "not sent are deleted",
                f"kafka-configs.sh --alter --entity-type topics --entity-name {name} "
                "--delete-config retention.bytes",
            )
        if state.configs.get("unclean.leader.election.enable") == "true":
            findings.warn(
                "topic configuration",
                f"{name} has unclean.leader.election.enable=true: a broker that lags may become "
                "the leader, and what it lacks is lost",
                f"kafka-configs.sh --alter --entity-type topics --entity-name {name} "
                "--add-config unclean.leader.election.enable=false",
            )


def _configuration(topology: Topology, topics: Topics) -> str:
    kept = min(
        int(topics[name].configs.get("retention.ms", _UNLIMITED))
        for name in topology.consumed
        if name in topics
    )
    days = "without end" if kept < 0 else f"for {kept / DAY_MS:g} days or longer"
    return f"mails are kept {days}, with room for headers, and each has its own record"
