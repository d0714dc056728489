"""Which librdkafka properties an operator may set, and which correctness depends on."""

from collections.abc import Mapping
from typing import Final

_OWN_SETTING: Final = {
    "bootstrap.servers": "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS",
    "metadata.broker.list": "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS",
    "group.protocol": "MAILCASCADE_KAFKA_GROUP_PROTOCOL",
}

#: Setting one of these would break a promise: exactly once, order in a lane, nothing lost.
_OWNED: Final = frozenset(
    {
        "acks",
        "auto.commit.enable",
        "auto.offset.reset",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "group.id",
        "group.instance.id",
        "group.remote.assignor",
        "isolation.level",
        "partition.assignment.strategy",
        "partitioner",
        "request.required.acks",
        "transactional.id",
    }
)

_SECRET_PARTS: Final = ("password", "secret", ".key.pem", "sasl.jaas", "oauthbearer.config")


class PropertyRefused(ValueError):
    """A librdkafka property was set that mailcascade decides itself."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.name = name


def refuse_owned(properties: Mapping[str, str]) -> None:
    """Check that the operator's properties leave alone what correctness depends on.

    Raises:
        PropertyRefused: for the first property that may not be set here.
    """
    for name in properties:
        if name in _OWN_SETTING:
            raise PropertyRefused(name, f"has a setting of its own: {_OWN_SETTING[name]}")
        if name in _OWNED:
            raise PropertyRefused(name, "cannot be set: what mailcascade promises depends on it")


def is_secret(name: str) -> bool:
    """Tell whether a property's value may not be shown."""
    return any(part in name for part in _SECRET_PARTS)
