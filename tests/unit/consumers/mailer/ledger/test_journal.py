"""The journal: what was accepted is read back, by whomever, until it is settled."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from structlog.testing import capture_logs

from consumers.mailer.ledger import journal as journals
from consumers.mailer.ledger.journal import KEPT_MS, SEGMENT_BYTES, Journal, read_journals
from consumers.mailer.ledger.journal_records import (
    REPLY_CHARACTERS,
    Acceptance,
    read_records,
    segments,
    write_record,
)
from tests.support.clock import ManualClock

REPLY = "250 2.0.0 Ok: queued as 4F6B21A0C3"
PREFIX = "mails"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def journal(tmp_path: Path, clock: ManualClock) -> Iterator[Journal]:
    journal = Journal(tmp_path, PREFIX, 0, clock)
    yield journal
    journal.close()


def _id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


acceptances = st.builds(
    Acceptance,
    st.integers(0, 2**32 - 1),
    st.tuples(
        st.binary(min_size=16, max_size=16), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)
    ),
    st.integers(0, 2**63),
    st.text(max_size=REPLY_CHARACTERS),
)


@given(st.lists(acceptances, max_size=5))
def test_records_are_read_as_they_were_written(written: list[Acceptance]) -> None:
    """Whatever the relay said; what no UTF-8 can hold becomes a question mark."""
    content = b"".join(map(write_record, written))
    encodable = [
        structs.replace(a, reply=a.reply.encode(errors="replace").decode(errors="replace"))
        for a in written
    ]

    assert list(read_records(content)) == encodable


@given(st.lists(acceptances, min_size=1, max_size=4), st.data())
def test_a_torn_tail_hides_only_itself(written: list[Acceptance], data: st.DataObject) -> None:
    """A journal that is cut anywhere gives every record that is whole before the cut."""
    records = [write_record(acceptance) for acceptance in written]
    content = b"".join(records)
    cut = data.draw(st.integers(0, len(content)))
    ends = [len(b"".join(records[: n + 1])) for n in range(len(records))]

    assert len(list(read_records(content[:cut]))) == sum(end <= cut for end in ends)


@given(st.lists(acceptances, min_size=1, max_size=4), st.data())
def test_a_changed_bit_ends_the_reading(written: list[Acceptance], data: st.DataObject) -> None:
    """Nothing that was not written is ever read; what comes before the damage is."""
    records = [write_record(acceptance) for acceptance in written]
    content = bytearray(b"".join(records))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    before = sum(len(b"".join(records[: n + 1])) <= place for n in range(len(records)))

    assert list(read_records(bytes(content))) == list(read_records(b"".join(records[:before])))


@given(st.binary(max_size=200))
def test_garbage_is_no_record(content: bytes) -> None:
    """Nor does it raise."""
    assert list(read_records(content)) == []


def test_an_acceptance_is_read_by_its_lane(journal: Journal, tmp_path: Path) -> None:
    """At once, from a file that is still being written, by its exact handing over."""
    journal.append(3, _id(1), 0, 2, REPLY)
    journal.append(4, _id(2), 1, 0, "250 ok")

    assert read_journals(tmp_path, PREFIX, 3) == {(_id(1), 0, 2): REPLY}
    assert read_journals(tmp_path, PREFIX, 4) == {(_id(2), 1, 0): "250 ok"}
    assert read_journals(tmp_path, PREFIX, 5) == {}


def test_all_journals_of_a_host_are_read_and_no_others(tmp_path: Path, clock: ManualClock) -> None:
    """A sibling's count as much as one's own; another pipeline's do not."""
    for slot, prefix in enumerate([PREFIX, PREFIX, "mailsXworker-1", f"{PREFIX}.worker-1"]):
        Journal(tmp_path, prefix, slot, clock).append(3, _id(slot), 0, 0, REPLY)
    (tmp_path / f"{PREFIX}.worker-0.lock").touch()
    (tmp_path / f"{PREFIX}.worker-7.journal.1").mkdir()

    assert set(read_journals(tmp_path, PREFIX, 3)) == {(_id(0), 0, 0), (_id(1), 0, 0)}
    assert read_journals(tmp_path / "nowhere", PREFIX, 3) == {}


def test_a_long_reply_is_cut(journal: Journal, tmp_path: Path) -> None:
    """A relay that talks and talks does not fill the disk."""
    journal.append(3, _id(1), 0, 0, "é" * 100_000)

    assert read_journals(tmp_path, PREFIX, 3) == {(_id(1), 0, 0): "é" * REPLY_CHARACTERS}


def test_the_next_holder_of_a_slot_takes_over_what_waits(
    tmp_path: Path, clock: ManualClock
) -> None:
    """The last one was killed; what it had settled may be there too, which is harmless."""
    killed = Journal(tmp_path, PREFIX, 0, clock)
    killed.append(3, _id(1), 0, 0, REPLY)
    next_one = Journal(tmp_path, PREFIX, 0, clock)
    next_one.append(3, _id(2), 0, 0, REPLY)
    assert set(read_journals(tmp_path, PREFIX, 3)) == {(_id(1), 0, 0), (_id(2), 0, 0)}

    next_one.settled(3, [(_id(1), 0, 0), (_id(2), 0, 0)])
    next_one.close()
    assert read_journals(tmp_path, PREFIX, 3) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_clean_end_leaves_what_waits_and_nothing_else(
    journal: Journal, tmp_path: Path, clock: ManualClock
) -> None:
    """A lane that was lost may have mails whose commit nobody knows of."""
    journal.append(3, _id(1), 0, 0, REPLY)
    journal.append(3, _id(2), 0, 0, REPLY)
    journal.settled(3, [(_id(2), 0, 0)])
    journal.close()

    assert (_id(1), 0, 0) in read_journals(tmp_path, PREFIX, 3)
    assert len(Journal(tmp_path, PREFIX, 0, clock)) == 2


