"""Runs the projector: from settings to its end."""

import asyncio
import os
import secrets
import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from consumers.status.changes import ChangeReader
from consumers.status.projector import Projector, ProjectorParts
from consumers.status.reader import view_url
from consumers.status.sources import Sources
from consumers.status.store import ViewStore
from consumers.status.telemetry import Telemetry
from retry_topics.topology import topology_of
from runtime.clock import SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import client_properties
from runtime.kafka.follower import Follower
from runtime.kafka.registry import RegistryErrors, SchemaRegistry
from runtime.lifecycle import StopSignal
from runtime.logs import get_logger
from runtime.metric_catalogue import PROJECTOR_METRICS
from runtime.metrics import Metrics
from runtime.settings import Settings
from schemas.codec import EventCodec
from schemas.errors import RegistryUnavailable, UnknownSchema

_log = get_logger("projector")

#: How long one question to the cluster may take, in seconds: a stop waits for it.
_ASK_SECONDS: Final = 3.0
#: How long a stop waits for the transaction in hand, in seconds. One that is cut off never counted.
_STOP_SECONDS: Final = 6.0
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
    metrics = Metrics(PROJECTOR_METRICS)
    projector = Projector(_parts(settings, metrics), rebuild)
    with _metrics_shown(settings, metrics):
        asyncio.run(_work(projector))


def _parts(settings: Settings, metrics: Metrics) -> ProjectorParts:
    topology = topology_of(settings)
    properties = client_properties(settings, role="projector")
    codec = EventCodec(_resolver(settings))
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
        telemetry=Telemetry(metrics, topology),
        clock=SystemClock(),
        status_key=None if key is None else key.get_secret_value(),
    )


def _resolver(settings: Settings) -> SchemaRegistry | None:
    if settings.schema_registry_url is None:
        return None
    errors = RegistryErrors(unavailable=RegistryUnavailable, unknown=UnknownSchema)
    return SchemaRegistry(settings.schema_registry_url, errors)


def _metrics_shown(settings: Settings, metrics: Metrics) -> AbstractContextManager[object]:
    if settings.metrics_port is None:
        return nullcontext()
    return metrics.served(settings.http_host, settings.metrics_port)


async def _work(projector: Projector) -> None:
    """Run the projector's thread until a signal, or until it fails."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    failures: list[BaseException] = []

    def project() -> None:
        try:
            projector.run()
        except Exception as error:  # noqa: BLE001 - a thread's boundary: raised again below
            failures.append(error)
        loop.call_soon_threadsafe(ended.set)

    async with StopSignal() as stop:
        # A thread that hangs in a call must not hold back the end of the process.
        threading.Thread(target=project, name="projector", daemon=True).start()
        stopping = asyncio.ensure_future(stop.wait())
        ending = asyncio.ensure_future(ended.wait())
        await asyncio.wait((stopping, ending), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        projector.stop()
        _, hanging = await asyncio.wait((ending,), timeout=_STOP_SECONDS)
    if failures:
        raise failures[0]
    _log.info("projector.stopped", reason=stop.reason, cut_off=bool(hanging))
