"""A lane's store is brought up to what the broker holds, whatever happened to store and log."""

from pathlib import Path

import pytest

from consumers.mailer.ledger.store import LaneStore
from retry_topics.topology import Topology
from schemas.mail_states import MailState
from schemas.privacy import address_hash
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.ledger import Entries, Host, LaneWriter, entry, event_id, replayed

LANE = 1


@pytest.fixture
def topology(topics: TopicsFactory) -> Topology:
    return topics(partitions=2)


@pytest.fixture
def writer(broker: BrokerAddress, topology: Topology) -> LaneWriter:
    return LaneWriter(broker.bootstrap, topology, LANE)


def _knows(store: LaneStore, entries: Entries) -> bool:
    return all(store.get(key) == standing for key, standing in replayed(entries).items())


def test_a_restored_store_equals_the_log_and_leaves_out_what_was_aborted(
    broker: BrokerAddress, topology: Topology, writer: LaneWriter, tmp_path: Path
) -> None:
    """The last committed entry of a mail counts, also where an aborted one follows at the end."""
    first = [(event_id(), entry(MailState.RETRY)) for _ in range(50)]
    later = [(key, entry(MailState.SENT, step=1)) for key, _ in first[:20]]
    never = event_id()
    writer.commit(first)
    writer.abort([(never, entry()), (first[30][0], entry(MailState.DEAD, step=9))])
    writer.commit(later)
    writer.suppress(address_hash("a@example.com"))
    writer.suppress(address_hash("b@example.com"))
    writer.suppress(address_hash("a@example.com"), suppressed=False)
    writer.abort([(first[40][0], entry(MailState.DEAD, step=9))])

    with (
        Host(broker.bootstrap, topology, tmp_path) as host,
        host.restored(LANE) as store,
    ):
        assert _knows(store, [*first, *later])
        assert store.get(never) is None
        assert not store.suppression(address_hash("a@example.com"))
        assert store.suppression(address_hash("b@example.com"))
