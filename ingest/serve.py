"""Runs the HTTP API as a process: from settings to an exit code."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import uvicorn
import uvloop
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential

from consumers.status.reader import StatusReader, view_url
from ingest.app import Parts, build_app
from ingest.dlt_office import Office
from ingest.dlt_routes import Operators
from ingest.door import Door
from ingest.keys import Authenticator, KeyFile, KeyFileError, OneTenant
from ingest.status_routes import Pipeline
from ingest.status_view import StatusView
from retry_topics.dlt.desk import Desk, Operator
from retry_topics.dlt.opening import open_desk
from retry_topics.dlt.operators import is_gone, new_job_id, process_name
from retry_topics.topic_specs import MAIN_MESSAGE_BYTES
from retry_topics.topology import topology_of
from runtime.clock import Clock, Deadline, SystemClock
from runtime.garbage import spare_collections
from runtime.kafka.client import client_properties
from runtime.kafka.errors import KafkaRefused
from runtime.kafka.publisher import Publisher
from runtime.kafka.registry import RegistryErrors, SchemaRegistry
from runtime.lifecycle import StopSignal
from runtime.logs import get_logger
from runtime.metric_catalogue import INGEST_METRICS
from runtime.metrics import Metrics
from runtime.probes import started
from runtime.setting_sources import SettingProblem
from runtime.setting_types import is_loopback
from runtime.settings import Settings, SettingsError
from runtime.tracing import Tracer, ended, start_tracer
from schemas.archive import current_schema
from schemas.body import EventFields
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.codec import EventCodec, encode
from schemas.errors import RegistryUnavailable, UnknownSchema
from schemas.identity import random_event_ids

_log = get_logger("ingest")

_BACKLOG: Final = 2048
#: What is kept of the time to drain for records that are on their way to Kafka.
_FLUSH_SECONDS: Final = 2.0
#: How long a request's body may take to come.
_BODY_SECONDS: Final = 30.0
#: What the brokers count of a record is its batch: a head of 61 bytes around it.
MAX_RECORD_BYTES: Final = MAIN_MESSAGE_BYTES - 61
#: A registry that starts beside us gets some 15 seconds.
_REGISTRY_ATTEMPTS: Final = 6
_REGISTRY_WAIT: Final = wait_exponential(multiplier=0.5, max=8.0)
_EXIT_OK: Final = 0
_EXIT_BROKEN: Final = 1


class _Server(uvicorn.Server):
    """A server that leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, then finish what was accepted; return the exit code.

    Raises:
        SettingsError: the address cannot be bound or must not be, the keys file is wrong, or the
            client library refuses a property.
        BrokenCatalogue: the templates cannot be used.
        TracingUnavailable: traces are asked for and cannot be made.
        RegistryUnavailable, SchemaRefused: the schema cannot be registered.
    """
    clock = SystemClock()
    keys = authenticator(settings, clock)
    catalogue = Catalogue.load(settings.templates_dir or DEFAULT_DIRECTORY)
    properties = client_properties(settings, role="ingest")
    publisher = Publisher({"message.max.bytes": MAX_RECORD_BYTES, **properties}, clock)
    tracer = start_tracer(settings, "ingest")
    topology = topology_of(settings)
    view = StatusView(status_reader(settings), clock)
    operators = operators_of(settings, catalogue, clock, tracer)
    parts = Parts(
        topic=topology.main,
        publisher=publisher,
        catalogue=catalogue,
        clock=clock,
        metrics=started(Metrics(INGEST_METRICS), "ingest", clock),
        keys=keys,
        encode=encoder(settings, time.sleep),
        ids=random_event_ids(os.urandom),
        body_seconds=_BODY_SECONDS,
        view=view,
        pipeline=Pipeline(topology.control, len(topology.tiers)),
        operators=operators,
        tracer=tracer,
    )
    with bind(settings) as listener, contextlib.closing(view), ended(tracer):
        return uvloop.run(_serve(parts, listener, publisher, settings.drain_seconds))


def authenticator(settings: Settings, clock: Clock) -> Authenticator:
    """Return who is let in.

    Raises:
        SettingsError: the keys file is wrong, or there is none where others can reach the API.
    """
    path = settings.api_keys_file
    if path is not None:
        try:
            return KeyFile(path, clock)
        except KeyFileError as error:
            problem = SettingProblem("MAILCASCADE_API_KEYS_FILE", str(path), str(error))
            raise SettingsError([problem]) from error
    if is_loopback(settings.http_host):
        return OneTenant()
    reason = (
        "others can reach this address, so clients need keys: name a file of TENANT:SHA256 lines "
        "by MAILCASCADE_API_KEYS_FILE, or listen on a loopback address such as 127.0.0.1"
    )
    raise SettingsError([SettingProblem("MAILCASCADE_HTTP_HOST", settings.http_host, reason)])


def operators_of(
    settings: Settings, catalogue: Catalogue, clock: Clock, tracer: Tracer | None
) -> Operators | None:
    """Return who may deal with dead-lettered mails, None where nobody may.

    Raises:
        SettingsError: the keys file is wrong.
    """
    path = settings.operator_keys_file
    if path is None:
        return None
    try:
        keys = KeyFile(path, clock)
    except KeyFileError as error:
        problem = SettingProblem("MAILCASCADE_OPERATOR_KEYS_FILE", str(path), str(error))
        raise SettingsError([problem]) from error
    url = settings.schema_registry_url
    errors = RegistryErrors(RegistryUnavailable, UnknownSchema)
    codec = EventCodec(None if url is None else SchemaRegistry(url, errors))
    process = process_name()

    def desk_of(by: str) -> Desk:
        operator = Operator(by, process, is_gone, new_job_id, tracer)
        return open_desk(settings, codec, catalogue, clock, operator)

    return Operators(Door(keys, _BODY_SECONDS), Office(desk_of, clock))


def status_reader(settings: Settings) -> StatusReader:
    """Return the read side of the status view, which need not be there yet."""
    key = settings.status_key
    secret = None if key is None else key.get_secret_value()
    return StatusReader(view_url(settings), secret, topology_of(settings).tiers)


def encoder(settings: Settings, sleep: Callable[[float], None]) -> Callable[[EventFields], bytes]:
    """Return the framing of events; with a registry, the schema is registered first.

    Raises:
        RegistryUnavailable, SchemaRefused: the registry does not answer, or says no.
    """
    if settings.schema_registry_url is None:
        return encode
    errors = RegistryErrors(RegistryUnavailable, UnknownSchema)
    registry = SchemaRegistry(settings.schema_registry_url, errors)
    subject = f"{settings.topic_prefix}-value"
    patient = Retrying(
        retry=retry_if_exception_type(RegistryUnavailable),
        stop=stop_after_attempt(_REGISTRY_ATTEMPTS),
        wait=_REGISTRY_WAIT,
        sleep=sleep,
        before_sleep=_tell_registry_trouble,
        reraise=True,
    )
    return partial(encode, schema_id=patient(registry.register, subject, current_schema().text))


def _tell_registry_trouble(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _log.warning("ingest.registry_unavailable", attempt=state.attempt_number, error=str(error))


def bind(settings: Settings) -> socket.socket:
    """Return a listening socket; port 0 takes a free one.

    Raises:
        SettingsError: the address is not this machine's, or is taken.
    """
    host, port = settings.http_host, settings.http_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = f"cannot listen on {host} port {port}: {error.strerror or error}"
        problem = SettingProblem("MAILCASCADE_HTTP_HOST", host, reason)
        raise SettingsError([problem]) from error


async def _serve(
    parts: Parts, listener: socket.socket, publisher: Publisher, drain_seconds: float
) -> int:
    server = _Server(
        uvicorn.Config(
            build_app(parts),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=max(1, int(drain_seconds - _FLUSH_SECONDS)),
        )
    )
    try:
        publisher.start()
    except KafkaRefused as error:
        problem = SettingProblem("MAILCASCADE_KAFKA_PROPERTIES", None, str(error))
        raise SettingsError([problem]) from error
    spare_collections()
    async with StopSignal() as stop:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        serving.add_done_callback(lambda _: stop.set("server ended"))
        watching = asyncio.create_task(_watch(publisher, stop))
        host, port = listener.getsockname()[:2]
        _log.info("ingest.listening", host=host, port=port)
        await stop.wait()
        deadline = Deadline(SystemClock(), drain_seconds)
        _log.info("ingest.stopping", reason=stop.reason)
        if parts.operators is not None:
            parts.operators.office.stop()
        server.should_exit = True
        await serving
        watching.cancel()
        if parts.operators is not None:
            await parts.operators.office.close(max(_FLUSH_SECONDS, deadline.remaining()))
        left = await publisher.close(max(_FLUSH_SECONDS, deadline.remaining()))
    _log.info("ingest.stopped", records_given_up=left)
    return _EXIT_BROKEN if publisher.fatal or left else _EXIT_OK


async def _watch(publisher: Publisher, stop: StopSignal) -> None:
    """Stop the process when its producer broke for good; a supervisor starts a new one."""
    await publisher.broken()
    _log.error("ingest.producer_broken", reason=publisher.reason)
    stop.set("the producer broke for good")
