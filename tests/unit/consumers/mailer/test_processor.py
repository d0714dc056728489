"""The processor: every path of one mail, with the worker's parts around it in memory."""

from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID

import pytest

from consumers.delivery.guard import RECOVERIES
from runtime.kafka.records import Partition
from schemas.control import ControlAction
from schemas.events import Recipient, SignupEvent
from schemas.instants import show_instant
from schemas.mail_states import MailState
from schemas.switches import SwitchKind
from tests.support.simulated_host import Host
from tests.support.simulated_relay import Answer
from tests.support.simulation import ADDRESSES, HOLD, PLAIN, SECURITY, TOPOLOGY, Mail, World
from tests.support.simulation_checks import check_end, check_send

ADDRESS = ADDRESSES[0]


@pytest.fixture
def world() -> Iterator[World]:
    """A world with one worker that has its lanes; what happens in it is checked throughout."""
    made = World([Host()], lambda mail, worker: check_send(made, mail, worker))
    made.start("a", 0)
    for _ in range(4):
        made.round(Answer.ACCEPT)
    yield made
    made.close()


def post(world: World, template: str = PLAIN, tenant: str = "acme", **fields: int) -> Mail:
    number = UUID(int=len(world.mails) + 1)
    now = world.clock.now_ms()
    return world.post(
        SignupEvent(number, now, template, Recipient(ADDRESS), "en", {}, tenant, **fields)
    )


def turn(world: World) -> None:
    """Let the worker take up what there is, and commit what it intends."""
    for _ in range(2):
        for commits in (False, False, True):
            world.step(world.workers["a"], commits=commits)


def states(world: World, mail: Mail) -> list[MailState]:
    world.rest()
    check_end(world)
    return [entry.state for entry in world.entries(mail)]


def test_a_repeated_request_is_dropped(world: World) -> None:
    """Whether it comes before the first is sent or after."""
    mail = post(world)
    world.post(mail.event)
    assert states(world, mail) == [MailState.SENT]
    world.post(mail.event)
    assert states(world, mail) == [MailState.SENT]
    assert len(world.relay.taken) == 1


def test_what_the_journal_knows_is_not_sent_again(world: World) -> None:
    """The reply was read, and the worker ended before its commit."""
    mail = post(world)
    world.step(world.workers["a"], commits=False)
    world.step(world.workers["a"], commits=False)
    world.answer(world.relay.waiting[0], Answer.ACCEPT)
    world.crash(world.workers["a"])
    world.start("a", 0)
    assert states(world, mail) == [MailState.SENT]
    assert len(world.relay.taken) == 1


def test_a_mail_that_holds_is_told_of_before_it_is_handed_over(world: World) -> None:
    """The relay hears nothing before SENDING is committed."""
    mail = post(world, HOLD)
    for _ in range(3):
        world.step(world.workers["a"], commits=False)
    assert world.relay.waiting == []
    turn(world)
    assert [entry.state for entry in world.entries(mail)] == [MailState.SENDING]
    assert len(world.relay.waiting) == 1
    assert states(world, mail) == [MailState.SENDING, MailState.SENT]


def test_a_mail_that_holds_is_held_after_a_crash_and_sent_when_released(world: World) -> None:
    """Nobody but a person decides whether it is sent again."""
    mail = post(world, HOLD)
    turn(world)
    world.crash(world.workers["a"])
    world.start("a", 0)
    assert states(world, mail) == [MailState.SENDING, MailState.HELD]
    world.replay(*world.parked()[0])
    assert states(world, mail)[-2:] == [MailState.SENDING, MailState.SENT]


def test_a_broken_reply_holds_what_holds_and_retries_the_rest(world: World) -> None:
    """An ambiguous end is an attempt like any other, except where the template says otherwise."""
    for template, last in ((HOLD, MailState.HELD), (PLAIN, MailState.SENT)):
        mail = post(world, template)
        turn(world)
        world.answer(world.relay.waiting[0], Answer.BROKEN)
        assert states(world, mail)[-1] is last


