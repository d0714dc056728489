"""Several relays share the mails by weight, and nobody's mail waits for one that is out."""

from collections import Counter
from collections.abc import Sequence

import pytest

from consumers.delivery.figures import PoolFigures, RelayFigures
from consumers.delivery.message import Message
from consumers.delivery.protocol import Begins
from consumers.delivery.relays import OUT_SECONDS, Relay, RelayGroup
from retry_topics.failure import (
    Accepted,
    Ambiguous,
    Failure,
    FailureClass,
    Outcome,
    Phase,
    Scope,
)
from tests.support.clock import ManualClock

MESSAGE = Message("<1@x>", "a@example.com", "b@example.org", b"Subject: x\r\n\r\n")
OUT = Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.CONNECT, "away", "unreachable")


class FakeRelay:
    """Says the same of every mail until it is told otherwise."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.outcome: Outcome = Accepted(f"250 {name}")
        self.sent = 0
        self.closed = False

    async def send(self, message: Message, begins: Begins | None = None) -> Outcome:
        if begins is not None:
            await begins()
        self.sent += 1
        return self.outcome

    def figures(self) -> Sequence[RelayFigures]:
        return (RelayFigures(self.name, PoolFigures(self.sent, 0, 0, 1, 1, 0), 0, {}),)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def clock() -> ManualClock:
    """The clock by which a relay is tried again."""
    return ManualClock()


def group_of(clock: ManualClock, *weights: int) -> tuple[RelayGroup, list[FakeRelay]]:
    fakes = [FakeRelay(str(number)) for number in range(len(weights))]
    relays = [Relay(fake, weight) for fake, weight in zip(fakes, weights, strict=True)]
    return RelayGroup(relays, clock), fakes


async def replies(group: RelayGroup, times: int) -> list[str]:
    outcomes = [await group.send(MESSAGE) for _ in range(times)]
    return [outcome.reply for outcome in outcomes if isinstance(outcome, Accepted)]


async def test_relays_share_by_weight_at_any_time(clock: ManualClock) -> None:
    """With 3 and 1 each four mails in a row are three and one; a stand-by gets none."""
    group, _ = group_of(clock, 3, 1, 0)

    sent = await replies(group, 40)

    for start in range(0, 40, 4):
        assert Counter(sent[start : start + 4]) == {"250 0": 3, "250 1": 1}


async def test_a_mail_goes_to_the_next_relay_when_one_is_out(clock: ManualClock) -> None:
    """Without an outcome between, and the one that is out is left alone for a while."""
    group, (first, _) = group_of(clock, 1, 1)
    first.outcome = OUT

    assert await replies(group, 10) == ["250 1"] * 10
    assert first.sent == 1

    first.outcome = Accepted("250 0")
    clock.advance(OUT_SECONDS + 1)
    assert sorted(await replies(group, 10)) == ["250 0"] * 5 + ["250 1"] * 5


async def test_a_stand_by_is_used_only_when_all_others_are_out(clock: ManualClock) -> None:
    """A weight of 0 makes one."""
    group, (first, _) = group_of(clock, 1, 0)
    assert await replies(group, 3) == ["250 0"] * 3

    first.outcome = OUT
    assert await replies(group, 3) == ["250 1"] * 3


async def test_a_relay_that_lost_its_turns_comes_before_the_stand_by(clock: ManualClock) -> None:
    """Whatever was owed to relays that are out now, those that work are used first."""
    group, (first, _, stand_by) = group_of(clock, 5, 1, 0)
    await replies(group, 1)
    first.outcome = OUT

    await replies(group, 20)

    assert stand_by.sent == 0


async def test_when_all_are_out_all_are_asked(clock: ManualClock) -> None:
    """Whichever comes back first takes the next probe; until then the first one's reason counts."""
    group, (first, second) = group_of(clock, 1, 1)
    first.outcome = second.outcome = OUT
    assert await group.send(MESSAGE) == OUT
    assert await group.send(MESSAGE) == OUT
    assert (first.sent, second.sent) == (2, 2)

    second.outcome = Accepted("250 1")
    assert await replies(group, 1) == ["250 1"]


async def test_a_relay_that_names_a_time_is_out_until_then(clock: ManualClock) -> None:
    """A quota that ends in an hour is not asked about every minute."""
    group, (first, _) = group_of(clock, 1, 1)
    first.outcome = Failure(
        Scope.SENDER, FailureClass.THROTTLE, Phase.MAIL, "quota", "q", 550, None, 3_600_000
    )
    await group.send(MESSAGE)
    clock.advance(3599)
    await group.send(MESSAGE)
    await group.send(MESSAGE)

    assert first.sent == 1


@pytest.mark.parametrize(
    "outcome",
    [
        Ambiguous("who knows"),
        # After the final dot: refused or not, the relay has had the mail.
        Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.DOT, "bye", "closing", 421),
        # Another relay would say the same.
        Failure(Scope.RECIPIENT, FailureClass.PERMANENT, Phase.RCPT, "unknown", "x", 550),
        Failure(Scope.MESSAGE, FailureClass.PERMANENT, Phase.MAIL, "too big", "x", 552),
        Failure(Scope.DOMAIN, FailureClass.THROTTLE, Phase.RCPT, "slowly", "x", 451),
    ],
)
async def test_a_mail_is_never_offered_twice_without_need(
    clock: ManualClock, outcome: Outcome
) -> None:
    """Only what failed before the dot, for the relay's or the sender's sake, goes elsewhere."""
    group, (first, second) = group_of(clock, 1, 1)
    first.outcome = outcome

    assert await group.send(MESSAGE) == outcome
    assert second.sent == 0


async def test_closing_closes_every_relay(clock: ManualClock) -> None:
    """None is left open."""
    group, fakes = group_of(clock, 1, 1)

    await group.close()

    assert all(fake.closed for fake in fakes)


async def test_a_group_shows_each_relay(clock: ManualClock) -> None:
    """So that one can see which of them has the mails."""
    group, _ = group_of(clock, 1, 1)
    await replies(group, 3)

    assert [(each.relay, each.pool.busy) for each in group.figures()] == [("0", 2), ("1", 1)]
