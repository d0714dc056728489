"""The record that is sent again: what it keeps of the one on the dead-letter topic."""

import pytest

from retry_topics.again import to_main
from retry_topics.headers import Attempt, Death, Journey, Origin, read_journey, write_journey
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.records import Record

TOPOLOGY = Topology("mails", parse_tiers("1m"), 4)
ATTEMPT = Attempt(1, 5, "w1", "message", "ambiguous", "dot", "no-reply-to-dot", "broke")
DEAD = Journey(
    attempts=1,
    generation=2,
    due_at=9,
    first_attempt_at=5,
    origin=Origin("mails", 3, 7, 1),
    history=(ATTEMPT,),
    omitted=4,
    death=Death(6, "held", "nobody knows"),
)


def dead(key: bytes | None) -> Record:
    headers = write_journey((("ce_id", b"x"),), DEAD)
    return Record("mails.dlt", 3, 11, 6, key, b"value", headers)


@pytest.mark.parametrize(("keep", "history", "omitted"), [(True, (ATTEMPT,), 4), (False, (), 0)])
def test_it_begins_anew_and_keeps_its_past(
    keep: bool, history: tuple[Attempt, ...], omitted: int
) -> None:
    """No attempts, no due time, no death; the same key, value and foreign headers."""
    again = to_main(dead(b"lane"), DEAD, 3, TOPOLOGY, keep_history=keep)

    assert (again.topic, again.key, again.value) == ("mails", b"lane", b"value")
    assert again.headers[0] == ("ce_id", b"x")
    assert read_journey(again.headers) == Journey(
        generation=3,
        first_attempt_at=5,
        origin=Origin("mails", 3, 7, 1),
        history=history,
        omitted=omitted,
    )


@pytest.mark.parametrize(("key", "partition"), [(b"lane", None), (None, 3)])
def test_its_key_chooses_the_partition(key: bytes | None, partition: int | None) -> None:
    """One without a key stays in the lane that it was in."""
    assert to_main(dead(key), DEAD, 3, TOPOLOGY, keep_history=True).partition == partition
