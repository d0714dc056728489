"""Runs one worker process: from settings to an exit code."""

import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

import uvloop

from consumers.app import Worker, WorkerParts
from consumers.delivery.compose import Composer
from consumers.delivery.endpoint import InvalidRelayUrl, RelayEndpoint, parse_relays
from consumers.delivery.guard import RECOVERIES
from consumers.delivery.letterhead import letterhead_of, signer_of
from consumers.delivery.outcome import Classifier
from consumers.delivery.rulebook import RuleBook, UnknownProfile
from consumers.mailer.outages import OutageBook
from consumers.mailer.slots import Slot
from consumers.registry import registry_of
from retry_topics.provisioning import verify
from retry_topics.stranded import stranded
from retry_topics.topology import Topology, topology_of
from runtime.clock import SystemClock
from runtime.garbage import spare_collections
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import client_properties
from runtime.kafka.connection import Connection
from runtime.kafka.groups import GroupReader
from runtime.kafka.reader import TopicReader
from runtime.kafka.transactions import CommitStep
from runtime.lifecycle import StopSignal
from runtime.logs import get_logger
from runtime.metric_catalogue import WORKER_METRICS
from runtime.metrics import Metrics
from runtime.probes import Probes, Readiness, started
from runtime.pulse import Pulse
from runtime.settings import Settings
from runtime.tracing import ended, start_tracer
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.codec import EventCodec

_log = get_logger("worker")

#: Without a sign of life for this long, and the time to drain, a worker hangs. Seconds.
_PULSE_SECONDS: Final = 120.0


class TopicsUnfit(Exception):
    """The topics are not as they must be. Each of `problems` says what mends it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class UnfitRelay(Exception):
    """A relay's URL cannot be used."""


def check_relays(settings: Settings, classifier: Classifier) -> tuple[RelayEndpoint, ...]:
    """Return the relays, whose URLs can be used and whose profiles and authorities there are.

    Raises:
        UnfitRelay: a URL is wrong, or names a profile that there is not, or a file of certificate
            authorities that cannot be used.
    """
    try:
        relays = parse_relays(settings.smtp_url.get_secret_value())
        for relay in relays:
            classifier.of_relay(relay.host, relay.profile)
            _check_authorities(relay)
    except (InvalidRelayUrl, UnknownProfile) as error:
        raise UnfitRelay(f"MAILCASCADE_SMTP_URL: {error}") from error
    return relays


def _check_authorities(relay: RelayEndpoint) -> None:
    if relay.ca_file is None:
        return
    try:
        ssl.create_default_context(cafile=relay.ca_file)
    except OSError as error:
        # An error of OpenSSL says no more than its own name for it.
        why = (
            "it holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        )
        raise UnfitRelay(
            f"MAILCASCADE_SMTP_URL: {relay} trusts the authorities in {relay.ca_file}, which "
            f"cannot be used: {why}; name a readable file of certificates in PEM"
        ) from error


def check_topics(settings: Settings, topology: Topology) -> None:
    """Make sure that a worker loses and holds nothing because of how the topics are.

    Raises:
        TopicsUnfit: a topic is missing, the partition counts differ, its configuration is a
            hazard to mails (`retry_topics.hazards`), or a tier that is none any more has some.
        KafkaFault: the cluster cannot be asked.
    """
    properties = client_properties(settings, role="worker")
    admin = TopicAdmin(properties)
    group = GroupReader(properties, topology.group)
    reader = TopicReader(properties, SystemClock())
    problems = verify(topology, admin)
    if not problems:
        problems = stranded(topology, admin, group.committed, reader.read)
    if problems:
        raise TopicsUnfit(problems)


def run_worker(
    settings: Settings, checkpoint: Callable[[CommitStep], None] = lambda step: None
) -> None:
    """Work until SIGTERM or SIGINT, then drain and return.

    Raises:
        BrokenCatalogue, UnfitLetterhead, BrokenRules, UnfitRelay, NoSlot, TopicsUnfit, KafkaFault,
            CommitterFailed, RestoreFailed, TracingUnavailable: see their messages.
    """
    topology = topology_of(settings)
    catalogue = Catalogue.load(settings.templates_dir or DEFAULT_DIRECTORY)
    composer = Composer(catalogue, letterhead_of(settings), signer_of(settings))
    classifier = Classifier(RuleBook.load(settings.relay_rules_file))
    check_relays(settings, classifier)
    check_topics(settings, topology)
    tracer = start_tracer(settings, "worker")
    slot = Slot(settings.state_dir, topology.prefix)
    clock = SystemClock()
    parts = WorkerParts(
        topology=topology,
        catalogue=catalogue,
        composer=composer,
        classifier=classifier,
        codec=EventCodec(registry_of(settings)),
        metrics=started(Metrics(WORKER_METRICS), "worker", clock),
        clock=clock,
        slot=slot,
        outages=OutageBook(),
        connection=Connection(clock, "worker"),
        pulse=Pulse(clock, settings.drain_seconds + _PULSE_SECONDS),
        recoveries=RECOVERIES,
        checkpoint=checkpoint,
        tracer=tracer,
    )
    try:
        with _metrics_shown(settings, parts), ended(tracer):
            uvloop.run(_work(settings, parts))
    finally:
        slot.release()


def _metrics_shown(settings: Settings, parts: WorkerParts) -> AbstractContextManager[object]:
    """Show the metrics where a port is set; each slot of a host has the next port."""
    if settings.metrics_port is None:
        return nullcontext()
    port = settings.metrics_port + parts.slot.number if settings.metrics_port else 0

    def readiness() -> Readiness:
        found = parts.outages.readiness()
        if parts.connection.connected:
            return found
        return Readiness(False, [parts.connection.reason, *found.reasons])

    probes = Probes(parts.metrics, readiness, parts.pulse)
    return probes.served(settings.http_host, port)


async def _work(settings: Settings, parts: WorkerParts) -> None:
    worker = Worker(settings, parts)
    spare_collections()
    async with StopSignal() as stop:
        _log.info("worker.started", slot=parts.slot.number, topics=parts.topology.consumed)
        await worker.run(stop.wait)
    _log.info("worker.stopped", reason=stop.reason)
