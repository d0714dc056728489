"""Offset tracking: only a finished prefix is ever committed."""

import random as randoms

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.offsets import OffsetTracker


def begun(*offsets: int) -> OffsetTracker[str]:
    """Return a tracker in which these records run."""
    tracker: OffsetTracker[str] = OffsetTracker()
    for offset in offsets:
        tracker.add(offset)
        tracker.start(offset)
    return tracker


def test_a_running_record_holds_back_everything_behind_it() -> None:
    """Offset 1 runs, 0 and 2 are finished: only 0 may be committed."""
    tracker = begun(0, 1, 2)
    tracker.finish(2, "c")
    tracker.finish(0, "a")
    assert tracker.take() == (1, ["a"])
    assert tracker.take() == (None, [])
    tracker.finish(1, "b")
    assert tracker.take() == (3, ["b", "c"])


def test_a_waiting_record_holds_back_what_began_before_its_turn() -> None:
    """A tier's later record may be due first: its offset waits for the earlier one."""
    tracker: OffsetTracker[str] = OffsetTracker()
    tracker.add(0)
    tracker.add(1)
    tracker.start(1)
    tracker.finish(1, "b")
    assert tracker.take() == (None, [])
    assert (tracker.pending, tracker.running) == (1, 0)
    tracker.start(0)
    tracker.finish(0, "a")
    assert tracker.take() == (2, ["a", "b"])


def test_results_that_may_go_ahead_do_not_wait_for_the_prefix() -> None:
    """What the ledger can tell when it is read again is taken at once; its offset is not."""
    tracker = begun(0, 1, 2)
    tracker.finish(1, "b", ahead=True)
    tracker.finish(2, "c")
    assert tracker.take() == (None, ["b"])
    assert tracker.position == 0
    tracker.finish(0, "a", ahead=True)
    assert tracker.take() == (3, ["a", "c"])
    assert tracker.position is None


def test_an_offset_that_was_never_seen_counts_as_done() -> None:
    """The gap rule: transaction markers and compacted records do not hold a prefix back."""
    tracker = begun(5, 9)
    tracker.finish(5, "a")
    tracker.finish(9, "b")
    assert tracker.take() == (10, ["a", "b"])


def test_a_record_that_was_given_up_is_never_passed() -> None:
    """What was not sent stays in Kafka, with everything behind it."""
    tracker = begun(0, 1)
    tracker.give_up(0)
    tracker.finish(1, "b")
    assert tracker.running == 0
    assert tracker.take() == (None, [])


def test_what_a_client_reads_again_is_not_added_again() -> None:
    """A client that goes back repeats what is here, finished or not."""
    tracker = begun(3, 4)
    tracker.finish(3, "a")
    assert tracker.take() == (4, ["a"])
    assert [tracker.add(offset) for offset in (0, 3, 4, 5)] == [False, False, False, True]
    assert (tracker.pending, tracker.running) == (1, 1)


def test_a_record_begins_once() -> None:
    """Neither a running record nor one that was never read can begin."""
    tracker = begun(3)
    with pytest.raises(KeyError):
        tracker.start(3)
    with pytest.raises(KeyError):
        tracker.start(4)


@given(
    st.lists(st.integers(0, 200), unique=True, min_size=1, max_size=40).map(sorted),
    st.randoms(use_true_random=False),
    st.sets(st.integers(0, 200)),
)
def test_every_result_is_taken_once_and_no_offset_before_its_predecessors(
    offsets: list[int], random: randoms.Random, ahead: set[int]
) -> None:
    """In whatever order records begin and finish, each result comes out exactly once."""
    tracker: OffsetTracker[int] = OffsetTracker()
    for offset in offsets:
        tracker.add(offset)
    order = offsets.copy()
    random.shuffle(order)
    finished: set[int] = set()
    taken: list[int] = []
    for offset in order:
        tracker.start(offset)
        tracker.finish(offset, offset, ahead=offset in ahead)
        finished.add(offset)
        next_offset, results = tracker.take()
        taken += results
        if offset in ahead:
            assert offset in results
        if next_offset is not None:
            assert all(o in finished for o in offsets if o < next_offset)
    assert sorted(taken) == offsets
    assert tracker.pending == tracker.running == 0
    assert tracker.idle
