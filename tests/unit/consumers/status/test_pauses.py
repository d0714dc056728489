"""Which mails wait for an operator, and what is said of them to whom."""

from dataclasses import replace

import pytest

from consumers.status.pauses import Pauses
from consumers.status.reader import MailStatus
from consumers.status.summary import summary_of
from ingest.status_payloads import detail_of
from retry_topics.topology import parse_tiers
from schemas.mail_states import MailState
from schemas.switches import (
    EVERYTHING,
    SWITCHED_OFF,
    Switch,
    Switches,
    SwitchKey,
    SwitchKind,
)
from tests.support.statuses import ACCEPTED_AT, MAIL, RELAY_OUT, quiet

TIERS = parse_tiers("1m,10m,1h")
MINUTE = 60_000
#: Accepted a minute ago; nothing was done about it.
NOW = ACCEPTED_AT + MINUTE
QUEUED = replace(quiet(MailState.QUEUED), updated_at=ACCEPTED_AT)
#: Failed at its acceptance, for the second time; due ten minutes later.
RETRY = replace(MAIL, updated_at=ACCEPTED_AT + 3, due_at=ACCEPTED_AT + 10 * MINUTE)
PUT_OFF = replace(
    quiet(MailState.SCHEDULED),
    updated_at=ACCEPTED_AT,
    due_at=ACCEPTED_AT + 2 * MINUTE,
    reason="template-paused",
    text="paused by an operator since 2027-01-15T08:00:00Z",
)
TEMPLATE = SwitchKey(SwitchKind.TEMPLATE, "welcome")
TENANT = SwitchKey(SwitchKind.TENANT, "shop")
TIER = SwitchKey(SwitchKind.TIER, "10m")
RELAY = SwitchKey(SwitchKind.RELAY, "smtp.example:587")
OFF = replace(RELAY_OUT, rule=SWITCHED_OFF, reason="paused by an operator")


def told_of(mail: MailStatus, now: int, *keys: SwitchKey) -> MailStatus:
    off = {key: Switch(key, ACCEPTED_AT, "eve", "a wrong link") for key in keys}
    return Pauses(Switches(off), TIERS).told_of(mail, (), now)


@pytest.mark.parametrize(
    ("mail", "now", "key", "waits"),
    [
        (QUEUED, NOW, EVERYTHING, True),
        (QUEUED, NOW, TEMPLATE, True),
        (QUEUED, NOW, TENANT, True),
        (QUEUED, NOW, SwitchKey(SwitchKind.TEMPLATE, "other"), False),
        (QUEUED, NOW, SwitchKey(SwitchKind.TENANT, "other"), False),
        (QUEUED, NOW, TIER, False),
        (QUEUED, NOW, RELAY, False),
        (PUT_OFF, NOW, TEMPLATE, True),
        (PUT_OFF, NOW, EVERYTHING, False),
        (replace(PUT_OFF, reason=""), NOW, TEMPLATE, False),
        (RETRY, NOW, TEMPLATE, False),
        (RETRY, NOW, TIER, False),
        (RETRY, NOW + 10 * MINUTE, TIER, True),
        (RETRY, NOW + 10 * MINUTE, TEMPLATE, True),
        (RETRY, NOW + 10 * MINUTE, SwitchKey(SwitchKind.TIER, "1m"), False),
        # It rides the tier of ten minutes to a time behind it, and its stay there is over.
        (replace(RETRY, due_at=NOW + 30 * MINUTE), NOW + 20 * MINUTE, TIER, True),
        (quiet(MailState.SENT), NOW, TEMPLATE, False),
        (quiet(MailState.HELD), NOW, EVERYTHING, False),
    ],
)
def test_a_mail_waits_for_what_keeps_it_from_its_turn(
    mail: MailStatus, now: int, key: SwitchKey, waits: bool
) -> None:
    """Not for what it is not of, nor as long as its turn has not come."""
    assert (told_of(mail, now, key).paused is not None) == waits


def test_of_several_the_widest_is_told() -> None:
    """Whoever resumes it will see what is left."""
    for keys in ((EVERYTHING, TENANT, TEMPLATE), (TENANT, TEMPLATE), (TEMPLATE,)):
        paused = told_of(QUEUED, NOW, *keys).paused
        assert paused is not None
        assert paused.key == keys[0]


def test_nobody_is_told_of_tiers_that_nobody_knows() -> None:
    """A reader without them says nothing."""
    switches = Switches({TIER: Switch(TIER, 1)})
    assert Pauses(switches, ()).told_of(RETRY, (), NOW + 10 * MINUTE).paused is None


def test_a_paused_relay_is_no_outage() -> None:
    """Its worker tells of it; since when and why the switch knows, if it is still there."""
    known = Switch(RELAY, 7, "eve", "moving house")
    for switches, expected in (
        (Switches({RELAY: known}), known),
        (Switches(), Switch(RELAY, OFF.since)),
    ):
        mail = Pauses(switches, TIERS).told_of(QUEUED, (OFF, RELAY_OUT), NOW)
        assert (mail.paused, mail.waits_for) == (expected, (RELAY_OUT,))
    assert Pauses(Switches(), TIERS).told_of(PUT_OFF, (OFF,), NOW).paused is None


def test_a_tenant_is_told_that_an_operator_paused_and_an_operator_why() -> None:
    """Nobody but operators hears who it was, or the reason."""
    mail = told_of(QUEUED, NOW, TEMPLATE)
    words = "accepted; waits: paused by an operator since 2027-01-15T08:00:00Z"
    assert summary_of(mail, 3) == words
    assert summary_of(mail, 3, reasons=True) == f"{words}: a wrong link"
    told = detail_of(mail, 3)
    assert told.summary == words
    (waits_for,) = told.waits_for
    assert (waits_for.kind, waits_for.what) == ("operator", "")
    assert waits_for.reason == "paused by an operator"
    assert "eve" not in repr(told)
    assert "wrong link" not in repr(told)


def test_a_mail_that_was_put_off_says_when_its_turn_comes() -> None:
    """While the pause lasts nobody knows; afterwards at the latest when it is looked at."""
    assert summary_of(told_of(PUT_OFF, NOW, TEMPLATE), 3) == (
        "kept back without an attempt; waits: paused by an operator since 2027-01-15T08:00:00Z"
    )
    assert summary_of(told_of(PUT_OFF, NOW), 3) == (
        "was paused by an operator since 2027-01-15T08:00:00Z; its turn comes by "
        "2027-01-15T08:02:00Z"
    )
