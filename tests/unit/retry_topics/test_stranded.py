"""What is left in the topic of a tier that is none any more, and what is said of it."""

from hypothesis import given
from hypothesis import strategies as st

from retry_topics.stranded import told, unread
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import Partition
from runtime.kafka.topics import Span

OFFSETS = st.integers(0, 20)
PARTITION = Partition("mails.retry.1h", 0)


@given(OFFSETS, OFFSETS, st.none() | OFFSETS)
def test_everything_behind_what_is_committed_is_left(
    start: int, length: int, committed: int | None
) -> None:
    """Where the group never committed, that is everything; what retention took is not."""
    span = Span(start, start + length)

    left = unread({PARTITION: span}, {} if committed is None else {PARTITION: committed})

    expected = set(range(start, start + length)) - set(range(committed or 0))
    assert {n for part in left.values() for n in range(part.start, part.end)} == expected
    assert bool(left) is bool(expected)


def test_a_person_is_told_what_to_do() -> None:
    """Which topic, how many mails, and the setting that makes workers read them."""
    topology = Topology("mails", parse_tiers("1m,10m"), 1)

    assert told(topology, "mails.retry.1h", 12) == (
        "mails.retry.1h holds 12 mails, and 1h is no tier, so that nobody would send them; add 1h "
        "to MAILCASCADE_TIERS again until it has run empty"
    )
    assert "1,000 mails or more" in told(topology, "mails.retry.1h", 1_000)