def test_a_mail_in_hand_is_cancelled_before_it_is_sent(world: World) -> None:
    """Even while an outage holds everything back."""
    world.relay_goes_down()
    mail = post(world)
    turn(world)
    world.demand(mail, ControlAction.CANCEL, "acme")
    turn(world)
    assert [entry.state for entry in world.entries(mail)] == [MailState.CANCELLED]


@pytest.mark.parametrize("template", [PLAIN, HOLD])
def test_a_mail_that_waits_for_its_turn_is_cancelled(world: World, template: str) -> None:
    """However long the relay's rate makes it wait, nobody has been told of it yet."""
    world.relay.turn.clear()
    mail = post(world, template)
    turn(world)
    world.demand(mail, ControlAction.CANCEL, "acme")
    turn(world)
    world.relay.turn.set()
    assert states(world, mail) == [MailState.CANCELLED]
    assert world.relay.taken == []


@pytest.mark.parametrize("template", [PLAIN, HOLD])
def test_a_mail_expires_while_it_waits_for_its_turn(world: World, template: str) -> None:
    """Whatever its relay's rate, it is not sent after its time."""
    world.relay.turn.clear()
    mail = post(world, template, expires_at=world.clock.now_ms() + 30_000)
    turn(world)
    world.advance(60)
    world.relay.turn.set()
    assert states(world, mail)[-1] is MailState.EXPIRED
    assert world.relay.taken == []


def test_a_mail_on_the_wire_is_not_cancelled(world: World) -> None:
    """The relay may have it already; so it is if the relay refuses it for now."""
    for answer, last in (
        (Answer.ACCEPT, MailState.SENT),
        (Answer.LATER, MailState.CANCELLED),
    ):
        mail = post(world)
        turn(world)
        (waiting,) = world.relay.waiting
        world.demand(mail, ControlAction.CANCEL, "acme")
        turn(world)
        assert world.relay.waiting == [waiting]
        world.answer(waiting, answer)
        assert states(world, mail) == [last]


def test_a_cancellation_after_the_end_changes_nothing(world: World) -> None:
    """A sent mail stays sent."""
    mail = post(world)
    assert states(world, mail) == [MailState.SENT]
    world.demand(mail, ControlAction.CANCEL, "")
    assert states(world, mail) == [MailState.SENT]


def test_a_suppressed_recipient_gets_security_mail_only(world: World) -> None:
    """The template says that it ignores suppressions."""
    world.suppress(ADDRESS, ControlAction.SUPPRESS)
    world.rest()
    assert states(world, post(world)) == [MailState.SUPPRESSED]
    assert states(world, post(world, SECURITY)) == [MailState.SENT]
    world.suppress(ADDRESS, ControlAction.UNSUPPRESS)
    world.rest()
    assert states(world, post(world)) == [MailState.SENT]


@pytest.mark.parametrize(
    ("answer", "next_one"),
    [(Answer.NO_SUCH_RECIPIENT, MailState.SUPPRESSED), (Answer.REFUSED, MailState.SENT)],
)
def test_only_a_bad_address_suppresses_its_recipient(
    world: World, answer: Answer, next_one: MailState
) -> None:
    """A refusal for another reason may be about us."""
    mail = post(world)
    turn(world)
    world.answer(world.relay.waiting[0], answer)
    assert states(world, mail) == [MailState.DEAD]
    assert states(world, post(world)) == [next_one]


def test_a_mail_that_is_not_due_waits_in_tiers(world: World) -> None:
    """700 seconds: ten minutes in one tier, one in the next, the rest in the same again."""
    mail = post(world, not_before=world.clock.now_ms() + 700_000)
    assert states(world, mail)[-2:] == [MailState.SCHEDULED, MailState.SENT]
    assert world.kafka.read(Partition(TOPOLOGY.retries[1], mail.lane))


def test_a_mail_expires_at_whichever_hop_its_time_is_over(world: World) -> None:
    """At once, after an attempt whose next one came too late, or in an outage."""
    assert states(world, post(world, expires_at=world.clock.now_ms())) == [MailState.EXPIRED]
    late = post(world, expires_at=world.clock.now_ms() + 30_000)
    turn(world)
    world.answer(world.relay.waiting[0], Answer.LATER)
    assert states(world, late) == [MailState.EXPIRED]
    world.relay_goes_down()
    held_back = post(world, expires_at=world.clock.now_ms() + 30_000)
    turn(world)
    world.advance(60)
    assert states(world, held_back) == [MailState.EXPIRED]


