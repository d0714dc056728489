"""Changes are gathered: known at once, stored many at a time, and at the end."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.ledger.gathering import GatheringStore
from consumers.mailer.ledger.store import (
    Changes,
    StoreBroken,
    StoreIdentity,
    StorePlace,
    open_store,
)
from runtime.kafka.records import Partition
from schemas.ledger import Standing
from schemas.mail_states import MailState
from tests.support.ledgers import MemoryStore

LEDGER = Partition("mails.ledger", 3)
DAY = 20_000
IDENTITY = StoreIdentity("cluster", "ledger-id", "suppressions-id", "mails", 8, 3, "this boot")


class FullDisk(MemoryStore):
    """A store that takes nothing."""

    def apply(self, changes: Changes) -> None:
        raise StoreBroken("the disk is full")


def sent(number: int) -> tuple[bytes, Standing]:
    return number.to_bytes(16, "big"), Standing(MailState.SENT, 0, number, 0, b"abcd")


def change(number: int, day: int = DAY) -> Changes:
    return Changes([sent(number)], [], {LEDGER: number + 1}, day)


def test_a_change_is_known_at_once_and_stored_with_others() -> None:
    """Nothing is written before there is enough; then all of it is, up to its offset."""
    store = MemoryStore()
    gathering = GatheringStore(store, most=3)
    for number in range(2):
        gathering.apply(change(number))

    assert store.entries == {}
    assert gathering.get(sent(1)[0]) == sent(1)[1]

    gathering.apply(change(2))

    assert store.entries == dict(map(sent, range(3)))
    assert store.offsets == {LEDGER: 3}
    assert gathering.get(sent(2)[0]) == sent(2)[1]


def test_a_suppression_is_stored_at_once_with_what_came_before() -> None:
    """Whoever asks for it asks the store."""
    store = MemoryStore()
    gathering = GatheringStore(store)
    gathering.apply(change(0))
    gathering.apply(Changes([sent(1)], [(b"hash", True)], {}, DAY))

    assert gathering.suppression(b"hash")
    assert store.entries == dict(map(sent, range(2)))


def test_another_day_ends_the_gathering() -> None:
    """What is stored at once is of one day."""
    store = MemoryStore()
    gathering = GatheringStore(store)
    gathering.apply(change(0))
    gathering.apply(change(1, DAY + 1))

    assert store.entries == dict([sent(0)])


def test_the_end_stores_the_rest_and_closes() -> None:
    """The next owner on this host has nothing to read again."""
    store = MemoryStore()
    gathering = GatheringStore(store)
    gathering.apply(change(0))
    gathering.close()

    assert store.entries == dict([sent(0)])
    assert store.closed


def test_a_disk_that_cannot_be_written_is_told_of_when_it_is_written_to() -> None:
    """At the end it is not: what was gathered is read from the topic by who comes next."""
    store = FullDisk()
    gathering = GatheringStore(store, most=2)
    gathering.apply(change(0))
    with pytest.raises(StoreBroken):
        gathering.apply(change(1))
    assert gathering.get(sent(0)[0]) == sent(0)[1]

    gathering.close()

    assert store.closed


@given(
    numbers=st.lists(st.integers(0, 9), max_size=40),
    most=st.integers(1, 9),
    seen=st.integers(0, 39),
)
def test_a_reader_never_sees_the_difference(numbers: list[int], most: int, seen: int) -> None:
    """After any changes, whenever they are stored, the last one of each mail is what is known."""
    gathering = GatheringStore(MemoryStore(), most)
    known: dict[bytes, Standing] = {}
    for step, number in enumerate(numbers[: seen + 1]):
        event_id, standing = sent(number)[0], Standing(MailState.RETRY, 0, step, 0, b"abcd")
        gathering.apply(Changes([(event_id, standing)], [], {LEDGER: step + 1}, DAY + number // 5))
        known[event_id] = standing

        assert all(gathering.get(key) == value for key, value in known.items())


def test_what_a_death_takes_is_behind_the_stored_offset(tmp_path: Path) -> None:
    """So the next owner reads it from the topic."""
    opened, _ = open_store(StorePlace(tmp_path), IDENTITY)
    gathering = GatheringStore(opened, most=3)
    for number in range(5):
        gathering.apply(change(number))
    opened.close()
    store, _ = open_store(StorePlace(tmp_path), IDENTITY)

    assert store.offsets == {LEDGER: 3}
    assert [store.get(sent(number)[0]) is not None for number in range(5)] == 3 * [True] + 2 * [
        False
    ]
    store.close()
