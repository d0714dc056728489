"""A lane's store between processes of one host: one at a time, and nothing lost by a death."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.mailer.ledger.identity import (
    Mark,
    Stage,
    read_boot_id,
    read_mark,
    remove_mark,
    write_mark,
)
from consumers.mailer.ledger.store import (
    LaneStore,
    StoreBusy,
    StoreIdentity,
    StorePlace,
    open_store,
)
from tests.support.store_holder import ENTRIES, LEDGER, STANDING, entry_id, held_store
from tests.support.wait import wait_until

IDENTITY = StoreIdentity("cluster", "ledger-id", "suppressions-id", "mails", 8, 3, "this boot")


def _is_whole(store: LaneStore) -> bool:
    known = all(store.get(entry_id(number)) == STANDING for number in range(ENTRIES))
    return known and store.offsets == {LEDGER: ENTRIES}


def test_a_store_that_another_process_has_open_is_left_alone(tmp_path: Path) -> None:
    """Who comes second is told so after a while, and harms nothing."""
    with held_store(tmp_path, IDENTITY) as holder:
        with pytest.raises(StoreBusy):
            open_store(StorePlace(tmp_path, wait_seconds=0.1), IDENTITY)
        holder.communicate("")
    store, why = open_store(StorePlace(tmp_path), IDENTITY)

    assert why == ""
    assert _is_whole(store)
    store.close()


def test_a_store_is_handed_over_when_its_process_closes_it(tmp_path: Path) -> None:
    """The next process waits for it and finds everything."""
    with held_store(tmp_path, IDENTITY) as holder:
        opened: list[tuple[LaneStore, str]] = []
        place = StorePlace(tmp_path, wait_seconds=30)
        thread = threading.Thread(target=lambda: opened.append(open_store(place, IDENTITY)))
        thread.start()
        holder.communicate("")
        thread.join()
    store, why = opened[0]

    assert why == ""
    assert _is_whole(store)
    store.close()


def test_what_a_killed_process_stored_is_there(tmp_path: Path) -> None:
    """The machine still runs, so the store is whole although nobody sealed it."""
    with held_store(tmp_path, IDENTITY) as holder:
        holder.kill()
        holder.wait()
    store, why = open_store(StorePlace(tmp_path), IDENTITY)

    assert why == ""
    assert _is_whole(store)
    store.close()


@pytest.mark.parametrize("written", [2 << 20, 5 << 20, 9 << 20])
def test_a_process_that_is_killed_while_it_writes_leaves_whole_transactions(
    tmp_path: Path, written: int
) -> None:
    """Every entry before the stored offset is there and none behind it, wherever it was killed."""
    data = StorePlace(tmp_path).directory(IDENTITY) / "data.mdb"
    with held_store(tmp_path, IDENTITY, then="write") as holder:
        wait_until(lambda: data.stat().st_size > written)
        holder.kill()
        holder.wait()
    store, why = open_store(StorePlace(tmp_path), IDENTITY)
    offset = store.offsets[LEDGER]

    assert why == ""
    assert offset >= ENTRIES
    assert all(store.get(entry_id(number)) == STANDING for number in range(offset))
    assert all(store.get(entry_id(number)) is None for number in range(offset, offset + 1_000))
    store.close()


@pytest.mark.parametrize("boot_id", ["another boot", ""])
def test_a_store_that_was_open_when_the_machine_stopped_is_made_again(
    tmp_path: Path, boot_id: str
) -> None:
    """Nothing was synced. Where the system does not tell its boots apart, this is presumed."""
    with held_store(tmp_path, replace(IDENTITY, boot_id=boot_id and IDENTITY.boot_id)) as holder:
        holder.kill()
        holder.wait()
    store, why = open_store(StorePlace(tmp_path), replace(IDENTITY, boot_id=boot_id))

    assert "restarted" in why
    assert store.offsets == {}
    store.close()


def test_a_store_that_ended_a_process_while_it_was_opened_is_made_again(tmp_path: Path) -> None:
    """So a file that crashes whoever looks into it does so once."""
    store, _ = open_store(StorePlace(tmp_path), IDENTITY)
    store.close()
    directory = StorePlace(tmp_path).directory(IDENTITY)
    write_mark(directory, Mark(IDENTITY, Stage.OPENING))
    store, why = open_store(StorePlace(tmp_path), IDENTITY)

    assert "died" in why
    store.close()


def test_a_torn_file_of_a_killed_process_is_noticed(tmp_path: Path) -> None:
    """Even without a seal: the file is shorter than what is in it."""
    with held_store(tmp_path, IDENTITY) as holder:
        holder.kill()
        holder.wait()
    data = StorePlace(tmp_path).directory(IDENTITY) / "data.mdb"
    with data.open("r+b") as file:
        file.truncate(3 * 4096)
    store, why = open_store(StorePlace(tmp_path), IDENTITY)

    assert "bytes" in why
    assert store.offsets == {}
    store.close()


def test_a_mark_is_read_as_it_was_written(tmp_path: Path) -> None:
    """One that is of another format, or none, is no mark."""
    mark = Mark(IDENTITY, Stage.SEALED, 4096, 12345)
    write_mark(tmp_path, mark)
    assert read_mark(tmp_path) == mark

    file = tmp_path / "identity.json"
    file.write_text(file.read_text().replace('"format": "1', '"format": "0'))
    assert read_mark(tmp_path) is None
    remove_mark(tmp_path)
    remove_mark(tmp_path)
    assert read_mark(tmp_path) is None


def test_the_boot_id_is_empty_where_there_is_none(tmp_path: Path) -> None:
    """Such a system's stores are made again unless they were sealed."""
    assert read_boot_id(tmp_path / "none") == ""
    (tmp_path / "id").write_text("0a1b2c\n")
    assert read_boot_id(tmp_path / "id") == "0a1b2c"
