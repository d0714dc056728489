"""A lane's store is brought up to what the broker holds, whatever happened to store and log."""

import shutil
import time
from collections.abc import Callable, MutableMapping, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from console.stack.kafka import KafkaBroker
from consumers.mailer.ledger.catch_up import DAY_MS
from consumers.mailer.ledger.restore import RestoreFailed
from consumers.mailer.ledger.store import (
    Changes,
    LaneStore,
    StoreIdentity,
    StorePlace,
    open_store,
)
from retry_topics.topology import Topology, parse_tiers
from runtime.clock import SystemClock
from runtime.kafka.records import Partition
from schemas.ledger import standing_of, write_entry
from schemas.mail_states import MailState
from schemas.privacy import address_hash
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress, create_topology
from tests.support.clock import ManualClock
from tests.support.ledger import (
    BOOT_ID,
    Entries,
    Host,
    LaneWriter,
    entry,
    event_id,
    replayed,
)
from tests.support.wait import wait_until

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


def test_a_warm_restart_reads_only_the_rest(
    broker: BrokerAddress, topology: Topology, writer: LaneWriter, tmp_path: Path
) -> None:
    """What was restored before is not read again; what came meanwhile is."""
    before = [(event_id(), entry()) for _ in range(200)]
    after = [(event_id(), entry()) for _ in range(30)]
    writer.commit(before)
    with Host(broker.bootstrap, topology, tmp_path) as host:
        with host.restored(LANE):
            writer.commit(after)
        with capture_logs() as logs, host.restored(LANE) as store:
            assert _knows(store, [*before, *after])
        with capture_logs() as more_logs, host.restored(LANE):
            pass

    assert _restored(logs) == {"entries": 30, "rebuilt": "no"}
    assert _restored(more_logs) == {"entries": 0, "rebuilt": "no"}


def _restored(logs: Sequence[MutableMapping[str, object]]) -> dict[str, object]:
    (line,) = [line for line in logs if line["event"] == "lane.restored"]
    return {name: line[name] for name in ("entries", "rebuilt")}


def _wipe(directory: Path) -> None:
    shutil.rmtree(directory)


def _overwrite(directory: Path) -> None:
    (directory / "data.mdb").write_bytes(b"no store at all" * 10_000)


def _tear(directory: Path) -> None:
    with (directory / "data.mdb").open("r+b") as file:
        file.truncate(10_000)


def _of_another_lane(directory: Path) -> None:
    other = StoreIdentity("cluster", "ledger", "suppressions", "mails", 2, LANE, BOOT_ID)
    shutil.rmtree(directory)
    store, _ = open_store(StorePlace(directory.parents[1] / "other"), other)
    store.close()
    (directory.parents[1] / "other" / "mails" / directory.name).rename(directory)


@pytest.mark.parametrize("harm", [_wipe, _overwrite, _tear, _of_another_lane])
def test_a_store_that_was_harmed_costs_a_restore_and_no_entry(
    broker: BrokerAddress,
    topology: Topology,
    writer: LaneWriter,
    tmp_path: Path,
    harm: Callable[[Path], None],
) -> None:
    """The log has everything; the line in the log says why it had to be read again."""
    entries = [(event_id(), entry()) for _ in range(200)]
    writer.commit(entries)
    with Host(broker.bootstrap, topology, tmp_path) as host:
        with host.restored(LANE):
            pass
        harm(tmp_path / topology.prefix / f"lane-{LANE}")
        with capture_logs() as logs, host.restored(LANE) as store:
            assert _knows(store, entries)

    assert _restored(logs)["entries"] == 200
    assert _restored(logs)["rebuilt"] != "no"


def test_a_store_that_is_ahead_of_the_log_is_made_again(
    broker: BrokerAddress, topology: Topology, writer: LaneWriter, tmp_path: Path
) -> None:
    """The log lost its end, and what was in it never happened."""
    entries = [(event_id(), entry()) for _ in range(20)]
    phantom = event_id()
    writer.commit(entries)
    with Host(broker.bootstrap, topology, tmp_path) as host:
        with host.restored(LANE) as store:
            ahead = {Partition(topology.ledger, LANE): 1_000}
            store.apply(Changes([(phantom, standing_of(entry()))], [], ahead, _today()))
        with capture_logs() as logs, host.restored(LANE) as store:
            assert store.get(phantom) is None
            assert _knows(store, entries)

    assert "shorter" in str(_restored(logs)["rebuilt"])


