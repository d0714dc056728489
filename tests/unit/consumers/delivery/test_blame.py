"""Whose breaker a failure opens."""

import pytest

from consumers.delivery.blame import Blame, blame, is_about_content
from consumers.delivery.outcome import classify
from consumers.delivery.reply import Reply
from retry_topics.failure import Phase


@pytest.mark.parametrize(
    ("phase", "reply", "whose"),
    [
        (Phase.BANNER, "421 4.3.2 Service not active", Blame.RELAY),
        (Phase.STARTTLS, "454 4.7.0 TLS not available", Blame.RELAY),
        (Phase.AUTH, "535 5.7.8 Bad credentials", Blame.RELAY),
        (Phase.MAIL, "530 5.7.0 Authentication required", Blame.RELAY),
        (Phase.MAIL, "452 4.4.5 Messages per second limit exceeded", Blame.RELAY),
        (Phase.RCPT, "550 5.4.5 Daily user sending quota exceeded", Blame.RELAY),
        (Phase.DOT, "454 Throttling failure: Maximum sending rate exceeded.", Blame.RELAY),
        (Phase.MAIL, "553 5.7.1 Sender address rejected: not owned by auth user.", Blame.SENDER),
        (Phase.DOT, "554 Message rejected: Email address is not verified.", Blame.SENDER),
        (Phase.RCPT, "554 5.7.1 Relay access denied", Blame.RELAY),
        (Phase.RCPT, "554 5.7.1 Client host blocked using sbl-xbl.spamhaus.org", Blame.DOMAIN),
        (Phase.DOT, "550 5.7.1 poor reputation of your IP", Blame.DOMAIN),
        (Phase.RCPT, "550 5.1.1 User unknown", None),
        (Phase.DOT, "554 5.6.0 Refused", None),
    ],
)
def test_the_smallest_thing_that_is_out_is_to_blame(
    phase: Phase, reply: str, whose: Blame | None
) -> None:
    """A login or quota is the relay's, a refused sender only its own, a block list a domain's."""
    assert blame(classify(Reply.parse(reply), phase)) is whose


@pytest.mark.parametrize(
    ("phase", "reply", "content"),
    [
        (Phase.DOT, "550 spam message rejected", True),
        (Phase.DATA, "554 5.6.0 Refused", True),
        (Phase.DOT, "451 4.3.0 Queue file write error", False),
        (Phase.MAIL, "552 5.3.4 too big", False),
        (Phase.RCPT, "550 5.1.1 User unknown", False),
    ],
)
def test_content_is_refused_only_for_good_and_only_where_it_was_seen(
    phase: Phase, reply: str, content: bool
) -> None:
    """What a relay says before the mail is not about what is in it."""
    assert is_about_content(classify(Reply.parse(reply), phase)) is content
