"""Demands about a mail that nobody has in hand."""

import pytest
from msgspec import structs

from consumers.mailer.commands import cancels, may_stop
from consumers.mailer.ledger.judge import Verdict, judge
from schemas.control import ControlAction, ControlCommand
from schemas.ledger import NOBODY, Standing, owner_of
from schemas.mail_states import MOVING, PARKED, SETTLED, MailState

OWNER = owner_of("acme")
_WAITING = sorted(MOVING - {MailState.QUEUED, MailState.SENDING})


def demand(action: ControlAction = ControlAction.CANCEL, tenant: str = "acme") -> ControlCommand:
    return ControlCommand(action, 0, event_id="", tenant=tenant)


def standing(state: MailState) -> Standing:
    return Standing(state, 1, 2, 3, OWNER)


@pytest.mark.parametrize("tenant", ["acme", ""])
@pytest.mark.parametrize("state", [*_WAITING, *sorted(PARKED)])
def test_a_mail_that_waits_or_is_parked_is_cancelled(state: MailState, tenant: str) -> None:
    """By its tenant and by the operator; which of its records counts stays the same."""
    expected = Standing(MailState.CANCELLED, 1, 2, 3, OWNER)
    assert cancels(demand(tenant=tenant), standing(state)) == expected


@pytest.mark.parametrize("state", sorted(MailState))
def test_a_stranger_changes_nothing(state: MailState) -> None:
    """A tenant can cancel only what is its own; of what is cancelled, only whose demand it was."""
    changed = cancels(demand(tenant="zoo"), standing(state))
    if state is MailState.CANCELLED:
        assert changed == structs.replace(standing(state), owner=NOBODY)
    else:
        assert changed is None


def test_a_stranger_s_demand_does_not_hide_the_owner_s() -> None:
    """Before the mail comes nobody knows whose it is, so two demands count for whoever it is."""
    strange = cancels(demand(tenant="zoo"), None)
    assert strange is not None
    both = cancels(demand(), strange)
    assert both == structs.replace(strange, owner=NOBODY)
    assert judge(strange, 0, 0, OWNER) is Verdict.PROCEED
    assert judge(both, 0, 0, OWNER) is Verdict.DROP


@pytest.mark.parametrize("action", [ControlAction.CANCEL, ControlAction.DISCARD])
@pytest.mark.parametrize("state", [*sorted(SETTLED), MailState.SENDING])
def test_what_is_over_or_in_doubt_stays_as_it_is(state: MailState, action: ControlAction) -> None:
    """A mail whose end is in doubt will be held for a person."""
    assert cancels(demand(action), standing(state)) is None


def test_a_mail_that_was_never_touched_is_cancelled_before_it_comes() -> None:
    """The entry has the owner of whoever asked, since nobody knows the mail's."""
    expected = Standing(MailState.CANCELLED, 0, 0, 0, OWNER)
    assert cancels(demand(), None) == expected
    assert cancels(demand(tenant=""), None) == structs.replace(expected, owner=NOBODY)


def test_only_what_is_parked_is_discarded() -> None:
    """A mail on its way cannot be discarded, only cancelled."""
    for state in sorted(PARKED):
        changed = cancels(demand(ControlAction.DISCARD), standing(state))
        assert changed == Standing(MailState.DISCARDED, 1, 2, 3, OWNER)
    for state in _WAITING:
        assert cancels(demand(ControlAction.DISCARD), standing(state)) is None
    assert cancels(demand(ControlAction.DISCARD), None) is None


@pytest.mark.parametrize(("tenant", "may"), [("acme", True), ("", True), ("zoo", False)])
def test_who_may_stop_a_mail_in_hand(tenant: str, may: bool) -> None:
    """Its tenant and the operator."""
    assert may_stop(demand(tenant=tenant), OWNER) is may
