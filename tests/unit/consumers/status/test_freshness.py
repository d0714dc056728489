"""For how long the status view has not known everything."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.status.freshness import Freshness
from runtime.kafka.records import Partition

ONE, TWO = Partition("t", 0), Partition("t", 1)


def test_a_view_that_has_everything_is_fresh() -> None:
    """Also where nothing was written for an hour."""
    freshness = Freshness(began=1_000)
    freshness.took({ONE: 0, TWO: 0}, {}, 3_600_000)

    assert freshness.seconds(3_600_000) == 0
    # Nothing was heard for two seconds: what came in them may be missing.
    assert freshness.seconds(3_602_000) == 2


def test_a_view_that_lags_knows_what_it_read_last() -> None:
    """The partition that is furthest behind counts."""
    freshness = Freshness(began=1_000)
    freshness.took({ONE: 5, TWO: 0}, {ONE: 60_000}, 100_000)

    assert freshness.seconds(100_000) == 40
    freshness.took({ONE: 2, TWO: 0}, {ONE: 90_000}, 101_000)
    assert freshness.seconds(101_000) == 11
    freshness.took({ONE: 0, TWO: 0}, {}, 102_000)
    assert freshness.seconds(102_000) == 0


def test_a_partition_that_was_never_read_is_behind_since_the_start() -> None:
    """Nobody knows how old what is in it is."""
    freshness = Freshness(began=1_000)
    assert freshness.seconds(6_000) == 5
    freshness.took({ONE: 7, TWO: 0}, {}, 9_000)

    assert freshness.seconds(9_000) == 8


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 50), st.integers(0, 10))))
def test_it_is_never_in_the_future_and_never_worse_than_since_the_start(
    steps: list[tuple[int, int, int]],
) -> None:
    """Whatever the records' clocks say."""
    freshness = Freshness(began=10)
    now = 10
    for left, written, passed in steps:
        now += passed
        freshness.took({ONE: left}, {ONE: written}, now)

        assert 0 <= freshness.seconds(now) <= (now - 10) / 1000
