"""Whether our own credentials may do what a part of mailcascade does, asked of Kafka itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from console.doctor.finding import Answer, Finding, Findings, Part, Unasked
from console.doctor.grants import Grant, Kind, Role, grants_of
from console.doctor.kafka_facts import ASK_SECONDS, asked
from retry_topics.topic_specs import desired
from retry_topics.topology import Topology
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties
from runtime.kafka.errors import KafkaDenied
from runtime.kafka.inspection import Inspector, Operations


@dataclass(frozen=True, slots=True)
class Allowed:
    """What we may do: with the topics that there are, the workers' group, the cluster.

    `transactions` are those prefixes of transactional ids that were tried, and whether they may
    be used.
    """

    topics: Mapping[str, Operations]
    group: Operations
    cluster: Operations
    transactions: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Whose:
    """Whose access is examined: a role's, or None for whichever these credentials are of."""

    topology: Topology
    role: Role | None
    operators: bool

    def grants(self, role: Role) -> tuple[Grant, ...]:
        """Return what a role needs here."""
        return grants_of(role, self.topology, operators=self.operators)


def ask_allowed(properties: Properties, whose: Whose) -> Answer[Allowed]:
    """Ask Kafka what these credentials may do.

    Transactional ids cannot be asked for. They are tried where a role is named, and only those that
    nobody works with: whoever takes an id over fences whoever has it.
    """
    topology = whose.topology
    names = [spec.name for spec in desired(topology, 1)]

    def ask() -> Allowed:
        TopicAdmin(properties, ASK_SECONDS).ping(ASK_SECONDS)
        inspector = Inspector(properties, ASK_SECONDS)
        return Allowed(
            inspector.allowed_on_topics(names),
            inspector.allowed_on_group(topology.group),
            inspector.allowed_on_cluster(),
            {
                grant.name: _may_transact(inspector, grant)
                for grant in (() if whose.role is None else whose.grants(whose.role))
                if grant.kind is Kind.TRANSACTIONAL_ID and grant.prefixed
            },
        )

    return asked(ask)


def check_access(allowed: Answer[Allowed], whose: Whose) -> list[Finding]:
    """Return whether a role has what it needs or, where none is named, which roles have."""
    findings = Findings(Part.ACCESS)
    if isinstance(allowed, Unasked):
        findings.unknown("acls", allowed.reason)
        return findings.all
    lacking = {role: missing(whose.grants(role), allowed) for role in Role}
    if whose.role is not None:
        _tell(findings, whose.role, lacking[whose.role])
        return findings.all
    able = [role for role in Role if not lacking[role]]
    if able:
        findings.ok("acls", f"these credentials suffice for: {', '.join(able)}")
        return findings.all
    _tell(findings, min(Role, key=lambda role: len(lacking[role])), lacking)
    return findings.all


def missing(grants: Sequence[Grant], allowed: Allowed) -> list[str]:
    """Return the needed ACLs that are missing, as far as they can be asked for."""
    found = []
    for grant in grants:
        for resource, may in _resources(grant, allowed).items():
            found += [
                f"{operation} on the {grant.kind} {resource}"
                for operation in grant.operations
                if operation not in may
            ]
    return found


def _resources(grant: Grant, allowed: Allowed) -> Mapping[str, Operations]:
    """Return the resources that a grant is about and that could be asked for."""
    match grant.kind:
        case Kind.TOPIC:
            topics = allowed.topics.items()
            return {name: may for name, may in topics if grant.covers(Kind.TOPIC, name)}
        case Kind.GROUP:
            return {grant.name: allowed.group}
        case Kind.CLUSTER:
            return {grant.name: allowed.cluster}
        case Kind.TRANSACTIONAL_ID:
            if grant.name not in allowed.transactions:
                return {}
            may = allowed.transactions[grant.name]
            return {f"{grant.name}*": frozenset(grant.operations if may else ())}


def _tell(
    findings: Findings, role: Role, lacking: Sequence[str] | Mapping[Role, Sequence[str]]
) -> None:
    mend = f"mailcascade doctor --acls --role {role}"
    if isinstance(lacking, Mapping):
        which = "; ".join(lacking[role])
        findings.fail("acls", f"these credentials suffice for no role; {role} lacks {which}", mend)
    elif lacking:
        findings.fail("acls", f"{role} lacks {'; '.join(lacking)}", mend)
    else:
        findings.ok("acls", f"these credentials may do all that {role} does")


def _may_transact(inspector: Inspector, grant: Grant) -> bool:
    try:
        inspector.try_transactions(f"{grant.name}doctor")
    except KafkaDenied:
        return False
    return True
