"""Counting what waits in the tiers."""

from console.stack.live import status_line
from console.stack.watch import Waiting
from runtime.kafka.records import Partition, Record


def record(topic: str, partition: int, offset: int) -> Record:
    """Return a record at a place."""
    return Record(topic, partition, offset, 0, None, None, ())


def test_a_record_waits_until_the_group_is_past_it() -> None:
    """Markers between the records take offsets and are not counted."""
    waiting = Waiting()
    waiting.add([record("t", 0, 0), record("t", 0, 2), record("t", 1, 7), record("u", 0, 1)])
    assert (waiting.count("t"), waiting.count("u")) == (3, 1)

    waiting.pass_by({Partition("t", 0): 1})
    assert waiting.count("t") == 2

    waiting.pass_by({Partition("t", 0): 3, Partition("t", 1): 8, Partition("u", 0): 2})
    assert (waiting.count("t"), waiting.count("u")) == (0, 0)


def test_the_status_is_one_line() -> None:
    """Everything that matters, tiers in their order."""
    assert status_line(5, 3, {"2s": 1, "4s": 0}, 1) == (
        "accepted 5 | sent 3 | waiting  2s: 1  4s: 0 | dead-lettered 1"
    )