def _today() -> int:
    return SystemClock().now_ms() // DAY_MS


def test_suppressions_of_a_store_that_is_a_day_old_are_read_anew(
    broker: BrokerAddress, topology: Topology, writer: LaneWriter, tmp_path: Path
) -> None:
    """A lift that compaction has removed by now would never be seen."""
    lifted, kept = address_hash("a@example.com"), address_hash("b@example.com")
    writer.suppress(kept)
    clock = ManualClock(SystemClock().now_ms())
    with Host(broker.bootstrap, topology, tmp_path, clock=clock) as host:
        with host.restored(LANE) as store:
            # As if `lifted` had been in the log, and been lifted and compacted since.
            store.apply(
                Changes([(event_id(), standing_of(entry()))], [(lifted, True)], {}, _today())
            )
        with host.restored(LANE) as store:
            assert store.suppression(lifted)
        clock.advance(86_400)
        with host.restored(LANE) as store:
            assert not store.suppression(lifted)
            assert store.suppression(kept)


def test_entries_that_nobody_can_read_are_skipped_and_counted(
    broker: BrokerAddress, topology: Topology, writer: LaneWriter, tmp_path: Path
) -> None:
    """One warning for all of them; what is around them counts."""
    good = [(event_id(), entry()) for _ in range(3)]
    whole = write_entry(entry())
    foreign = [
        (event_id(), b"not ours"),
        (event_id(), None),
        (event_id(), whole[:11]),
        (b"short", whole),
        (event_id(), write_entry(entry(step=2**40))),
    ]
    writer.commit(good[:1])
    writer.raw(topology.ledger, foreign)
    writer.raw(topology.suppressions, [(b"short", None), (event_id(), b"not ours")])
    writer.commit(good[1:])
    with (
        Host(broker.bootstrap, topology, tmp_path) as host,
        capture_logs() as logs,
        host.restored(LANE) as store,
    ):
        assert _knows(store, good)
        assert all(store.get(key) is None for key, _ in foreign)

    warnings = [line for line in logs if line["log_level"] == "warning"]
    assert [(line["event"], line["count"]) for line in warnings] == [("lane.entries_unreadable", 7)]


def test_a_predecessor_s_open_transaction_is_waited_for(
    broker: BrokerAddress, topology: Topology, writer: LaneWriter, tmp_path: Path
) -> None:
    """Whatever comes of it is in the store: a restore never ends before it is decided."""
    entries = [(event_id(), entry()) for _ in range(10)]
    under_way = [(event_id(), entry()) for _ in range(10)]
    writer.commit(entries)
    writer.begin(under_way)
    with (
        capture_logs() as logs,
        Host(broker.bootstrap, topology, tmp_path, patience_seconds=0.3) as host,
    ):
        _, handed = host.begin(LANE)
        wait_until(lambda: any(line["event"] == "lane.restore_waits" for line in logs))
        assert not handed.done
        writer.producer.commit_transaction(30)
        store = handed.store()
        assert _knows(store, [*entries, *under_way])
        store.close()


def test_a_killed_predecessor_s_transaction_ends_by_itself(
    broker: BrokerAddress, topology: Topology, writer: LaneWriter, tmp_path: Path
) -> None:
    """The broker aborts it after its time-out; nothing of it counts, all before it does."""
    entries = [(event_id(), entry()) for _ in range(10)]
    never = [(event_id(), entry()) for _ in range(10)]
    writer.commit(entries)
    writer.begin(never)
    with (
        Host(broker.bootstrap, topology, tmp_path) as host,
        host.restored(LANE, seconds=60) as store,
    ):
        assert _knows(store, entries)
        assert all(store.get(key) is None for key, _ in never)


