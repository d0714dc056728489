"""What is paused is known from the topic's beginning to its end, or nothing is known of it."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.mailer.switchboard import TRUSTED_SECONDS, Reading, Switchboard, SwitchboardParts
from runtime.kafka.errors import KafkaFault, KafkaUnreachable
from runtime.kafka.follower import Followed, OffsetsLost
from runtime.kafka.records import Partition, Record
from runtime.kafka.topics import Span
from schemas.switches import (
    EVERYTHING,
    Switch,
    Switches,
    SwitchKey,
    SwitchKind,
    write_key,
    write_switch,
)
from tests.support.clock import ManualClock
from tests.support.wait import wait_until

TOPIC = Partition("mails.switches", 0)
TEMPLATE = SwitchKey(SwitchKind.TEMPLATE, "welcome")


class Topic:
    """A topic of one partition, and a broker that can be away, silent or made anew."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.records: list[Record] = []
        self.fault: Exception | None = None
        self.silent = False
        #: What the worker was told, in order.
        self.told: list[Switches | None] = []
        self.reasons: list[str] = []
        self.failures: list[BaseException] = []
        self.followers = 0

    def turn(self, key: SwitchKey, *, off: bool) -> None:
        value = write_switch(Switch(key, 1)) if off else None
        self.write(write_key(key), value)

    def write(self, key: bytes, value: bytes | None) -> None:
        self.records.append(Record(TOPIC.topic, 0, len(self.records), 1, key, value, ()))

    def look(self) -> Mapping[Partition, Span]:
        if self.fault is not None:
            raise self.fault
        return {TOPIC: Span(0, len(self.records))}

    def follow(self, spans: Mapping[Partition, Span]) -> "Follower":
        self.followers += 1
        return Follower(self, spans[TOPIC].start)

    def tell(self, switches: Switches | None, reason: str) -> None:
        self.told.append(switches)
        self.reasons.append(reason)

    def until_told(self, *keys: SwitchKey) -> None:
        """Wait until the worker takes exactly these for paused."""
        wait_until(lambda: self._last() == set(keys), 10, f"the worker to know {keys}")

    def until_unknown(self) -> None:
        wait_until(lambda: bool(self.told) and self.told[-1] is None, 10, "the worker to doubt")

    def _last(self) -> set[SwitchKey] | None:
        last = self.told[-1] if self.told else None
        return None if last is None else set(last.off)


class Follower:
    """Reads a topic from an offset on."""

    def __init__(self, topic: Topic, start: int) -> None:
        self._topic = topic
        self._next = start

    def take(self, most: int, seconds: float) -> Followed:
        if self._topic.silent:
            time.sleep(0.001)
            return Followed([], {})
        found = self._topic.records[self._next : self._next + 1]
        self._next += len(found)
        if not found:
            time.sleep(0.001)
        return Followed(found, {TOPIC: self._next})

    def close(self) -> None:
        pass


@pytest.fixture
def topic() -> Topic:
    return Topic(ManualClock())


@contextmanager
def following(topic: Topic) -> Iterator[None]:
    parts = SwitchboardParts(
        topic.look, topic.follow, topic.tell, topic.failures.append, topic.clock
    )
    board = Switchboard(parts, 0.001)
    before = set(threading.enumerate())
    board.start()
    try:
        yield
    finally:
        board.close(10)
        assert set(threading.enumerate()) <= before


def pass_time(topic: Topic, seconds: float) -> None:
    """Let time pass in steps in which the thread has turns."""
    for _ in range(round(seconds)):
        topic.clock.advance(1)
        time.sleep(0.002)


def test_nothing_is_told_before_the_topic_was_read_to_its_end(topic: Topic) -> None:
    """Whatever is paused by then is known at once, not one after the other."""
    for key in (TEMPLATE, EVERYTHING):
        topic.turn(key, off=True)
    with following(topic):
        topic.until_told(TEMPLATE, EVERYTHING)
        assert len(topic.told) == 1
        topic.turn(EVERYTHING, off=False)
        topic.until_told(TEMPLATE)
    assert topic.failures == []


def test_an_empty_topic_pauses_nothing(topic: Topic) -> None:
    """That is known as soon as somebody looked."""
    with following(topic):
        topic.until_told()


