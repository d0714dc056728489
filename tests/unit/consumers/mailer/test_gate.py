"""The outage gate: everybody waits, one probe asks, nobody is lost."""

import asyncio

import pytest

from consumers.delivery.blame import Blame
from consumers.mailer.gate import Answered, Aside, Out, Pass, RegistryGate
from retry_topics.failure import Failure, FailureClass, Phase, Scope
from tests.support.clock import ManualClock
from tests.support.guards import Told, guard_with


def down(text: str = "refused") -> Failure:
    return Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.CONNECT, text, "test")


class Relay:
    """Is out for a number of tries, then answers; counts how many ask at once."""

    def __init__(self, out_for: int) -> None:
        self.out_for = out_for
        self.tries = 0
        self.asking = 0
        self.most_asking = 0

    async def ask(self) -> Pass[str]:
        self.tries += 1
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        await asyncio.sleep(0)
        self.asking -= 1
        if self.tries <= self.out_for:
            return Out(down())
        return Answered("sent")


def gate_with(clock: ManualClock) -> tuple[RegistryGate, Told]:
    guard, told = guard_with(clock)
    return RegistryGate(guard, sleep=clock.sleep), told


async def test_while_the_other_side_works_all_go_through_at_once() -> None:
    """A closed gate holds nobody."""
    gate, changes = gate_with(ManualClock())
    relay = Relay(out_for=0)
    answers = await asyncio.gather(*(gate.through(relay.ask) for _ in range(5)))
    assert answers == ["sent"] * 5
    assert relay.most_asking == 5
    assert changes == []


async def test_everybody_gets_through_after_an_outage() -> None:
    """An outage delays; it fails nobody, and begins and ends once."""
    gate, changes = gate_with(ManualClock())
    relay = Relay(out_for=9)
    answers = await asyncio.gather(*(gate.through(relay.ask) for _ in range(5)))
    assert answers == ["sent"] * 5
    assert [(kind, outage is None) for kind, _, outage in changes] == [
        (Blame.REGISTRY, False),
        (Blame.REGISTRY, True),
    ]


async def test_one_probe_at_a_time_asks_while_the_gate_is_open() -> None:
    """Ten waiting mails do not mean ten connections to a relay that is down."""
    gate, _ = gate_with(ManualClock())
    relay = Relay(out_for=8)
    waiting = [asyncio.ensure_future(gate.through(relay.ask)) for _ in range(4)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert gate.outage is not None
    relay.most_asking = 0
    waiting += [asyncio.ensure_future(gate.through(relay.ask)) for _ in range(10)]
    await waiting[0]
    assert relay.most_asking == 1
    await asyncio.gather(*waiting)


async def test_the_first_probe_after_ten_minutes_comes_within_the_back_offs_bound() -> None:
    """However long the outage, the gate asks again at least every 30 seconds."""
    clock = ManualClock()
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        clock.advance(seconds)

    gate = RegistryGate(guard_with(clock)[0], sleep=sleep)
    began = clock.monotonic()

    async def ask() -> Pass[str]:
        if clock.monotonic() - began < 600:
            return Out(down())
        return Answered("sent")

    assert await gate.through(ask) == "sent"
    assert max(pauses) <= 30
    assert clock.monotonic() - began <= 630


async def test_a_probe_that_did_not_ask_leaves_the_gate_open() -> None:
    """A mail whose time was over says nothing about the relay; the next one probes."""
    gate, changes = gate_with(ManualClock())
    first_try = True

    async def ask() -> Pass[str]:
        nonlocal first_try
        if first_try:
            first_try = False
            return Out(down())
        return Aside("expired")

    assert await gate.through(ask) == "expired"
    assert gate.outage is not None
    assert await gate.through(Relay(out_for=0).ask) == "sent"
    assert gate.outage is None
    assert changes[-1][2] is None


async def test_a_cancelled_probe_is_followed_by_another() -> None:
    """A lane that goes away takes its probe along; the others still get through."""
    clock = ManualClock()
    stuck, asleep = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        if not asleep.is_set():
            asleep.set()
            await stuck.wait()
        clock.advance(seconds)

    gate = RegistryGate(guard_with(clock)[0], sleep=sleep)
    relay = Relay(out_for=2)
    first = asyncio.ensure_future(gate.through(relay.ask))
    second = asyncio.ensure_future(gate.through(relay.ask))
    await asleep.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await second == "sent"


async def test_another_reason_is_told_and_the_beginning_kept() -> None:
    """Status shows the newest reason of an outage and its true beginning."""
    clock = ManualClock()
    gate, changes = gate_with(clock)
    said = [Out(down("refused")), Out(down("refused")), Out(down("450 busy"))]

    async def ask() -> Pass[str]:
        return said.pop(0) if said else Answered("sent")

    await gate.through(ask)
    outages = [outage for _, _, outage in changes if outage]
    assert [outage.failure.text for outage in outages] == ["refused", "450 busy"]
    assert len({outage.since for outage in outages}) == 1


async def test_whoever_was_not_answered_goes_to_the_end_of_the_line() -> None:
    """A mail that trips the other side whenever it asks does not keep the others from asking."""
    gate, _ = gate_with(ManualClock())
    order: list[str] = []

    async def ask(name: str) -> Pass[str]:
        order.append(name)
        await asyncio.sleep(0)
        return Out(down()) if len(order) < 5 else Answered(name)

    await asyncio.gather(*(gate.through(lambda name=name: ask(name)) for name in "ab"))
    assert order[:5] == ["a", "b", "a", "b", "a"]
