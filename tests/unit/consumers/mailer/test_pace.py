"""The more end in a while, the longer they wait to be committed together, within bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.pace import is_due

SECONDS = st.floats(0, 1)
ENDED = st.integers(0, 100_000)


def interval(rate: int) -> float:
    """Return after how many seconds as many a second are committed, looking every millisecond."""
    return next(at / 1000 for at in range(1_000) if is_due(at / 1000, round(rate * at / 1000)))


@pytest.mark.parametrize(
    ("rate", "seconds"),
    [(1, 0.05), (1_250, 0.05), (2_500, 0.1), (4_000, 0.16), (5_000, 0.2), (50_000, 0.2)],
)
def test_the_interval_follows_the_rate(rate: int, seconds: float) -> None:
    """A slow relay's mails wait for twenty transactions a second, a swift one's for five."""
    assert interval(rate) == pytest.approx(seconds, abs=0.002)


@given(SECONDS, ENDED)
def test_the_wait_is_bounded(seconds: float, ended: int) -> None:
    """Whatever ends, nothing is due before 50 ms, and everything after 200 ms."""
    assert is_due(seconds, ended) <= (seconds >= 0.05)
    assert is_due(seconds, ended) >= (seconds >= 0.2)


@given(SECONDS, ENDED, st.floats(0, 1), st.integers(0, 1_000))
def test_what_is_due_stays_due(seconds: float, ended: int, later: float, fewer: int) -> None:
    """Neither does time take it back, nor would it if fewer had ended."""
    if is_due(seconds, ended):
        assert is_due(seconds + later, max(0, ended - fewer))
