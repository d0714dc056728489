"""Several relays share the mails by weight, and nobody's mail waits for one that is out."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from consumers.delivery.blame import Blame
from consumers.delivery.breaker import Outage
from consumers.delivery.figures import PoolFigures, RelayFigures
from consumers.delivery.message import Message
from consumers.delivery.protocol import Begins
from consumers.delivery.relays import RelayGroup
from consumers.delivery.standing import Relay
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
from tests.support.guards import guard_with

MESSAGE = Message("<1@x>", "a@example.com", "b@example.org", b"Subject: x\r\n\r\n")
OFF = Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.CONNECT, "paused", "switched-off")
OUT = Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.CONNECT, "away", "unreachable")


class FakeRelay:
    """Says the same of every mail until it is told otherwise."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.outcome: Outcome = Accepted(f"250 {name}")
        self.sent = 0
        self.closed = False
        self.gate = asyncio.Event()
        self.gate.set()
        #: Not set while a mail has to wait for a connection.
        self.room = asyncio.Event()
        self.room.set()

    async def send(self, message: Message, begins: Begins | None = None) -> Outcome:
        await self.room.wait()
        if begins is not None and (first := begins()) is not None:
            await first
        self.sent += 1
        await self.gate.wait()
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
    pairs = zip(fakes, weights, strict=True)
    relays = [Relay(fake.name, fake, weight) for fake, weight in pairs]
    return RelayGroup(relays, guard_with(clock)[0]), fakes


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
    clock.advance(1)
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


async def test_when_all_are_out_each_is_asked_as_its_back_off_allows(clock: ManualClock) -> None:
    """Whichever comes back first takes the next probe; until then the first one's reason counts."""
    group, (first, second) = group_of(clock, 1, 1)
    first.outcome = second.outcome = OUT
    assert await group.send(MESSAGE) == OUT
    assert await group.send(MESSAGE) == OUT
    assert (first.sent, second.sent) == (1, 1)
    assert group.pause() == 0.5
    assert group.outage is not None

    clock.advance(0.5)
    second.outcome = Accepted("250 1")
    assert group.pause() == 0
    assert await replies(group, 1) == ["250 1"]
    assert group.pause() is None
    assert group.outage is None


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


def from_sender(sender: str, recipient: str = "b@example.org") -> Message:
    return Message("<1@x>", sender, recipient, b"From: %b\r\n\r\n" % sender.encode())


class Fussy(FakeRelay):
    """Refuses one sender, and relays to some recipients only."""

    refused = Failure(
        Scope.SENDER, FailureClass.CONFIG, Phase.MAIL, "not yours", "sender-forbidden", 553
    )
    denied = Failure(Scope.ENDPOINT, FailureClass.CONFIG, Phase.RCPT, "no", "relaying-denied", 554)

    def __init__(self, name: str, sender: str = "", denies: str = "") -> None:
        super().__init__(name)
        self.sender = sender
        self.denies = denies

    async def send(self, message: Message, begins: Begins | None = None) -> Outcome:
        self.sent += 1
        if message.envelope_from == self.sender:
            return self.refused
        if self.denies and message.envelope_to.startswith(self.denies):
            return self.denied
        return self.outcome


async def test_a_refused_sender_holds_its_own_mails_only(clock: ManualClock) -> None:
    """They wait for the sender's own probe; the others go out."""
    relay = Fussy("0", sender="a@x")
    group = RelayGroup([Relay("0", relay)], guard_with(clock)[0], senders=2)
    assert await group.send(from_sender("a@x")) == Fussy.refused

    hold = group.hold(from_sender("a@x"))
    assert hold is not None
    assert (hold.kind, hold.name, hold.seconds) == (Blame.SENDER, "a@x", 30.0)
    assert group.hold(from_sender("b@x")) is None
    assert group.pause() is None
    assert isinstance(await group.send(from_sender("b@x")), Accepted)
    assert await group.send(from_sender("a@x")) == Fussy.refused
    assert relay.sent == 2

    clock.advance(30)
    relay.sender = ""
    assert group.hold(from_sender("a@x")) is None
    assert isinstance(await group.send(from_sender("a@x")), Accepted)
    assert group.hold(from_sender("a@x")) is None


async def test_the_only_sender_that_is_refused_holds_everything(clock: ManualClock) -> None:
    """There is nothing else to send, so records stay where they are."""
    group = RelayGroup([Relay("0", Fussy("0", sender="a@x"))], guard_with(clock)[0])
    await group.send(from_sender("a@x"))
    assert group.pause() == 30.0
    assert group.outage is not None
    assert group.outage.failure == Fussy.refused


