"""The ACLs that each part needs, as commands of Kafka's own tool and as JSON."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from console.doctor.grants import Grant, Kind, Role


@dataclass(frozen=True, slots=True)
class Need:
    """What one role needs, and the principal that is to have it."""

    role: Role
    principal: str
    grants: Sequence[Grant]


def principal_of(role: Role) -> str:
    """Return the principal that is meant where none is named."""
    return f"User:mailcascade-{role}"


def acl_lines(needs: Sequence[Need], bootstrap: str) -> list[str]:
    """Return the commands that give each role its ACLs, and nothing more."""
    lines = []
    for need in needs:
        lines.append(f"# {need.role}")
        lines += [_command(need.principal, grant, bootstrap) for grant in need.grants]
    return lines


def acl_json(needs: Sequence[Need]) -> str:
    """Return the same for a program."""
    rows = [
        {
            "role": need.role,
            "principal": need.principal,
            "resource": grant.kind,
            "name": grant.name,
            "pattern": "prefixed" if grant.prefixed else "literal",
            "operations": list(grant.operations),
        }
        for need in needs
        for grant in need.grants
    ]
    return json.dumps(rows, indent=2)


def _command(principal: str, grant: Grant, bootstrap: str) -> str:
    words = ["kafka-acls.sh", "--bootstrap-server", bootstrap, "--add"]
    words += ["--allow-principal", principal]
    for operation in grant.operations:
        words += ["--operation", operation]
    if grant.kind is Kind.CLUSTER:
        return shlex.join([*words, "--cluster"])
    if grant.prefixed:
        words += ["--resource-pattern-type", "prefixed"]
    return shlex.join([*words, f"--{grant.kind}", grant.name])
