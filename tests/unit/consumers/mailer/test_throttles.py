"""Domains and templates that are out: their mails wait, others go, trust comes back in steps."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.blame import Blame
from consumers.delivery.guard import Hold
from consumers.mailer.throttles import NOTHING_ASKED, Leave, Share, Throttles, Tolerance
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
from tests.support.guards import Told, guard_with

TAKEN = Accepted("250 Ok")
BLOCKED = Failure(
    Scope.SENDER, FailureClass.TRANSIENT, Phase.RCPT, "blocked by a list", "address-blocked", 554
)
SPAM = Failure(Scope.MESSAGE, FailureClass.PERMANENT, Phase.DOT, "spam", "content-refused", 554)
UNKNOWN = Failure(Scope.RECIPIENT, FailureClass.PERMANENT, Phase.RCPT, "unknown", "x", 550)
AWAY = Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.CONNECT, "away", "unreachable")


class Mails:
    """Sends mails past throttles and a clock that stands."""

    def __init__(self, tolerance: Tolerance | None = None) -> None:
        self.clock = ManualClock()
        self.told: Told
        guard, self.told = guard_with(self.clock)
        self.throttles = Throttles(guard, tolerance or Tolerance())

    def leave(self, address: str = "a@x", template: str = "t") -> Leave:
        leave = self.throttles.ask(address, template)
        assert isinstance(leave, Leave)
        return leave

    def held(self, address: str = "a@x", template: str = "t") -> Hold:
        hold = self.throttles.ask(address, template)
        assert isinstance(hold, Hold)
        return hold

    def send(self, outcome: Outcome, address: str = "a@x", template: str = "t") -> Hold | None:
        leave = self.leave(address, template)
        return self.throttles.settle(address, template, leave, outcome)

    def open_template(self) -> None:
        """Have as many mails refused as it takes."""
        for number in range(20):
            assert (self.send(SPAM) is None) == (number < 19)


def test_while_nothing_is_out_nothing_is_asked() -> None:
    """The way of a mail on a good day has no decision in it."""
    mails = Mails()
    for _ in range(200):
        assert mails.leave() is NOTHING_ASKED
        assert mails.send(TAKEN) is None
    assert mails.told == []


def test_a_domain_that_refuses_us_holds_its_mails_and_no_others() -> None:
    """The mail that was refused waits, too, and the case of the domain does not matter."""
    mails = Mails()
    refused = mails.send(BLOCKED, "a@Example.org")
    assert refused is not None
    assert (refused.kind, refused.name, refused.seconds) == (Blame.DOMAIN, "example.org", 60.0)
    assert mails.held("b@example.ORG").outage.failure == BLOCKED
    assert mails.send(TAKEN, "c@example.com") is None
    assert [outage is None for _, _, outage in mails.told] == [False]


def test_a_domain_comes_back_step_by_step() -> None:
    """One probe, then two at a time, then three: eight answers close it."""
    mails = Mails()
    mails.send(BLOCKED)
    mails.clock.advance(60)
    at_once = []
    while mails.told[-1][2] is not None:
        leaves = []
        while isinstance(leave := mails.throttles.ask("a@x", "t"), Leave):
            leaves.append(leave)
        at_once.append(len(leaves))
        for leave in leaves:
            mails.throttles.settle("a@x", "t", leave, TAKEN)
    assert at_once == [1, 2, 4, 8]
    assert mails.leave() is NOTHING_ASKED


def test_a_refusal_while_it_comes_back_begins_a_longer_pause() -> None:
    """Additive up, all the way down."""
    mails = Mails()
    mails.send(BLOCKED)
    mails.clock.advance(60)
    mails.send(UNKNOWN)
    mails.send(TAKEN)
    refused = mails.send(BLOCKED)
    assert refused is not None
    assert refused.seconds == 120.0


def test_a_domain_that_answers_about_a_recipient_talks_to_us_again() -> None:
    """An unknown mailbox is an answer; a relay that is away is none, and gives the probe back."""
    mails = Mails()
    mails.send(BLOCKED)
    mails.clock.advance(60)
    for outcome in (AWAY, Ambiguous("who knows")):
        mails.send(outcome)
        leave = mails.leave()
        assert isinstance(mails.throttles.ask("b@x", "t"), Hold)
        mails.throttles.settle("a@x", "t", leave, None)
    for _ in range(8):
        assert mails.send(UNKNOWN) is None
    assert mails.leave() is NOTHING_ASKED


def test_a_template_pauses_once_too_much_of_it_is_refused() -> None:
    """The mail that shows it waits instead of being dead, and so does what was on its way."""
    mails = Mails()
    on_its_way = mails.leave()
    mails.open_template()
    assert mails.throttles.settle("a@x", "t", on_its_way, SPAM) is not None
    hold = mails.held()
    assert (hold.kind, hold.name, hold.seconds) == (Blame.TEMPLATE, "t", 300.0)
    assert mails.send(TAKEN, template="other") is None


def test_a_template_comes_back_after_a_few_mails() -> None:
    """Three that are taken; a refused one among them waits and the pause is longer."""
    mails = Mails()
    mails.open_template()
    mails.clock.advance(300)
    assert mails.send(TAKEN) is None
    again = mails.send(SPAM)
    assert again is not None
    assert again.seconds == 600.0
    mails.clock.advance(600)
    for _ in range(3):
        assert mails.send(TAKEN) is None
    assert mails.leave() is NOTHING_ASKED
    assert mails.send(SPAM) is None


def test_one_that_waits_for_its_template_gives_its_domains_probe_back() -> None:
    """Or nobody would ever probe the domain again."""
    mails = Mails()
    mails.send(BLOCKED)
    mails.clock.advance(60)
    mails.throttles.settle("a@y", "t", NOTHING_ASKED, TAKEN)
    for _ in range(40):
        mails.throttles.settle("a@y", "t", NOTHING_ASKED, SPAM)
    assert mails.held("a@x").kind is Blame.TEMPLATE
    assert mails.leave("a@x", "other").domain is not None


@pytest.mark.parametrize("percent", [0, 20, 50])
@given(refused=st.lists(st.booleans(), max_size=150))
def test_a_share_counts_the_last_mails_only(percent: int, refused: list[bool]) -> None:
    """More than so many percent of the last hundred, of at least twenty."""
    share = Share(Tolerance(percent))
    for number, last in enumerate(refused, 1):
        window = refused[max(0, number - 100) : number]
        too_much = last and len(window) >= 20 and sum(window) * 100 > percent * len(window)
        assert share.note(last) is bool(percent and too_much)


def test_a_reset_that_a_domain_names_is_kept_to() -> None:
    """It is not asked before."""
    mails = Mails()
    hold = mails.send(replace(BLOCKED, retry_after_ms=600_000))
    assert hold is not None
    assert hold.seconds >= 600.0
