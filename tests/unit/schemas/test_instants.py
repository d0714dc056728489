"""Instants: written in UTC, read in any time zone, refused without one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.instants import parse_instant, show_instant, write_instant

#: 2001-09-09T01:46:40Z
BILLION = 1_000_000_000_000


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2001-09-09T01:46:40Z", BILLION),
        ("2001-09-09T01:46:40.25Z", BILLION + 250),
        ("2001-09-09T01:46:40.123456789Z", BILLION + 123),
        ("2001-09-09t01:46:40z", BILLION),
        ("2001-09-09 03:46:40+02:00", BILLION),
        ("2001-09-08T19:46:40-06:00", BILLION),
    ],
)
def test_an_instant_is_read_in_any_time_zone(text: str, instant: int) -> None:
    """To the millisecond; what is finer is cut off."""
    assert parse_instant(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2001-09-09",
        "2001-09-09T01:46:40",
        "2001-09-09T01:46Z",
        "20010909T014640Z",
        "2001-13-09T01:46:40Z",
        "2001-09-09T24:46:40Z",
        "2001-09-09T01:46:40Z ",
        "0001-01-01T00:00:00+99:99",
        "٢٠٠١-09-09T01:46:40Z",
    ],
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    """With an example of one."""
    with pytest.raises(ValueError, match="such as 2031-01-31T09:00:00Z"):
        parse_instant(text)


@given(st.integers(0, 250_000_000_000_000))
def test_what_was_written_is_read_back(instant: int) -> None:
    """People see the same without the milliseconds."""
    assert parse_instant(write_instant(instant)) == instant
    assert parse_instant(show_instant(instant)) == instant - instant % 1000