def test_what_has_waited_for_seven_days_is_dropped(tmp_path: Path, clock: ManualClock) -> None:
    """Kafka has no such mail any more."""
    Journal(tmp_path, PREFIX, 0, clock).append(3, _id(1), 0, 0, REPLY)
    clock.advance(1)
    Journal(tmp_path, PREFIX, 0, clock).append(3, _id(2), 0, 0, REPLY)
    clock.advance(KEPT_MS / 1000)
    Journal(tmp_path, PREFIX, 0, clock).close()

    assert set(read_journals(tmp_path, PREFIX, 3)) == {(_id(2), 0, 0)}


def test_settling_what_is_unknown_or_of_another_lane_changes_nothing(
    journal: Journal, tmp_path: Path
) -> None:
    """Mails that ended without an acceptance are settled all the same."""
    journal.append(3, _id(1), 0, 0, REPLY)
    journal.settled(4, [(_id(1), 0, 0)])
    journal.settled(3, [(_id(1), 1, 0), (_id(9), 0, 0)])

    assert len(journal) == 1


def test_a_journal_of_settled_mails_stays_small(journal: Journal, tmp_path: Path) -> None:
    """Twenty segments' worth goes through it; never more than one segment is there."""
    for number in range(20 * SEGMENT_BYTES // 80):
        journal.append(3, _id(number), 0, 0, REPLY)
        journal.settled(3, [(_id(number), 0, 0)])

    assert _size(tmp_path) <= SEGMENT_BYTES + 1_000


def test_mails_that_never_settle_do_not_keep_their_segments(
    journal: Journal, tmp_path: Path, clock: ManualClock
) -> None:
    """Few mails in many segments are written together; all of them are still there."""
    stuck = set()
    for number in range(40 * SEGMENT_BYTES // 80):
        journal.append(3, _id(number), 0, 0, REPLY)
        if number % 1_000:
            journal.settled(3, [(_id(number), 0, 0)])
        else:
            stuck.add((_id(number), 0, 0))

    assert _size(tmp_path) <= (journals.MOST_SEGMENTS + 1) * (SEGMENT_BYTES + 1_000)
    assert stuck <= set(read_journals(tmp_path, PREFIX, 3))
    assert len(journal) == len(stuck)
    journal.close()
    assert stuck <= set(read_journals(tmp_path, PREFIX, 3))


def test_a_journal_that_nobody_settles_is_bounded(journal: Journal, tmp_path: Path) -> None:
    """The newest are kept: they are the ones whose mails are still to be read again."""
    with capture_logs() as logs:
        for number in range(journals.MOST_WAITING + 20_000):
            journal.append(3, _id(number), 0, 0, REPLY)

    kept = read_journals(tmp_path, PREFIX, 3)
    assert journals.MOST_WAITING <= len(kept) <= journals.MOST_WAITING + 2 * SEGMENT_BYTES // 80
    assert (_id(journals.MOST_WAITING + 19_999), 0, 0) in kept
    assert "journal.overflow" in {line["event"] for line in logs}


def test_an_acceptance_that_comes_again_counts_once(journal: Journal, tmp_path: Path) -> None:
    """Its newest reply is the one that is told."""
    journal.append(3, _id(1), 0, 0, "first")
    journal.append(3, _id(1), 0, 0, "second")
    assert read_journals(tmp_path, PREFIX, 3) == {(_id(1), 0, 0): "second"}

    journal.settled(3, [(_id(1), 0, 0)])
    journal.close()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written_takes_only_the_journal_away(
    tmp_path: Path, clock: ManualClock
) -> None:
    """It is told once, and no mail is held up; once the disk is well the journal is, too."""
    directory = tmp_path / "state"
    directory.write_text("a file in the way")
    with capture_logs() as logs:
        journal = Journal(directory, PREFIX, 0, clock)
        journal.append(3, _id(1), 0, 0, REPLY)
        journal.append(3, _id(2), 0, 0, REPLY)
        journal.settled(3, [(_id(1), 0, 0)])
    assert [line["event"] for line in logs] == ["journal.unwritable"]

    directory.unlink()
    journal.append(3, _id(3), 0, 0, REPLY)
    assert set(read_journals(directory, PREFIX, 3)) == {(_id(3), 0, 0)}
    journal.close()


def test_files_that_vanish_are_left_out(journal: Journal, tmp_path: Path) -> None:
    """A sibling deletes what it does not need while somebody else reads."""
    journal.append(3, _id(1), 0, 0, REPLY)
    (tmp_path / f"{PREFIX}.worker-5.journal.1").symlink_to(tmp_path / "gone")

    assert set(read_journals(tmp_path, PREFIX, 3)) == {(_id(1), 0, 0)}


def test_a_segment_takes_its_room_at_once(journal: Journal, tmp_path: Path) -> None:
    """Writing through a map into a hole would end the process where the disk is full."""
    journal.append(3, _id(1), 0, 0, "250 Ok")

    ((_, path),) = segments(tmp_path, PREFIX)
    assert path.stat().st_blocks * 512 >= SEGMENT_BYTES
    assert read_journals(tmp_path, PREFIX, 3) == {(_id(1), 0, 0): "250 Ok"}
