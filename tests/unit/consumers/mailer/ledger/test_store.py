"""A lane's store: what it knows, what it forgets, and when it is made again."""

import resource
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.ledger.store import (
    Changes,
    LaneStore,
    StoreBroken,
    StoreBusy,
    StoreIdentity,
    StorePlace,
    open_store,
)
from runtime.kafka.records import Partition
from schemas.ledger import Standing
from schemas.mail_states import MailState

LEDGER = Partition("mails.ledger", 3)
SUPPRESSIONS = Partition("mails.suppressions", 3)
TODAY = 20_000
IDENTITY = StoreIdentity("cluster", "ledger-id", "suppressions-id", "mails", 8, 3, "this boot")
KEPT_DAYS = 7


@pytest.fixture
def place(tmp_path: Path) -> StorePlace:
    return StorePlace(tmp_path, KEPT_DAYS, wait_seconds=0)


@pytest.fixture
def store(place: StorePlace) -> Iterator[LaneStore]:
    store, _ = open_store(place, IDENTITY)
    yield store
    store.close()


def _standing(step: int = 0, state: MailState = MailState.SENT) -> Standing:
    return Standing(state, 0, step, step + 1, b"acme")


def _id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _entries(*entries: tuple[bytes, Standing], offset: int = 1, day: int = TODAY) -> Changes:
    return Changes(entries, [], {LEDGER: offset}, day)


