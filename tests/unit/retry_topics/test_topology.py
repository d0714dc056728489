"""Topology: names, tiers and durations."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from retry_topics.topology import Topology, parse_duration, parse_tiers


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("500ms", 500), ("30s", 30_000), ("10m", 600_000), ("1h", 3_600_000), ("7d", 604_800_000)],
)
def test_durations(text: str, milliseconds: int) -> None:
    """One whole number and a unit."""
    assert parse_duration(text) == milliseconds


@given(st.text(max_size=12))
def test_any_other_text_is_refused_with_a_value_error(text: str) -> None:
    """Nothing but a duration is taken for one."""
    assume(not re.fullmatch(r"\s*[1-9][0-9]{0,8}(ms|s|m|h|d)\s*", text))
    with pytest.raises(ValueError, match="write for example"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", ",", "1h,1m", "1m,60s", "1m,,x", "1m,1m"])
def test_tiers_that_do_not_ascend_are_refused(text: str) -> None:
    """The ladder needs ascending delays."""
    with pytest.raises(ValueError, match=r"tier|duration"):
        parse_tiers(text)


def test_the_names_of_the_topics() -> None:
    """Every name starts with the prefix, the group's too."""
    topology = Topology("signup-events", parse_tiers("1m,10m,1h"), 8)
    assert topology.consumed == (
        "signup-events",
        "signup-events.retry.1m",
        "signup-events.retry.10m",
        "signup-events.retry.1h",
        "signup-events.control",
    )
    assert (topology.dlt, topology.group) == ("signup-events.dlt", "signup-events.mailer")
    assert topology.tier_of("signup-events.retry.10m") == topology.tiers[1]
    assert topology.tier_of("signup-events") is None
