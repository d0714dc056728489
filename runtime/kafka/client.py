"""What every Kafka client of ours has in common: where it connects, its name, and its logs."""

import logging
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaError

from runtime.log_repeats import RepeatsFilter
from runtime.settings import Settings

#: What configures a client: librdkafka's property names, and a few Python callables beside them.
Properties = dict[str, str | int | float | bool]

#: The standard library's logger that librdkafka's own lines go to.
CLIENT_LOGGER: Final = "librdkafka"


def client_properties(settings: Settings, *, role: str) -> Properties:
    """Return the properties that all clients of one process share.

    The operator's own properties come last, so they win; those that correctness depends on were
    refused with the settings (see `runtime.kafka.properties`).
    """
    return {
        "bootstrap.servers": settings.kafka_bootstrap_servers,
        "client.id": f"mailcascade-{role}-{settings.instance_id}",
        # A partition that lost its leader for a moment is looked for again before its records are
        # given up, with the whole transaction.
        "topic.metadata.refresh.interval.ms": 5_000,
        # Rebootstrapping, when no broker answers for a moment, forgets brokers that a transaction
        # still waits for: send_offsets_to_transaction then never returns (librdkafka 2.16.0).
        "metadata.recovery.strategy": "none",
        "reconnect.backoff.ms": 50,
        "reconnect.backoff.max.ms": 2_000,
        "socket.keepalive.enable": True,
        "log_level": _SYSLOG_LEVELS[settings.log_level],
        **settings.kafka_properties,
    }


def client_logger() -> logging.Logger:
    """Return the logger to hand to a client as `logger=`; its lines join our own.

    What it repeats while a broker is away is held back.
    """
    logger = logging.getLogger(CLIENT_LOGGER)
    if not any(isinstance(held, RepeatsFilter) for held in logger.filters):
        logger.addFilter(RepeatsFilter())
    return logger


def error_hook(on_fault: Callable[[str, bool], None]) -> Callable[[KafkaError], None]:
    """Return an `error_cb` that reports a client's faults as (name, fatal).

    Called from the thread that polls the client. What is not fatal heals by itself; it tells
    that brokers are away before a time-out does.
    """

    def hook(error: KafkaError) -> None:
        on_fault(error.name(), error.fatal())

    return hook


_SYSLOG_LEVELS: Final = {"debug": 7, "info": 5, "warning": 4, "error": 3}