states = st.sampled_from([state for state in MailState if state is not MailState.QUEUED])
numbers = st.integers(0, 2**32 - 1)
standings = st.builds(
    Standing, states, numbers, numbers, numbers, st.binary(min_size=4, max_size=4)
)
ids = st.integers(0, 9).map(_id)
changes = st.builds(
    Changes,
    st.lists(st.tuples(ids, standings), max_size=6),
    st.lists(st.tuples(ids, st.booleans()), max_size=4),
    st.dictionaries(st.sampled_from([LEDGER, SUPPRESSIONS]), st.integers(0, 2**60)),
    st.integers(TODAY - KEPT_DAYS // 2, TODAY),
)


@given(st.lists(st.one_of(changes, st.sampled_from(["reopen"])), max_size=12))
def test_a_store_knows_what_a_replay_of_its_changes_tells(history: list[Changes | str]) -> None:
    """For every history: also one whose days go back, and one with reopenings in between."""
    entries: dict[bytes, Standing] = {}
    suppressed: dict[bytes, bool] = {}
    offsets: dict[Partition, int] = {}
    with TemporaryDirectory() as directory:
        place = StorePlace(Path(directory), KEPT_DAYS, wait_seconds=0)
        store, _ = open_store(place, IDENTITY)
        for step in history:
            if isinstance(step, Changes):
                store.apply(step)
                entries.update(step.entries)
                suppressed.update(step.suppressions)
                for partition, offset in step.offsets.items():
                    offsets[partition] = max(offset, offsets.get(partition, 0))
            else:
                store.close()
                store, why = open_store(place, IDENTITY)
                assert why == ""
        known = {key: store.get(key) for key in map(_id, range(10))}
        hashes = {key: store.suppression(key) for key in map(_id, range(10))}
        stored = dict(store.offsets)
        store.close()

    assert known == {key: entries.get(key) for key in known}
    assert hashes == {key: suppressed.get(key, False) for key in hashes}
    assert stored == offsets


def test_an_offset_is_never_lowered(store: LaneStore) -> None:
    """Reports of transactions may come in any order."""
    store.apply(_entries(offset=10))
    store.apply(_entries((_id(1), _standing()), offset=7))

    assert store.offsets == {LEDGER: 10}
    assert store.get(_id(1)) is not None


def test_entries_older_than_the_retention_are_forgotten(store: LaneStore) -> None:
    """A day goes once it is more than the retention ago, and not before."""
    store.apply(_entries((_id(1), _standing()), day=TODAY - KEPT_DAYS - 1))
    store.apply(_entries((_id(2), _standing()), day=TODAY - KEPT_DAYS))
    store.prune(TODAY)

    assert store.get(_id(1)) is None
    assert store.get(_id(2)) == _standing()


def test_an_entry_that_changes_again_is_kept_from_its_last_day_on(store: LaneStore) -> None:
    """The older day's entry goes with its day; the newer one counts before and after."""
    store.apply(_entries((_id(1), _standing(0, MailState.RETRY)), day=TODAY - KEPT_DAYS - 1))
    store.apply(_entries((_id(1), _standing(1)), day=TODAY))
    assert store.get(_id(1)) == _standing(1)
    store.prune(TODAY)

    assert store.get(_id(1)) == _standing(1)


def test_days_are_dropped_as_new_ones_begin(store: LaneStore) -> None:
    """Nobody has to prune for the store to stay bounded; a dropped day may come again."""
    for day in range(TODAY, TODAY + 100):
        store.apply(_entries((_id(day), _standing()), day=day))

    kept = [day for day in range(TODAY, TODAY + 100) if store.get(_id(day)) is not None]
    assert kept == list(range(TODAY + 99 - KEPT_DAYS, TODAY + 100))


def test_a_store_grows_as_far_as_it_must(store: LaneStore) -> None:
    """Half a million entries do not fit into the map that a store begins with."""
    for start in range(0, 500_000, 10_000):
        entries = [(_id(number * 2**100), _standing()) for number in range(start, start + 10_000)]
        store.apply(Changes(entries, [], {}, TODAY))

    assert store.get(_id(0)) == _standing()
    assert store.get(_id(499_999 * 2**100)) == _standing()


def test_look_ups_go_on_while_another_thread_applies_and_drops(store: LaneStore) -> None:
    """Also across the map's growth and the end of days: an entry is there or is not, no error."""
    over = threading.Event()

    def write() -> None:
        try:
            for day in range(TODAY, TODAY + 40):
                entries = [(_id(day * 10_000 + n), _standing()) for n in range(5_000)]
                store.apply(Changes(entries, [], {}, day))
        finally:
            over.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = set()
    while not over.is_set():
        seen |= {store.get(_id(day * 10_000)) for day in range(TODAY, TODAY + 40)}
    thread.join()

    assert seen == {None, _standing()}
    assert store.get(_id((TODAY + 39) * 10_000)) == _standing()


def test_a_sealed_store_is_usable_after_the_machine_was_restarted(place: StorePlace) -> None:
    """Closing syncs everything."""
    store, _ = open_store(place, IDENTITY)
    store.apply(_entries((_id(1), _standing())))
    store.close()
    store, why = open_store(place, replace(IDENTITY, boot_id="another boot"))

    assert why == ""
    assert store.get(_id(1)) == _standing()
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        {"cluster_id": "another"},
        {"ledger_topic_id": "another"},
        {"suppressions_topic_id": "another"},
        {"partitions": 16},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_store_of_something_else_is_made_again(
    place: StorePlace, change: dict[str, object]
) -> None:
    """Its entries and offsets mean nothing here."""
    store, _ = open_store(place, IDENTITY)
    store.apply(_entries((_id(1), _standing())))
    store.close()
    store, why = open_store(place, replace(IDENTITY, **change))

    assert next(iter(change)) in why
    assert store.get(_id(1)) is None
    assert store.offsets == {}
    store.close()


def _tear(data: Path) -> None:
    with data.open("r+b") as file:
        file.truncate(data.stat().st_size // 1024)


def _overwrite(data: Path) -> None:
    data.write_bytes(b"no store at all" * 10_000)


def _flip(data: Path) -> None:
    content = bytearray(data.read_bytes())
    content[3 * 4096 + 100] ^= 1
    data.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        _tear,
        _overwrite,
        _flip,
        lambda data: data.write_bytes(b""),
        lambda data: data.unlink(),
        lambda data: (data.parent / "identity.json").unlink(),
        lambda data: (data.parent / "identity.json").write_text("{"),
        lambda data: (data.parent / "identity.json").write_text("[]"),
    ],
    ids=["torn", "overwritten", "bit", "emptied", "gone", "nameless", "misnamed", "odd"],
)
def test_a_damaged_store_is_made_again(place: StorePlace, damage: Callable[[Path], object]) -> None:
    """Whatever became of its files, opening succeeds and says why the store is empty."""
    store, _ = open_store(place, IDENTITY)
    store.apply(Changes([(_id(n), _standing()) for n in range(2_000)], [], {LEDGER: 9}, TODAY))
    store.close()
    damage(place.directory(IDENTITY) / "data.mdb")
    store, why = open_store(place, IDENTITY)

    assert why
    assert store.get(_id(1)) is None
    assert store.offsets == {}
    store.apply(_entries((_id(1), _standing())))
    assert store.get(_id(1)) == _standing()
    store.close()


