"""Offset tracking: only a finished prefix is ever committed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.offsets import OffsetTracker


def test_a_running_record_holds_back_everything_behind_it() -> None:
    """Offset 1 runs, 0 and 2 are finished: only 0 may be committed."""
    tracker: OffsetTracker[str] = OffsetTracker()
    for offset in (0, 1, 2):
        tracker.start(offset)
    tracker.finish(2, "c")
    tracker.finish(0, "a")
    assert tracker.take() == (1, ["a"])
    assert tracker.take() is None
    tracker.finish(1, "b")
    assert tracker.take() == (3, ["b", "c"])


def test_an_offset_that_was_never_seen_counts_as_done() -> None:
    """The gap rule: transaction markers and compacted records do not hold a prefix back."""
    tracker: OffsetTracker[str] = OffsetTracker()
    tracker.start(5)
    tracker.start(9)
    tracker.finish(5, "a")
    tracker.finish(9, "b")
    assert tracker.take() == (10, ["a", "b"])


def test_a_record_that_was_given_up_is_never_passed() -> None:
    """What was not sent stays in Kafka, with everything behind it."""
    tracker: OffsetTracker[str] = OffsetTracker()
    tracker.start(0)
    tracker.start(1)
    tracker.give_up(0)
    tracker.finish(1, "b")
    assert tracker.running == 0
    assert tracker.take() is None


def test_offsets_only_go_forward() -> None:
    """Starting an earlier offset is an error of the caller."""
    tracker: OffsetTracker[str] = OffsetTracker()
    tracker.start(3)
    with pytest.raises(ValueError, match="3"):
        tracker.start(3)


@given(
    st.lists(st.integers(0, 200), unique=True, min_size=1, max_size=40).map(sorted),
    st.randoms(use_true_random=False),
)
def test_every_result_is_taken_once_and_never_before_its_predecessors(
    offsets: list[int], random: "object"
) -> None:
    """In whatever order records finish, results come out in order, each exactly once."""
    tracker: OffsetTracker[int] = OffsetTracker()
    for offset in offsets:
        tracker.start(offset)
    order = offsets.copy()
    random.shuffle(order)  # type: ignore[attr-defined]  # hypothesis' random.Random
    finished: set[int] = set()
    taken: list[int] = []
    for offset in order:
        tracker.finish(offset, offset)
        finished.add(offset)
        if (ready := tracker.take()) is not None:
            next_offset, results = ready
            taken += results
            assert next_offset == taken[-1] + 1
            assert all(o in finished for o in offsets if o < next_offset)
    assert taken == offsets
    assert tracker.pending == tracker.running == 0
