"""The settings of the development broker: one node, little memory, and quick to notice a death."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from console.stack.ports import HOST

# Coordinator topics are small and unreplicated, transactions of dead producers end soon, and both
# group protocols notice a dead member after 6 s (the server's default for `consumer` is 45 s).
# A broker that crashed may register again when its old session has ended.
_COMMON: Final = {
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "broker.session.timeout.ms": "4000",
    "broker.heartbeat.interval.ms": "500",
    "transaction.max.timeout.ms": "60000",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.session.timeout.ms": "6000",
    "group.consumer.min.session.timeout.ms": "6000",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "1000",
}

# Only for a broker whose memory and disk are this machine's own.
_SMALL: Final = {
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.index.size.max.bytes": "1048576",
    "file.delete.delay.ms": "1000",
}

LOG4J2: Final = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""


@dataclass(frozen=True, slots=True)
class Listeners:
    """The loopback ports of one broker."""

    client: int
    controller: int

    @property
    def bootstrap(self) -> str:
        """What clients connect to."""
        return f"{HOST}:{self.client}"


def server_properties(listeners: Listeners, data: Path) -> dict[str, str]:
    """Return the whole configuration of a broker that is its own controller.

    The voters are named here and not in the data directory, so the directory can be used again
    with other ports.
    """
    controller = f"{HOST}:{listeners.controller}"
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{listeners.bootstrap},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{listeners.bootstrap}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        **_COMMON,
        **_SMALL,
    }


def container_environment(listeners: Listeners, inner_port: int) -> dict[str, str]:
    """Return the same for the official image, which takes properties as variables.

    Clients outside reach the container's `inner_port` through the published client port.
    """
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": "1@localhost:9093",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://:{inner_port},CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://{listeners.bootstrap}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        **_COMMON,
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}


def render(properties: dict[str, str]) -> str:
    """Return the text of a Java properties file."""
    return "".join(f"{name}={value}\n" for name, value in properties.items())