def test_a_demand_that_ends_with_its_mail_is_written_after_it(world: World) -> None:
    """What was said last of a mail is its last entry, whichever partition it came from."""
    mail = post(world)
    turn(world)
    world.demand(mail, ControlAction.DISCARD, "")
    for _ in range(2):
        world.step(world.workers["a"], commits=False)
    world.answer(world.relay.waiting[0], Answer.REFUSED)
    assert states(world, mail) == [MailState.DEAD, MailState.DISCARDED]


def test_ten_minutes_without_the_relay_cost_no_attempt_and_no_mail() -> None:
    """Nothing moves, one asks at a time and as the back-off has it, and afterwards all are sent."""
    world = World([Host()], lambda mail, worker: None, RECOVERIES)
    world.start("a", 0)
    for _ in range(4):
        world.round(Answer.ACCEPT)
    world.relay_goes_down()
    down_at = world.clock.monotonic()
    mails = [
        world.post(
            SignupEvent(UUID(int=n + 1), 0, PLAIN, Recipient(ADDRESSES[n % 4]), "en", {}, "a")
        )
        for n in range(40)
    ]
    while world.clock.monotonic() < down_at + 600:
        world.round(Answer.ACCEPT)
        world.advance(0.25)
    assert all(world.entries(mail) == [] for mail in mails)
    assert world.parked() == []
    pauses = [after - before for before, after in pairwise(world.probes)]
    bounds = [min(30.0, 0.5 * 2**number) for number in range(len(pauses))]
    assert len(pauses) < 30
    assert all(b <= p <= b + 0.5 for p, b in zip(pauses[-20:], bounds[-20:], strict=True))

    world.relay.come_up()
    back_at, taken = world.clock.monotonic(), len(world.relay.taken)
    while len(world.relay.taken) == taken:
        world.round(Answer.ACCEPT)
        world.advance(0.25)
    assert world.clock.monotonic() - back_at <= 30.5
    world.rest()
    check_end(world)
    for mail in mails:
        (entry,) = world.entries(mail)
        assert (entry.state, entry.attempts) == (MailState.SENT, 0)
    assert len(world.relay.taken) == 40
    world.close()


def test_a_mail_whose_domain_refuses_us_waits_without_an_attempt(world: World) -> None:
    """The ledger says for what and since when; the mail is sent once the domain takes mail."""
    mail, other = post(world), post(world, HOLD)
    turn(world)
    world.answer(world.relay.waiting[0], Answer.BLOCKED)
    for _ in range(3):
        turn(world)
    put_off, again = world.entries(mail)[-1], world.entries(other)[-1]
    for entry in (put_off, again):
        assert (entry.state, entry.attempts) == (MailState.SCHEDULED, 0)
        assert (entry.reason, entry.rule, entry.code) == ("domain-out", "address-blocked", 554)
        assert entry.text.startswith("blocked by a list (since ")
    assert world.relay.waiting == []
    assert states(world, mail)[-2:] == [MailState.SCHEDULED, MailState.SENT]
    assert states(world, other)[-1] is MailState.SENT
    assert {entry.attempts for entry in world.entries(mail) + world.entries(other)} == {0}


def test_a_domain_that_never_wants_us_uses_up_attempts_after_four_days(world: World) -> None:
    """Such a mail would circle for ever."""
    mail = post(world)
    for _ in range(6 * 24 * 4):
        world.round(Answer.BLOCKED)
        world.advance(600)
    assert {entry.attempts for entry in world.entries(mail)} == {0}
    for _ in range(100):
        world.round(Answer.BLOCKED)
        world.advance(60)
    last = world.entries(mail)[-1]
    assert (last.state, last.reason, last.attempts) == (MailState.DEAD, "exhausted", 3)


