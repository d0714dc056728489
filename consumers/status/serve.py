"""Runs the projector: from settings to its end."""

import asyncio
import os
import secrets
from contextlib import nullcontext
from typing import Final

from consumers.registry import registry_of
from consumers.status.changes import ChangeReader
from consumers.status.projector import Projector, ProjectorParts
from consumers.status.reader import view_url
from consumers.status.sources import Sources
from consumers.status.store import ViewStore
from consumers.status.telemetry import Telemetry
from retry_topics.topology import Topology, topology_of
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import client_properties
from runtime.kafka.follower import Follower
from runtime.lifecycle import run_in_thread
from runtime.logs import get_logger
from runtime.metric_catalogue import PROJECTOR_METRICS
from runtime.metrics import Metrics
from runtime.probes import Probes, started
from runtime.pulse import Pulse
from runtime.settings import Settings
from schemas.codec import EventCodec

_log = get_logger("projector")

#: How long one question to the cluster may take, in seconds: a stop waits for it.
_ASK_SECONDS: Final = 3.0
#: How long a stop waits for the transaction in hand, in seconds. One that is cut off never counted.
_STOP_SECONDS: Final = 6.0
#: Without a sign of life for this long it hangs, in seconds: longer than any transaction takes.
_PULSE_SECONDS: Final = 300.0
_TOKEN_BYTES: Final = 8


def run_projector(settings: Settings, rebuild: bool) -> None:
    """Project until SIGTERM or SIGINT; with `rebuild` empty the view first.

    Raises:
        ViewFault, KafkaFault: the projector cannot go on; the message says why.
        MetricsNotShown: the metrics' port cannot be bound.
        OSError: the state directory cannot be made.
    """
    if settings.database_url is None:
        settings.state_dir.mkdir(parents=True, exist_ok=True)
    clock, topology = SystemClock(), topology_of(settings)
    metrics = started(Metrics(PROJECTOR_METRICS), "projector", clock)
    pulse = Pulse(clock, _PULSE_SECONDS)
    telemetry = Telemetry(metrics, topology, clock)
    projector = Projector(_parts(settings, topology, telemetry, pulse), rebuild)
    shown = (
        nullcontext()
        if settings.metrics_port is None
        else (
            Probes(metrics, telemetry.readiness, pulse).served(
                settings.http_host, settings.metrics_port
            )
        )
    )
    with shown:
        asyncio.run(_work(projector))


def _parts(
    settings: Settings, topology: Topology, telemetry: Telemetry, pulse: Pulse
) -> ProjectorParts:
    properties = client_properties(settings, role="projector")
    codec = EventCodec(registry_of(settings))
    writer = secrets.token_hex(_TOKEN_BYTES)
    holder = f"{settings.instance_id}, process {os.getpid()}"
    key = settings.status_key
    return ProjectorParts(
        store=ViewStore(view_url(settings), writer, holder),
        sources=Sources(TopicAdmin(properties, _ASK_SECONDS), topology),
        make_follower=lambda spans: Follower(properties, spans),
        make_reader=lambda hash_key, source: ChangeReader(
            topology, codec, hash_key, source.topics[topology.dlt]
        ),
        telemetry=telemetry,
        pulse=pulse,
        clock=SystemClock(),
        status_key=None if key is None else key.get_secret_value(),
    )


async def _work(projector: Projector) -> None:
    """Run the projector's thread until a signal, or until it fails."""
    ended = await run_in_thread("projector", projector.run, projector.stop, _STOP_SECONDS)
    if ended.failure is not None:
        raise ended.failure
    _log.info("projector.stopped", reason=ended.reason, cut_off=ended.cut_off)