def test_a_topic_that_cannot_be_read_is_told_and_read_when_it_can(topic: Topic) -> None:
    """Also where no broker answers when the worker starts."""
    topic.turn(TEMPLATE, off=True)
    topic.fault = KafkaUnreachable("kafka:9092", "nobody answers")
    with following(topic):
        pass_time(topic, 6)
        topic.until_unknown()
        assert topic.reasons == ["no Kafka answers at kafka:9092: nobody answers"]
        topic.fault = None
        topic.until_told(TEMPLATE)


@pytest.mark.parametrize("silent", [True, False])
def test_what_nobody_confirms_any_more_is_not_trusted(topic: Topic, silent: bool) -> None:
    """A broker that says nothing may keep a pause from us; until then what is known counts."""
    with following(topic):
        topic.until_told()
        topic.silent = silent
        topic.turn(TEMPLATE, off=True)
        if not silent:
            topic.until_told(TEMPLATE)
            topic.fault = KafkaUnreachable("kafka:9092", "nobody answers")
        pass_time(topic, TRUSTED_SECONDS - 8)
        assert None not in topic.told
        pass_time(topic, 16)
        topic.until_unknown()
        topic.silent, topic.fault = False, None
        topic.until_told(TEMPLATE)


def test_a_topic_that_was_made_anew_is_read_from_its_beginning(topic: Topic) -> None:
    """What the old one said is forgotten."""
    topic.turn(TEMPLATE, off=True)
    topic.turn(EVERYTHING, off=True)
    with following(topic):
        topic.until_told(TEMPLATE, EVERYTHING)
        topic.records = []
        pass_time(topic, 6)
        topic.until_told()
        assert topic.followers == 2


@pytest.mark.parametrize("fault", [OffsetsLost("gone", ""), KafkaFault("no", "")])
def test_a_fault_in_between_changes_nothing_that_is_known(topic: Topic, fault: KafkaFault) -> None:
    """It is read again; nobody hears of that."""
    topic.turn(TEMPLATE, off=True)
    with following(topic):
        topic.until_told(TEMPLATE)
        topic.fault = fault
        pass_time(topic, 6)
        topic.fault = None
        wait_until(lambda: topic.followers == 2, 10, "the topic to be read again")
        topic.turn(EVERYTHING, off=True)
        topic.until_told(TEMPLATE, EVERYTHING)
    assert None not in topic.told


def test_a_fault_of_our_own_ends_the_worker(topic: Topic) -> None:
    """It is not to send for ever by what it knew once."""
    topic.fault = ZeroDivisionError()
    with following(topic):
        wait_until(lambda: bool(topic.failures), 10, "the fault to be told")


def test_a_key_that_names_nothing_is_passed_over(topic: Topic) -> None:
    """What follows counts."""
    topic.write(b"mood:bad", b"x")
    topic.turn(TEMPLATE, off=True)
    with following(topic):
        topic.until_told(TEMPLATE)


@given(st.lists(st.sampled_from([TEMPLATE, EVERYTHING]), max_size=8), st.data())
def test_a_reading_is_complete_where_its_end_is_reached(
    keys: Sequence[SwitchKey], data: st.DataObject
) -> None:
    """However the records come in, and whatever is added meanwhile."""
    split = data.draw(st.integers(0, len(keys)))
    records = [
        Record(TOPIC.topic, 0, n, 1, write_key(key), write_switch(Switch(key, n)), ())
        for n, key in enumerate(keys)
    ]
    reading = Reading({TOPIC: Span(0, split)})
    assert reading.complete == (split == 0)
    assert reading.add(records[:split], {TOPIC: split} if split else {}) == []
    assert reading.complete
    assert reading.goes_on({TOPIC: Span(0, len(keys))})
    assert reading.complete == (split == len(keys))
    reading.add(records[split:], {TOPIC: len(keys)})
    assert reading.complete
    assert set(reading.switches.off) == set(keys)
    assert reading.goes_on({TOPIC: Span(0, 0)}) == (not keys)
    assert not reading.goes_on({Partition("other", 0): Span(0, 0)})