def test_a_mail_that_would_expire_before_its_domain_is_asked_again_expires(world: World) -> None:
    """Nobody is told late what was true for a minute."""
    mail = post(world, expires_at=world.clock.now_ms() + 50_000)
    turn(world)
    world.answer(world.relay.waiting[0], Answer.BLOCKED)
    assert states(world, mail) == [MailState.EXPIRED]


def test_a_template_of_which_too_much_is_refused_pauses(world: World) -> None:
    """Twenty mails show it; nineteen are dead, the last and the next ones wait."""
    refused = [post(world) for _ in range(20)]
    for _ in refused:
        turn(world)
        world.answer(world.relay.waiting[0], Answer.SPAM)
    late, other = post(world), post(world, SECURITY)
    for _ in range(3):
        turn(world)
    waits = [world.entries(mail)[-1] for mail in (refused[-1], late)]
    assert [(e.state, e.reason, e.attempts) for e in waits] == [
        (MailState.SCHEDULED, "template-out", 0)
    ] * 2
    (waiting,) = world.relay.waiting
    assert waiting.mail == other.id
    assert states(world, late)[-1] is MailState.SENT
    assert states(world, refused[-1])[-1] is MailState.SENT
    assert states(world, refused[0]) == [MailState.DEAD]


def test_a_put_off_mail_can_be_cancelled(world: World) -> None:
    """While it waits, as any other that waits."""
    mail = post(world)
    turn(world)
    world.answer(world.relay.waiting[0], Answer.BLOCKED)
    turn(world)
    world.demand(mail, ControlAction.CANCEL, "acme")
    assert states(world, mail) == [MailState.SCHEDULED, MailState.CANCELLED]


@pytest.mark.parametrize(
    ("kind", "what"), [(SwitchKind.TEMPLATE, PLAIN), (SwitchKind.TENANT, "acme")]
)
def test_a_paused_template_s_mails_wait_without_an_attempt(
    world: World, kind: SwitchKind, what: str
) -> None:
    """They block nobody, however long it lasts; the ledger says why, without a reason or a name."""
    world.switch(kind, what, off=True)
    since = show_instant(world.clock.now_ms())
    mail = post(world)
    other = post(world, HOLD) if kind is SwitchKind.TEMPLATE else post(world, tenant="zoo")
    for _ in range(100):
        world.round(Answer.ACCEPT)
        world.advance(30)
    assert [entry.state for entry in world.entries(other)][-1] is MailState.SENT
    entries = world.entries(mail)
    assert {(e.state, e.attempts, e.reason, e.text) for e in entries} == {
        (MailState.SCHEDULED, 0, f"{kind}-paused", f"paused by an operator since {since}")
    }
    # Looked at each minute for an hour, and every ten from then on.
    assert len(entries) < 66
    assert states(world, mail)[-1] is MailState.SENT
    assert {entry.attempts for entry in world.entries(mail)} == {0}


def test_a_paused_template_kills_no_mail_that_it_cannot_render(world: World) -> None:
    """It is paused so that somebody can mend it."""
    world.switch(SwitchKind.TEMPLATE, "not-deployed", off=True)
    mail = post(world, "not-deployed")
    for _ in range(3):
        turn(world)
    assert [entry.state for entry in world.entries(mail)] == [MailState.SCHEDULED]
    assert states(world, mail)[-1] is MailState.DEAD


def test_an_attempt_that_was_used_up_before_a_pause_stays_so(world: World) -> None:
    """The pause itself costs none."""
    mail = post(world)
    turn(world)
    world.answer(world.relay.waiting[0], Answer.LATER)
    world.switch(SwitchKind.TEMPLATE, PLAIN, off=True)
    for _ in range(20):
        world.round(Answer.LATER)
        world.advance(60)
    assert {entry.attempts for entry in world.entries(mail)} == {1}
    assert world.entries(mail)[-1].reason == "template-paused"
    assert states(world, mail)[-1] is MailState.SENT


