"""What a worker tells of its outages: when, what of it, and that nothing hangs on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage
from consumers.mailer.notices import MOST_TOLD, NoticeParts, Notices, is_due, notice_of
from consumers.mailer.outages import OpenOutage
from retry_topics.failure import Failure, FailureClass, Phase, Scope
from runtime.clock import SystemClock
from runtime.kafka.errors import KafkaUnreachable
from runtime.kafka.records import OutRecord
from schemas.outages import KnownOutage, WorkerOutages, read_outages
from tests.support.wait import wait_until

NOW = 1_800_000_000_000
MINUTE_MS = 60_000
BOTH = frozenset({Blame.RELAY, Blame.SENDER})


def out(kind: Blame = Blame.RELAY, name: str = "smtp:587", since: int = NOW, text: str = "no"):
    failure = Failure(Scope.SENDER, FailureClass.CONFIG, Phase.AUTH, text, "auth", 535, "5.7.8")
    return OpenOutage(kind, name, Outage(failure, since))


RELAY_OUT = notice_of("w-0", NOW, [out()], BOTH, [0, 3])


def test_a_notice_has_what_a_person_asks_for() -> None:
    """Which worker, which lanes, what, since when, and the relay's words."""
    assert (
        WorkerOutages(
            "w-0",
            NOW,
            (0, 3),
            (KnownOutage("relay", "smtp:587", "535 5.7.8 no", "auth", NOW, True),),
        )
        == RELAY_OUT
    )


def test_what_pauses_the_lanes_comes_first_and_of_too_much_the_oldest() -> None:
    """Hundreds of domains do not hide the relay."""
    domains = [out(Blame.DOMAIN, f"{n}.example", NOW - 99 + n) for n in range(MOST_TOLD + 10)]
    told = notice_of("w-0", NOW, [*domains, out()], BOTH, [1]).outages
    assert [(o.what, o.pauses) for o in told[:2]] == [("smtp:587", True), ("0.example", False)]
    assert len(told) == MOST_TOLD


def test_one_relay_of_two_pauses_nothing() -> None:
    """Its mails go through the other."""
    (told,) = notice_of("w-0", NOW, [out()], (), [1]).outages
    assert not told.pauses


def test_a_worker_with_nothing_out_tells_just_that() -> None:
    """Its lanes are nobody's business then, so that a rebalance is no news."""
    assert notice_of("w-0", NOW, [], (), [0, 1]) == WorkerOutages("w-0", NOW)


@given(st.text(max_size=700))
def test_any_reason_is_short_and_can_be_written(text: str) -> None:
    """Whatever a failure's text holds; recipients in it are masked."""
    outage = out(text=f"<ada@example.com> {text}")
    (told,) = notice_of("w-0", NOW, [outage], BOTH, [0]).outages
    assert len(told.reason) <= 300
    assert told.reason.encode()
    assert "ada@" not in told.reason


@pytest.mark.parametrize(
    ("current", "told", "due"),
    [
        pytest.param(WorkerOutages("w-0", NOW), None, True, id="a start"),
        pytest.param(WorkerOutages("w-0", NOW), WorkerOutages("w-0", 0), False, id="all is well"),
        pytest.param(RELAY_OUT, WorkerOutages("w-0", NOW), True, id="something went out"),
        pytest.param(WorkerOutages("w-0", NOW), RELAY_OUT, True, id="it is back"),
        pytest.param(replace(RELAY_OUT, lanes=(0,)), RELAY_OUT, True, id="a lane moved"),
        pytest.param(replace(RELAY_OUT, at=NOW + MINUTE_MS - 1), RELAY_OUT, False, id="unchanged"),
        pytest.param(replace(RELAY_OUT, at=NOW + MINUTE_MS), RELAY_OUT, True, id="for a minute"),
        pytest.param(replace(RELAY_OUT, at=NOW - MINUTE_MS), RELAY_OUT, True, id="set back"),
    ],
)  # fmt: skip
def test_it_is_told_when_it_changes_and_again_while_it_lasts(
    current: WorkerOutages, told: WorkerOutages | None, due: bool
) -> None:
    """And once at the start, which takes back what a killed worker of the same name told."""
    assert is_due(current, told) is due


@dataclass
class Topic:
    """Keeps what is written; `away` refuses it."""

    told: list[WorkerOutages] = field(default_factory=list)
    away: bool = False
    asked: int = 0

    def write(self, record: OutRecord) -> None:
        self.asked += 1
        if self.away:
            raise KafkaUnreachable("kafka:9092", "nobody answers")
        assert (record.topic, record.key) == ("mails.outages", b"w-0")
        self.told.append(read_outages(record.value))


@contextmanager
def telling(topic: Topic, outages: Callable[[], list[OpenOutage]]) -> Iterator[None]:
    parts = NoticeParts(
        "mails.outages", "w-0", outages, lambda: BOTH, lambda: [0], topic.write, SystemClock()
    )
    notices = Notices(parts)
    notices.start()
    yield
    notices.close(5)


def test_a_worker_that_stops_takes_back_what_it_told() -> None:
    """Nobody waits on the word of one that is gone."""
    topic = Topic()
    with telling(topic, lambda: [out()]):
        wait_until(lambda: bool(topic.told), 5, "a notice")
    assert [len(notice.outages) for notice in topic.told] == [1, 0]


def test_a_worker_with_nothing_to_take_back_stops_without_a_word() -> None:
    """It has said at its start that all is well."""
    topic = Topic()
    with telling(topic, list):
        wait_until(lambda: bool(topic.told), 5, "a notice")
    assert [notice.outages for notice in topic.told] == [()]


def test_a_topic_that_cannot_be_written_to_harms_nobody() -> None:
    """It is left alone for a while, and the worker stops at once all the same."""
    topic = Topic(away=True)
    with telling(topic, lambda: [out()]):
        wait_until(lambda: topic.asked > 0, 5, "an attempt")
    assert (topic.asked, topic.told) == (1, [])
