"""A real single-node Kafka for development and tests, whatever the machine has to run one."""

from collections.abc import Callable, Mapping

from console.stack.kafka.broker import BrokerFailed, KafkaBroker, Placement
from console.stack.kafka.container import ContainerBroker, docker_trouble
from console.stack.kafka.external import ExternalBroker
from console.stack.kafka.jars import (
    KAFKA_VERSION,
    JarsUnavailable,
    fetch_jars,
    have_jars,
    jar_directory,
)
from console.stack.kafka.java import JavaBroker, JavaKafka
from console.stack.rungs import Kind, NoBroker, Probes, Rung, choose_rung, find_java, has_maven

__all__ = [
    "KAFKA_VERSION",
    "BrokerFailed",
    "JarsUnavailable",
    "JavaBroker",
    "JavaKafka",
    "KafkaBroker",
    "Kind",
    "NoBroker",
    "Placement",
    "Rung",
    "choose_rung",
    "jar_directory",
    "machine_probes",
    "new_broker",
    "prepare",
    "start_broker",
]


def machine_probes(environ: Mapping[str, str]) -> Probes:
    """Return probes that look at this machine."""
    return Probes(
        java=lambda: find_java(environ),
        maven=lambda: has_maven(environ),
        jars=lambda: have_jars(jar_directory(environ)),
        docker=docker_trouble,
    )


def prepare(rung: Rung, environ: Mapping[str, str], announce: Callable[[str], None]) -> None:
    """Fetch what the rung needs before a broker can start; raises `JarsUnavailable`."""
    if rung.kind is Kind.JAVA:
        fetch_jars(jar_directory(environ), announce)


def new_broker(rung: Rung, placement: Placement, environ: Mapping[str, str]) -> KafkaBroker:
    """Return a broker of the rung that has not been started; see `prepare`."""
    match rung.kind:
        case Kind.EXTERNAL:
            return ExternalBroker(rung.where)
        case Kind.JAVA:
            return JavaBroker(JavaKafka(rung.where, jar_directory(environ)), placement)
        case Kind.DOCKER:
            return ContainerBroker(placement)


def start_broker(rung: Rung, placement: Placement, environ: Mapping[str, str]) -> KafkaBroker:
    """Return a broker that answers; raises `BrokerFailed`."""
    broker = new_broker(rung, placement, environ)
    broker.start()
    return broker
