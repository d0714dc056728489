"""The arithmetic of lag: what is counted, what is estimated, what is overdue."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.exporter.lag import (
    LaneLag,
    Oldest,
    age_ms,
    needs_sample,
    next_offset,
    records_left,
    topic_lag,
)
from runtime.kafka.heads import Sample
from runtime.kafka.topics import Span

#: A partition from its start on: which offsets are records; the others are markers.
PARTITIONS = st.lists(st.booleans(), max_size=60)


def sampled(partition: list[bool], at: int, most: int) -> Sample:
    """Return what a reader of the whole partition would say of it from an offset on."""
    records = 0
    for offset in range(at, len(partition)):
        records += partition[offset]
        if records == most:
            return Sample(at, offset + 1, records, None)
    return Sample(at, len(partition), records, None)


@given(PARTITIONS, st.data())
def test_what_was_looked_at_is_counted_exactly(partition: list[bool], data: st.DataObject) -> None:
    """However many of the offsets are markers."""
    at = data.draw(st.integers(0, len(partition)))
    sample = sampled(partition, at, len(partition) + 1)

    assert records_left(sample, len(partition)) == sum(partition[at:])


@given(PARTITIONS, st.integers(1, 10), st.data())
def test_an_estimate_is_between_what_was_seen_and_all_offsets(
    partition: list[bool], most: int, data: st.DataObject
) -> None:
    """And is zero only where nothing is left."""
    at = data.draw(st.integers(0, len(partition)))
    sample = sampled(partition, at, most)
    left = records_left(sample, len(partition))

    assert sample.records <= left <= len(partition) - at
    assert bool(left) == (sample.records > 0)


@given(st.integers(1, 200), st.integers(0, 200), st.integers(0, 10_000))
def test_what_comes_behind_is_taken_to_be_of_the_same_mixture(
    records: int, markers: int, beyond: int
) -> None:
    """Without markers every offset is a record; with one a record, every second is."""
    sample = Sample(0, records + markers, records, None)

    assert records_left(sample, records + markers + beyond) == records + round(
        beyond * records / (records + markers)
    )


def test_what_nobody_could_read_counts_in_full() -> None:
    """An open transaction at the head of a lane hides mails, so it is lag."""
    assert records_left(Sample(7, 7, 0, None), 12) == 5
    assert records_left(Sample(7, 9, 0, None), 12) == 3


@given(st.none() | st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_the_group_goes_on_inside_the_partition(
    committed: int | None, start: int, length: int
) -> None:
    """From the start where nothing was committed, or where what was is deleted."""
    span = Span(start, start + length)
    at = next_offset(committed, span)

    assert span.start <= at <= span.end
    if committed is None:
        assert at == span.start
    elif span.start <= committed <= span.end:
        assert at == committed


@given(PARTITIONS, st.integers(1, 5), st.data())
def test_a_lane_is_read_again_only_when_that_tells_something(
    partition: list[bool], most: int, data: st.DataObject
) -> None:
    """Not while it stands still, however much comes behind the records that were counted."""
    at = data.draw(st.integers(0, len(partition)))
    end = len(partition)
    sample = sampled(partition, at, most)

    assert needs_sample(None, at, end, most) == (at < end)
    assert not needs_sample(sample, at, end, most)
    assert needs_sample(sample, at, end + 1, most) == (sample.records < most)
    assert needs_sample(sample, at + 1, end + 2, most)
    assert needs_sample(sample._replace(reached=end + 1), at, end, most) == (at < end)


def test_a_topic_is_as_late_as_its_latest_lane() -> None:
    """Due times are in the past or not; the oldest record is the one that retention eats first."""
    lanes = [
        LaneLag(10, 3, Oldest(written_at=1_000, due_at=9_000)),
        LaneLag(20, 1, Oldest(written_at=4_000, due_at=5_000)),
        LaneLag(30, 0, None),
    ]
    now = 8_000

    lag = topic_lag(lanes, 60_000, now)

    assert (lag.committed, lag.overdue_ms, lag.retention_left_ms) == (60, 3_000, 53_000)
    assert topic_lag(lanes, 5_000, now).retention_left_ms == 0
    assert topic_lag(lanes, None, now).retention_left_ms is None
    assert topic_lag(lanes[2:], 60_000, now)[1:] == (0, 60_000)


@given(st.integers(0, 100), st.integers(0, 100))
def test_nothing_is_younger_than_nothing(written: int, now: int) -> None:
    """A clock that is behind makes no negative age, and no lag has no age."""
    assert age_ms(Oldest(written, written), now) == max(0, now - written)
    assert age_ms(None, now) == 0


def test_an_age_is_unknown_where_nothing_could_be_read() -> None:
    """There is lag, and nobody knows how old it is; that is not zero."""
    assert not LaneLag(0, 5, None).is_known
    assert LaneLag(0, 0, None).is_known
    assert LaneLag(0, 5, Oldest(1, 1)).is_known