async def test_a_sender_that_one_relay_refuses_goes_through_the_other(clock: ManualClock) -> None:
    """Without waiting, and without asking the first one again before its time."""
    first, second = Fussy("0", sender="a@x"), FakeRelay("1")
    group = RelayGroup([Relay("0", first), Relay("1", second, 0)], guard_with(clock)[0])
    for _ in range(5):
        assert await group.send(from_sender("a@x")) == Accepted("250 1")
    assert first.sent == 1
    assert group.hold(from_sender("a@x")) is None
    assert group.pause() is None


async def test_recipients_in_a_row_that_are_denied_put_the_relay_out(clock: ManualClock) -> None:
    """One among others uses an attempt of its mail; a relay that relays nothing is out."""
    group = RelayGroup([Relay("0", Fussy("0", denies="no"))], guard_with(clock)[0])
    assert isinstance(await group.send(from_sender("a@x")), Accepted)
    said = [await group.send(from_sender("a@x", f"no{number}@y")) for number in range(3)]
    assert [isinstance(o, Failure) and o.is_outage for o in said] == [False, True, True]
    assert group.pause() == 30.0


async def test_one_probe_at_a_time_asks_a_relay_that_is_out(clock: ManualClock) -> None:
    """Meanwhile the others hear what was said last; one that is given up lets another ask."""
    group, (relay,) = group_of(clock, 1)
    relay.outcome = OUT
    await group.send(MESSAGE)
    clock.advance(1)
    relay.gate.clear()
    probe = asyncio.ensure_future(group.send(MESSAGE))
    await asyncio.sleep(0)
    assert await group.send(MESSAGE) == OUT
    assert relay.sent == 2
    assert (group.pause() or 0) > 0

    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert group.pause() == 0


def off(*names: str) -> Callable[[str], Outage | None]:
    """Have relays of these names turned off."""
    return lambda name: Outage(OFF, 7) if name in names else None


async def test_a_relay_that_is_turned_off_gets_no_mail(clock: ManualClock) -> None:
    """The others get them, also a stand-by; turned on again it has its share."""
    group, (first, _) = group_of(clock, 1, 0)
    group.turn_off(off("0"))
    assert await replies(group, 3) == ["250 1"] * 3
    assert (first.sent, group.outage, group.pause()) == (0, None, None)
    group.turn_off(off())
    assert await replies(group, 3) == ["250 0"] * 3


async def test_with_every_relay_off_mails_wait_and_nobody_is_asked(clock: ManualClock) -> None:
    """Whoever waits looks again soon."""
    group, fakes = group_of(clock, 1, 1)
    group.turn_off(off("0", "1"))
    assert group.outage == Outage(OFF, 7)
    assert 0 < (group.pause() or 0) < 1
    assert await group.send(MESSAGE) == OFF
    assert [fake.sent for fake in fakes] == [0, 0]
    group.turn_off(off("1"))
    assert (group.outage, group.pause()) == (None, None)


async def test_a_relay_that_is_out_is_probed_while_the_other_is_off(clock: ManualClock) -> None:
    """What is turned off makes nobody wait longer than what is out."""
    group, (first, second) = group_of(clock, 1, 1)
    first.outcome = OUT
    group.turn_off(off("1"))
    assert await group.send(MESSAGE) == OUT
    assert group.outage is not None
    assert group.outage.failure == OUT
    clock.advance(1)
    assert group.pause() == 0
    first.outcome = Accepted("250 0")
    assert await replies(group, 1) == ["250 0"]
    assert (group.outage, second.sent) == (None, 0)


async def test_what_waits_for_a_relay_that_is_turned_off_goes_to_the_next(
    clock: ManualClock,
) -> None:
    """Nothing was handed over yet, and the permit of a probe is given back."""
    group, (first, second) = group_of(clock, 1, 0)
    first.outcome = OUT
    await group.send(MESSAGE)
    clock.advance(1)
    first.room.clear()
    first.outcome = Accepted("250 0")
    waiting = asyncio.ensure_future(replies(group, 1))
    await asyncio.sleep(0)
    group.turn_off(off("0"))
    first.room.set()
    assert await waiting == ["250 1"]
    assert (first.sent, second.sent) == (1, 2)
    group.turn_off(off())
    assert await replies(group, 1) == ["250 0"]


async def test_a_relay_that_is_off_holds_no_sender_back(clock: ManualClock) -> None:
    """A sender that the only relay left refuses is put off; with none left mails wait."""
    relays = [Relay("0", Fussy("0", sender="a@x")), Relay("1", FakeRelay("1"))]
    group = RelayGroup(relays, guard_with(clock)[0], senders=2)
    group.turn_off(off("1"))
    await group.send(from_sender("a@x"))
    assert group.hold(from_sender("a@x")) is not None
    group.turn_off(off())
    assert group.hold(from_sender("a@x")) is None
    group.turn_off(off("0", "1"))
    assert group.pause() is not None
