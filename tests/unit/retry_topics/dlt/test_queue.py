"""The queue: everything once, in each lane's order, and no lane first for all of it."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from retry_topics.dlt.queue import Queue

lanes = st.dictionaries(
    st.integers(0, 7), st.sets(st.integers(0, 500), max_size=40).map(sorted), max_size=5
)


def queue_of(offsets: dict[int, list[int]]) -> Queue:
    return Queue({lane: array("q", of_lane) for lane, of_lane in offsets.items()})


@given(lanes, st.integers(1, 9))
def test_everything_comes_once_and_in_order(offsets: dict[int, list[int]], most: int) -> None:
    """Whatever is taken at a time."""
    queue = queue_of(offsets)
    taken: dict[int, list[int]] = {lane: [] for lane in offsets}
    while len(queue):
        some = queue.take(most)
        assert 0 < sum(map(len, some.values())) <= most
        for lane, of_lane in some.items():
            taken[lane] += of_lane

    assert taken == offsets


@given(lanes, st.integers(0, 60))
def test_the_first_few_are_of_as_many_lanes_as_possible(
    offsets: dict[int, list[int]], count: int
) -> None:
    """A canary tries all workers, not one."""
    total = sum(map(len, offsets.values()))
    queue = queue_of(offsets)
    taken = queue.take(count)

    assert sum(map(len, taken.values())) == min(count, total)
    assert len(queue) == total - min(count, total)
    filled = sum(1 for of_lane in offsets.values() if of_lane)
    assert len(taken) == min(filled, count)
