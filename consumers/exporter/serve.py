"""Runs the exporter: from settings to its end."""

import asyncio
from typing import Final

from consumers.exporter.exporter import Exporter
from consumers.exporter.following import Counts
from consumers.exporter.survey import Survey, SurveyParts
from consumers.exporter.telemetry import Telemetry
from consumers.registry import registry_of
from retry_topics.dlt.letter import LetterReader
from retry_topics.topology import Topology, topology_of
from runtime.clock import Clock, SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties, client_properties
from runtime.kafka.follower import Follower
from runtime.kafka.groups import GroupWatcher
from runtime.kafka.heads import HeadReader
from runtime.kafka.members import Members
from runtime.lifecycle import run_in_thread
from runtime.logs import get_logger
from runtime.metric_catalogue import EXPORTER_METRICS
from runtime.metrics import Metrics
from runtime.probes import Probes, started
from runtime.pulse import Pulse
from runtime.settings import Settings
from schemas.codec import EventCodec

_log = get_logger("exporter")

#: How long one question to the cluster may take, in seconds: readiness and a stop wait for it.
_ASK_SECONDS: Final = 3.0
#: How long a stop waits for the question in hand, in seconds. There is nothing to lose.
_STOP_SECONDS: Final = 5.0
#: Without a sign of life for this long, beside the time between two looks, it hangs. Seconds.
_PULSE_SECONDS: Final = 120.0


def run_exporter(settings: Settings, port: int) -> None:
    """Look at the workers' lag until SIGTERM or SIGINT, and show it on `port`.

    Raises:
        MetricsNotShown: the port cannot be bound.
    """
    clock, topology = SystemClock(), topology_of(settings)
    properties = client_properties(settings, role="exporter")
    metrics = started(Metrics(EXPORTER_METRICS), "exporter", clock)
    codec = EventCodec(registry_of(settings))
    cluster = TopicAdmin(properties, _ASK_SECONDS)
    pulse = Pulse(clock, settings.exporter_seconds + _PULSE_SECONDS)
    exporter = Exporter(
        Survey(_survey_parts(properties, topology, cluster, codec, clock)),
        Counts(topology, cluster, lambda spans: Follower(properties, spans), LetterReader(codec)),
        Telemetry(metrics, topology),
        clock,
        settings.exporter_seconds,
        pulse,
    )
    with Probes(metrics, exporter.readiness, pulse).served(settings.http_host, port) as bound:
        _log.info("exporter.listening", host=settings.http_host, port=bound)
        asyncio.run(_work(exporter))


def _survey_parts(
    properties: Properties, topology: Topology, cluster: TopicAdmin, codec: EventCodec, clock: Clock
) -> SurveyParts:
    return SurveyParts(
        topology=topology,
        cluster=cluster,
        group=GroupWatcher(properties, topology.group, _ASK_SECONDS),
        members=Members(properties, topology.group, _ASK_SECONDS),
        heads=HeadReader(properties, clock),
        codec=codec,
        clock=clock,
    )


async def _work(exporter: Exporter) -> None:
    """Run the exporter's thread until a signal, or until it fails."""
    ended = await run_in_thread("exporter", exporter.run, exporter.stop, _STOP_SECONDS)
    if ended.failure is not None:
        raise ended.failure
    _log.info("exporter.stopped", reason=ended.reason, cut_off=ended.cut_off)