def test_a_discarded_store_is_made_again(place: StorePlace) -> None:
    """Whoever finds that it is wrong gets rid of it this way."""
    store, _ = open_store(place, IDENTITY)
    store.apply(_entries((_id(1), _standing())))
    store.discard()
    store, why = open_store(place, IDENTITY)

    assert why
    assert store.get(_id(1)) is None
    store.close()


def test_a_store_is_never_open_twice(place: StorePlace, store: LaneStore) -> None:
    """Not in one process either; the first one is unharmed."""
    with pytest.raises(StoreBusy):
        open_store(place, IDENTITY)

    store.apply(_entries((_id(1), _standing())))
    assert store.get(_id(1)) == _standing()


def test_who_opens_a_store_waits_for_it_to_be_closed(place: StorePlace, store: LaneStore) -> None:
    """A lane may come back while its last store is still being closed."""
    patient = StorePlace(place.state_dir, KEPT_DAYS, wait_seconds=30)
    opened: list[tuple[LaneStore, str]] = []
    thread = threading.Thread(target=lambda: opened.append(open_store(patient, IDENTITY)))
    thread.start()
    store.close()
    thread.join()

    assert opened[0][1] == ""
    opened[0][0].close()


def test_a_closed_store_says_so(store: LaneStore) -> None:
    """Instead of an error of the database's own, or worse."""
    store.close()

    for use in (
        lambda: store.get(_id(1)),
        lambda: store.suppression(_id(1)),
        lambda: store.apply(_entries()),
        lambda: store.prune(TODAY),
    ):
        with pytest.raises(StoreBroken):
            use()
    store.close()


def test_a_directory_that_cannot_be_written_is_a_fault_of_ours(tmp_path: Path) -> None:
    """Its path is in the way of the message."""
    (tmp_path / "mails").write_text("a file where the directory should be")
    with pytest.raises(StoreBroken, match="mails"):
        open_store(StorePlace(tmp_path, wait_seconds=0), IDENTITY)


def test_suppressions_are_forgotten_with_their_offset(store: LaneStore) -> None:
    """They are read again from the start; the ledger is left as it is."""
    store.apply(
        Changes([(_id(1), _standing())], [(_id(7), True)], {LEDGER: 5, SUPPRESSIONS: 6}, TODAY)
    )
    store.forget_suppressions(SUPPRESSIONS)

    assert not store.suppression(_id(7))
    assert store.offsets == {LEDGER: 5}
    store.apply(Changes([], [(_id(8), True)], {SUPPRESSIONS: 3}, TODAY))
    assert store.offsets == {LEDGER: 5, SUPPRESSIONS: 3}
    assert store.suppression(_id(8))
    assert store.get(_id(1)) == _standing()


def test_a_disk_that_is_full_is_a_fault_and_not_the_end_of_the_process(place: StorePlace) -> None:
    """The store says so from then on; once there is room it is made again."""
    store, _ = open_store(place, IDENTITY)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, hard))
    entries = [(_id(number), _standing()) for number in range(100_000)]
    try:
        with pytest.raises(StoreBroken, match="File too large"):
            store.apply(Changes(entries, [], {LEDGER: 1}, TODAY))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(StoreBroken):
        store.apply(_entries())
    store.close()
    store, why = open_store(place, IDENTITY)

    assert why
    assert store.offsets == {}
    store.close()


def test_a_suppression_is_found_by_who_opens_the_store_next(place: StorePlace) -> None:
    """Whatever its hash begins with, and nobody else with it."""
    digests = [bytes([number]) * 16 for number in range(0, 256, 5)]
    store, _ = open_store(place, IDENTITY)
    store.apply(Changes([], [(digest, True) for digest in digests], {}, TODAY))
    store.close()
    store, _ = open_store(place, IDENTITY)

    assert all(map(store.suppression, digests))
    assert not store.suppression(bytes([1]) * 16)
    store.close()
