"""A breaker: probed as rarely as it says, one at a time, and never left alone for ever."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumers.delivery.breaker import BackOff, Breaker, Moment, Outage, Permit, Recovery
from retry_topics.failure import Failure, FailureClass, Phase, Scope

AWAY = Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.CONNECT, "away", "unreachable")
WRONG = Failure(Scope.ENDPOINT, FailureClass.CONFIG, Phase.STARTTLS, "expired", "certificate")
LOGIN = Failure(Scope.SENDER, FailureClass.THROTTLE, Phase.AUTH, "too many", "auth-throttled", 454)
RATE = Failure(Scope.SENDER, FailureClass.THROTTLE, Phase.MAIL, "slowly", "throttled", 452)
QUOTA = Failure(Scope.SENDER, FailureClass.THROTTLE, Phase.RCPT, "quota", "send-quota", 550)
FAST, SLOW = BackOff(0.5, 30.0), BackOff(30.0, 300.0)


class Watched:
    """A breaker, and what it has told."""

    def __init__(self, needed: int = 1, chance: float = 1.0) -> None:
        self.told: list[Outage | None] = []
        self.breaker = Breaker(Recovery(FAST, SLOW, needed), lambda: chance, self.told.append)

    def ask(self, now: float) -> Permit:
        permit = self.breaker.ask(now)
        assert isinstance(permit, Permit)
        return permit

    def fail(self, now: float, failure: Failure = AWAY) -> None:
        self.breaker.failed(self.ask(now), failure, Moment(now, round(now * 1000)))


def test_while_all_is_well_everybody_may_ask() -> None:
    """A closed breaker counts nobody."""
    watched = Watched()
    assert not any(watched.ask(0.0).is_probe for _ in range(100))
    assert watched.breaker.wait(0.0) is None
    assert watched.told == []


def test_an_outage_has_its_reason_and_its_beginning() -> None:
    """A further reason is told; when it began stays; the end is told once."""
    watched = Watched()
    watched.fail(1.0)
    watched.fail(2.0)
    watched.fail(10.0, WRONG)
    watched.breaker.answered(watched.ask(100.0))

    assert watched.told == [Outage(AWAY, 1000), Outage(WRONG, 1000), None]
    assert watched.breaker.outage is None


@pytest.mark.parametrize(
    ("failure", "pauses"),
    [
        (AWAY, [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (RATE, [0.5, 1, 2, 4, 8, 16, 30, 30]),
        (WRONG, [30, 60, 120, 240, 300, 300]),
        (QUOTA, [30, 60, 120, 240, 300, 300]),
        # Wrong logins that are shown too often lock accounts.
        (LOGIN, [30, 60, 120, 240, 300, 300]),
    ],
)
def test_pauses_double_up_to_a_bound(failure: Failure, pauses: list[float]) -> None:
    """What goes by itself is asked for soon, what a person has to mend more rarely."""
    watched, now = Watched(), 0.0
    for pause in pauses:
        watched.fail(now, failure)
        assert watched.breaker.wait(now) == pause
        now += pause


@given(failures=st.integers(1, 1000), share=st.floats(0, 1))
def test_a_pause_is_bounded_from_both_sides(failures: int, share: float) -> None:
    """Chance takes off a quarter at most, so workers do not probe in step."""
    full = min(300.0, 30.0 * 2 ** (failures - 1))
    assert 0.75 * full <= SLOW.pause(failures, share) <= full


@given(asked_for=st.integers(1, 7 * 86_400_000), chance=st.floats(0, 1))
def test_nobody_asks_before_a_quotas_reset(asked_for: int, chance: float) -> None:
    """A time that the other side names is kept to, and soon after it one probe asks."""
    watched = Watched(chance=chance)
    watched.fail(0.0, replace(QUOTA, retry_after_ms=asked_for))

    assert isinstance(watched.breaker.ask(asked_for / 1000 - 0.001), Outage)
    assert watched.ask(asked_for / 1000 + FAST.first).is_probe
    assert isinstance(watched.breaker.ask(asked_for / 1000 + FAST.first), Outage)


def test_what_began_before_an_outage_neither_prolongs_nor_ends_it() -> None:
    """A hundred mails in flight that fail with the first one are one outage."""
    watched = Watched()
    early = [watched.ask(0.0) for _ in range(100)]
    for permit in early[:-1]:
        watched.breaker.failed(permit, AWAY, Moment(0.0, 0))
    watched.breaker.answered(early[-1])

    assert watched.breaker.wait(0.0) == 0.5
    assert watched.told == [Outage(AWAY, 0)]


def test_trust_comes_back_step_by_step() -> None:
    """One more may ask with each answer, and the breaker closes after enough of them."""
    watched = Watched(needed=3)
    watched.fail(0.0)
    first = watched.ask(1.0)
    assert isinstance(watched.breaker.ask(1.0), Outage)
    watched.breaker.answered(first)
    second, third = watched.ask(1.0), watched.ask(1.0)
    assert isinstance(watched.breaker.ask(1.0), Outage)
    watched.breaker.answered(second)
    assert watched.breaker.outage is not None
    watched.breaker.answered(third)
    assert watched.breaker.outage is None


def test_a_permit_that_is_given_back_lets_the_next_one_ask() -> None:
    """A probe whose mail was cancelled says nothing."""
    watched = Watched()
    watched.fail(0.0)
    watched.breaker.returned(watched.ask(1.0))
    assert watched.ask(1.0).is_probe


class Probing(RuleBasedStateMachine):
    """Anybody may ask, be answered, fail, or give up, at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.chance = 1.0
        self.now = 0.0
        self.watched = Watched()
        self.watched.breaker = Breaker(
            Recovery(FAST, SLOW), lambda: self.chance, self.watched.told.append
        )
        self.held: list[Permit] = []
        #: When the outage began that lasts, or was confirmed last, and how often it was in a row.
        self.failed_at: float | None = None
        self.row = 0
        self.named = 0.0

    @rule(seconds=st.floats(0, 400))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(chance=st.floats(0, 1))
    def ask(self, chance: float) -> None:
        self.chance = chance
        permit = self.watched.breaker.ask(self.now)
        if not isinstance(permit, Permit):
            return
        self.held.append(permit)
        if permit.is_probe:
            assert self.failed_at is not None
            shortest = self.named or 0.75 * min(30.0, 0.5 * 2 ** (self.row - 1))
            assert self.now - self.failed_at >= shortest - 1e-9
            current = [p for p in self.held if p.is_probe and p.round == permit.round]
            assert len(current) == 1

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99), named=st.sampled_from((None, None, 50_000)))
    def fail(self, which: int, named: int | None) -> None:
        permit = self.held.pop(which % len(self.held))
        if permit.round == self.watched.breaker.permit.round:
            self.failed_at, self.row = self.now, self.row + 1
            self.named = (named or 0) / 1000
        moment = Moment(self.now, round(self.now * 1000))
        self.watched.breaker.failed(permit, replace(AWAY, retry_after_ms=named), moment)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99))
    def answer(self, which: int) -> None:
        permit = self.held.pop(which % len(self.held))
        if permit.is_probe and permit.round == self.watched.breaker.permit.round:
            self.failed_at, self.row = None, 0
        self.watched.breaker.answered(permit)

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 99))
    def give_back(self, which: int) -> None:
        self.watched.breaker.returned(self.held.pop(which % len(self.held)))

    @invariant()
    def it_is_out_exactly_while_the_last_answer_was_a_failure(self) -> None:
        assert (self.watched.breaker.outage is None) == (self.failed_at is None)

    @invariant()
    def it_asks_again_within_the_bound(self) -> None:
        longest = max(30.0, self.named + 0.5)
        wait = self.watched.breaker.wait(self.now)
        assert wait is None or wait <= longest

    def teardown(self) -> None:
        """Whatever happened, once all permits are back a probe may ask within the bound."""
        for permit in self.held:
            self.watched.breaker.returned(permit)
        assert isinstance(self.watched.breaker.ask(self.now + 51.0), Permit)


TestProbing = Probing.TestCase
TestProbing.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
