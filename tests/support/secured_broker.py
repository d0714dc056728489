"""A Kafka with two doors: one in clear text for whoever sets it up, one for users with ACLs.

Users come in by SASL_SSL with SCRAM, and may do nothing but what their ACLs say.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# The package imports these names for its users without declaring that it exports them.
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from console.doctor.grants import Grant, Kind
from console.stack.kafka import JavaBroker, JavaKafka, Placement, jar_directory
from console.stack.ports import HOST, free_ports
from tests.support.certificates import Authority

_SECONDS: Final = 30.0
_ITERATIONS: Final = 4096
_KINDS: Final = {
    Kind.TOPIC: ResourceType.TOPIC,
    Kind.GROUP: ResourceType.GROUP,
    Kind.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
    Kind.CLUSTER: ResourceType.BROKER,
}


class SecuredBroker:
    """The running broker. `bootstrap` is the clear door, by which everything is allowed."""

    def __init__(self, bootstrap: str, secured: str, authority: Authority) -> None:
        self.bootstrap = bootstrap
        self.secured = secured
        self._authority = authority
        self._admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})

    def add_user(self, name: str) -> Mapping[str, str]:
        """Make a user and return the settings with which a process is that user."""
        password = f"the password of {name}"
        change = UserScramCredentialUpsertion(
            name, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS), password.encode()
        )
        for future in self._admin.alter_user_scram_credentials([change]).values():
            future.result(_SECONDS)
        properties = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": name,
            "sasl.password": password,
            "ssl.ca.location": str(self._authority.file),
        }
        return {
            "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": self.secured,
            "MAILCASCADE_KAFKA_PROPERTIES": json.dumps(properties),
        }

    def allow(self, user: str, grants: Sequence[Grant]) -> None:
        """Give a user exactly these ACLs beside those that it has."""
        for future in self._admin.create_acls(_bindings(user, grants)).values():
            future.result(_SECONDS)

    def forbid(self, user: str, grants: Sequence[Grant]) -> None:
        """Take these ACLs from a user."""
        filters = [
            AclBindingFilter(
                binding.restype,
                binding.name,
                binding.resource_pattern_type,
                binding.principal,
                binding.host,
                binding.operation,
                binding.permission_type,
            )
            for binding in _bindings(user, grants)
        ]
        for future in self._admin.delete_acls(filters).values():
            assert future.result(_SECONDS)


def _bindings(user: str, grants: Sequence[Grant]) -> list[AclBinding]:
    return [
        AclBinding(
            _KINDS[grant.kind],
            grant.name,
            ResourcePatternType.PREFIXED if grant.prefixed else ResourcePatternType.LITERAL,
            f"User:{user}",
            "*",
            _operation(operation),
            AclPermissionType.ALLOW,
        )
        for grant in grants
        for operation in grant.operations
    ]


def _operation(name: str) -> AclOperation:
    """Return Kafka's operation for a name such as DescribeConfigs."""
    return AclOperation[
        "".join(f"_{letter}" if letter.isupper() else letter for letter in name).strip("_").upper()
    ]


@contextmanager
def running_secured_broker(
    java: str, environ: Mapping[str, str], directory: Path
) -> Iterator[SecuredBroker]:
    """Start one, and stop it in the end."""
    directory.mkdir(parents=True)
    authority = Authority(directory)
    clear, secured = free_ports(2)
    placement = Placement(directory / "kafka", clear)
    kafka = JavaKafka(java, jar_directory(environ))
    certificate = authority.issue(HOST).path
    with JavaBroker(kafka, placement, _properties(clear, secured, certificate)) as broker:
        yield SecuredBroker(broker.bootstrap, f"{HOST}:{secured}", authority)


def _properties(clear: int, secured: int, certificate: Path) -> dict[str, str]:
    (controller,) = free_ports(1)
    doors = f"PLAINTEXT://{HOST}:{clear},SASL_SSL://{HOST}:{secured}"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    return {
        "controller.quorum.voters": f"1@{HOST}:{controller}",
        "listeners": f"{doors},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": doors,
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT"
        ),
        "inter.broker.listener.name": "PLAINTEXT",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
        "listener.name.sasl_ssl.ssl.keystore.type": "PEM",
        "listener.name.sasl_ssl.ssl.keystore.location": str(certificate),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        # Whoever comes through the clear door, the broker's own connections among them.
        "super.users": "User:ANONYMOUS",
    }