def test_a_paused_mail_expires_at_its_end_and_not_before(world: World) -> None:
    """As long as it could be sent in time it waits; and it can be cancelled."""
    world.switch(SwitchKind.TEMPLATE, PLAIN, off=True)
    mail = post(world, expires_at=world.clock.now_ms() + 45_000)
    cancelled = post(world)
    turn(world)
    world.demand(cancelled, ControlAction.CANCEL, "acme")
    turn(world)
    assert [entry.state for entry in world.entries(cancelled)][-1] is MailState.CANCELLED
    world.advance(44)
    turn(world)
    assert [entry.state for entry in world.entries(mail)] == [MailState.SCHEDULED]
    world.advance(1)
    for _ in range(3):
        turn(world)
    assert [entry.state for entry in world.entries(mail)][-1] is MailState.EXPIRED


@pytest.mark.parametrize("template", [PLAIN, HOLD])
@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (SwitchKind.ALL, ""),
        (SwitchKind.RELAY, "relay"),
        (SwitchKind.TENANT, "acme"),
    ],
)
def test_what_waits_for_its_turn_is_put_back_by_a_pause(
    world: World, template: str, kind: SwitchKind, what: str
) -> None:
    """However long the relay's rate makes it wait: nobody was told of it, so nobody is to be."""
    world.relay.turn.clear()
    mail = post(world, template)
    turn(world)
    world.switch(kind, what, off=True)
    world.relay.turn.set()
    for _ in range(5):
        turn(world)
    assert world.relay.waiting == world.relay.taken == []
    world.crash(world.workers["a"])
    world.start("a", 0)
    for _ in range(5):
        turn(world)
    assert world.relay.waiting == world.relay.taken == []
    assert states(world, mail)[-1] is MailState.SENT


def test_what_is_on_the_wire_ends_whatever_is_paused(world: World) -> None:
    """The relay may have it already."""
    mail = post(world)
    turn(world)
    world.switch(SwitchKind.ALL, "", off=True)
    world.answer(world.relay.waiting[0], Answer.ACCEPT)
    turn(world)
    assert [entry.state for entry in world.entries(mail)] == [MailState.SENT]


def test_everything_waits_where_it_is_and_commands_are_heeded(world: World) -> None:
    """As in an outage: nothing moves to a tier."""
    world.switch(SwitchKind.ALL, "", off=True)
    mails = [post(world) for _ in range(20)]
    world.demand(mails[-1], ControlAction.CANCEL, "acme")
    for _ in range(20):
        world.round(Answer.ACCEPT)
        world.advance(30)
    assert [world.entries(mail) for mail in mails[:-1]] == [[]] * 19
    for mail in mails[:-1]:
        assert states(world, mail) == [MailState.SENT]
    assert states(world, mails[-1]) == [MailState.CANCELLED]


def test_a_paused_tier_s_records_wait_and_others_flow(world: World) -> None:
    """Also where they are due; they go out when it is resumed."""
    world.switch(SwitchKind.TIER, "10m", off=True)
    long, short = (
        post(world, not_before=world.clock.now_ms() + seconds * 1_000) for seconds in (700, 90)
    )
    for _ in range(100):
        world.round(Answer.ACCEPT)
        world.advance(30)
    assert [entry.state for entry in world.entries(long)] == [MailState.SCHEDULED]
    assert [entry.state for entry in world.entries(short)][-1] is MailState.SENT
    assert states(world, long)[-1] is MailState.SENT


def test_what_is_resumed_goes_out_at_once_however_long_it_was_paused(world: World) -> None:
    """Although it was to be looked at in ten minutes; put off again it waits again."""
    world.switch(SwitchKind.TEMPLATE, PLAIN, off=True)
    mail = post(world)
    for _ in range(155):
        world.round(Answer.ACCEPT)
        world.advance(60)
    assert world.entries(mail)[-1].due_at > world.clock.now_ms() + 60_000
    world.switch(SwitchKind.TEMPLATE, PLAIN, off=False)
    world.switch(SwitchKind.TENANT, "acme", off=True)
    for _ in range(3):
        turn(world)
    assert world.entries(mail)[-1].reason == "tenant-paused"
    world.switch(SwitchKind.TENANT, "acme", off=False)
    before = world.clock.now_ms()
    for _ in range(4):
        world.round(Answer.ACCEPT)
    last = world.entries(mail)[-1]
    assert (last.state, last.attempts, world.clock.now_ms() - before) == (MailState.SENT, 0, 0)
