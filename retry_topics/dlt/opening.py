"""Builds the desk for a cluster: the composition root of the dead-letter tool."""

from retry_topics.dlt.archive import Archive
from retry_topics.dlt.desk import Desk, Operator
from retry_topics.dlt.log import KafkaLog
from retry_topics.topology import topology_of
from runtime.clock import Clock
from runtime.kafka.client import client_properties
from runtime.kafka.transactions import CommitStep, TransactionalProducer, transaction_properties
from runtime.settings import Settings
from schemas.catalogue import Catalogue
from schemas.codec import EventCodec


def open_desk(
    settings: Settings, codec: EventCodec, catalogue: Catalogue, clock: Clock, operator: Operator
) -> Desk:
    """Return a desk on the cluster that the settings name; it connects when it is used."""
    properties = client_properties(settings, role="dlt")
    log = KafkaLog(properties, clock)

    def make(transactional_id: str) -> TransactionalProducer:
        return TransactionalProducer(
            transaction_properties(properties, transactional_id), _between_steps
        )

    archive = Archive(log, topology_of(settings), codec)
    return Desk(archive, make, catalogue, clock, operator)


def _between_steps(step: CommitStep) -> None:
    """Do nothing; tests of crashes do."""