def test_a_lane_that_is_given_up_leaves_its_store_to_others(
    broker: BrokerAddress, topology: Topology, writer: LaneWriter, tmp_path: Path
) -> None:
    """While it waits for a transaction and while it is queued; nothing is handed over."""
    writer.begin([(event_id(), entry())])
    with Host(broker.bootstrap, topology, tmp_path) as host:
        waiting, waited = host.begin(LANE)
        queued, never_begun = host.begin(0)
        lock = tmp_path / topology.prefix / f"lane-{LANE}" / "owner.lock"
        wait_until(lock.exists)
        assert queued.cancel()
        assert waiting.cancel()
        writer.producer.abort_transaction(30)
        with host.restored(LANE, seconds=5), host.restored(0, seconds=5):
            pass
        assert not waited.done
        assert not never_begun.done
        assert waiting.cancel()


def test_a_lane_that_was_handed_over_cannot_be_given_up(
    broker: BrokerAddress, topology: Topology, tmp_path: Path
) -> None:
    """Whoever got the store has to close it."""
    with Host(broker.bootstrap, topology, tmp_path) as host:
        ticket, handed = host.begin(LANE)
        store = handed.store()
        assert not ticket.cancel()
        store.close()


def test_two_workers_of_one_host_hand_a_lane_over(
    broker: BrokerAddress, topology: Topology, writer: LaneWriter, tmp_path: Path
) -> None:
    """The next one waits for the store and then reads only what the first one has not."""
    first = [(event_id(), entry()) for _ in range(100)]
    writer.commit(first)
    with (
        Host(broker.bootstrap, topology, tmp_path) as one,
        Host(broker.bootstrap, topology, tmp_path) as other,
        capture_logs() as logs,
    ):
        _, handed = one.begin(LANE)
        held = handed.store()
        _, waiting = other.begin(LANE)
        wait_until(lambda: any(line["event"] == "lane.restore_waits" for line in logs))
        assert not waiting.done
        assert _knows(held, first)
        held.close()
        store = waiting.store()
        assert _knows(store, first)
        store.close()

    assert [line["entries"] for line in logs if line["event"] == "lane.restored"] == [100, 0]


def test_a_broker_that_is_away_is_waited_for(own_broker: KafkaBroker, tmp_path: Path) -> None:
    """Each fault is told once; when the broker is back the restore goes on by itself."""
    topology = Topology("mails", parse_tiers("1s"), 2)
    create_topology(own_broker.bootstrap, topology)
    entries = [(event_id(), entry()) for _ in range(10)]
    LaneWriter(own_broker.bootstrap, topology, LANE).commit(entries)
    with capture_logs() as logs, Host(own_broker.bootstrap, topology, tmp_path) as host:
        own_broker.stop()
        _, handed = host.begin(LANE)
        wait_until(lambda: any(line["event"] == "lane.restore_waits" for line in logs))
        own_broker.start()
        store = handed.store(90)
        assert _knows(store, entries)
        store.close()

    told = [line["reason"] for line in logs if line["event"] == "lane.restore_waits"]
    assert len(told) == len(set(told))


def test_closing_is_bounded_while_the_broker_is_away(tmp_path: Path) -> None:
    """Nobody answers, the restorer is in the middle of asking, and the process may end anyway."""
    host = Host("127.0.0.1:1", Topology("mails", parse_tiers("1s"), 2), tmp_path)
    _, handed = host.begin(LANE)
    begun = time.monotonic()
    host.restorer.close(0.2)

    assert time.monotonic() - begun < 2
    assert not handed.done


def test_a_disk_that_cannot_be_used_is_told_to_whoever_waits(
    broker: BrokerAddress, topology: Topology, tmp_path: Path
) -> None:
    """The lane is not left waiting for ever."""
    (tmp_path / topology.prefix).write_text("a file in the way")
    with Host(broker.bootstrap, topology, tmp_path) as host:
        _, handed = host.begin(LANE)
        wait_until(lambda: handed.done)

    assert isinstance(handed.result, RestoreFailed)
    assert handed.result.lane == LANE
