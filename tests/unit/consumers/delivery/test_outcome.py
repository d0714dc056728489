"""Replies are classified as an experienced postmaster would: whose fault, what kind, when again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.action import action_of
from consumers.delivery.outcome import Classifier, classify, shipped_classifier
from consumers.delivery.reply import Reply
from consumers.delivery.rule_files import SMTP_PHASES
from consumers.delivery.rulebook import RuleBook, UnknownProfile
from retry_topics.failure import FailureClass, Phase, Scope
from tests.support.replies import KnownReply, documented_replies, sampled_replies

REPLIES = [*sampled_replies(), *documented_replies()]
PROFILES = sorted(set(RuleBook.load().names.values()))


def _profile(reply: KnownReply) -> str | None:
    try:
        return RuleBook.load().profile(reply.provider or "")
    except UnknownProfile:
        return None


def _check(reply: KnownReply, profile: str | None) -> None:
    failure = shipped_classifier().classify(Reply.parse(reply.text), Phase(reply.phase), profile)

    assert failure.scope in reply.scopes, failure
    assert failure.kind in reply.classes, failure
    assert reply.actions is None or action_of(failure) in reply.actions, failure
    asked_for = reply.retry_after_s
    assert failure.retry_after_ms == (None if asked_for is None else asked_for * 1000)


@pytest.mark.parametrize("reply", REPLIES, ids=str)
def test_known_replies_are_classified_right_by_who_knows_the_relay(reply: KnownReply) -> None:
    """With the provider's profile, each gets a scope, a class and an action that it may have."""
    _check(reply, _profile(reply))


@pytest.mark.parametrize("reply", [r for r in REPLIES if not r.needs_profile], ids=str)
def test_known_replies_are_classified_right_by_who_does_not_know_the_relay(
    reply: KnownReply,
) -> None:
    """The words say enough, whoever says them."""
    _check(reply, None)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_decides_about_replies_of_its_provider(profile: str) -> None:
    """There is none that nothing was ever tried on."""
    decided = {
        explained.failure.rule
        for reply in REPLIES
        if _profile(reply) == profile
        for explained in [
            shipped_classifier().explain(Reply.parse(reply.text), Phase(reply.phase), profile)
        ]
        if explained.layer == f"profile {profile}"
    }

    assert decided


@pytest.mark.parametrize("phase", [Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS])
@given(
    code=st.integers(400, 599),
    text=st.text(max_size=80),
    profile=st.sampled_from([None, *PROFILES]),
)
def test_what_comes_before_login_is_never_a_mails_fault(
    phase: Phase, code: int, text: str, profile: str | None
) -> None:
    """Whatever the relay says before a transaction, no mail uses an attempt for it."""
    failure = shipped_classifier().classify(Reply.of(code, text), phase, profile)

    assert failure.scope is Scope.ENDPOINT
    assert failure.is_outage
    assert failure.kind is not FailureClass.PERMANENT


@given(
    code=st.integers(0, 999),
    phase=st.sampled_from(SMTP_PHASES),
    text=st.text(max_size=200),
    profile=st.sampled_from([None, *PROFILES]),
)
def test_every_reply_has_an_outcome(
    code: int, phase: Phase, text: str, profile: str | None
) -> None:
    """The rules have no holes: any code in any phase is classified, 4yz as temporary."""
    failure = shipped_classifier().classify(Reply.of(code, text), phase, profile)

    assert failure.phase is phase
    assert failure.rule
    if 400 <= code < 500:
        assert failure.kind is not FailureClass.PERMANENT
    if not 400 <= code < 600:
        assert failure.rule == "unexpected-reply"


@pytest.mark.parametrize("phase", [Phase.RCPT, Phase.DOT])
@pytest.mark.parametrize(
    "mailbox", ["no-spam", "daily-quota", "greylist", "blacklisted", "relay-denied", "helo.ehlo"]
)
@pytest.mark.parametrize(
    "form",
    ["550 5.1.1 <{}@example.org>: User unknown", "550 5.1.1 {}@example.org... User unknown"],
)
def test_the_name_of_a_mailbox_does_not_change_the_verdict(
    phase: Phase, mailbox: str, form: str
) -> None:
    """Recipients choose their addresses; none of them can stop the worker by it."""
    failure = classify(Reply.parse(form.format(mailbox)), phase)

    assert (failure.scope, failure.kind) == (Scope.RECIPIENT, FailureClass.PERMANENT)


def test_a_delay_is_not_read_out_of_a_permanent_refusal() -> None:
    """Where waiting does not help, no time to wait is handed on."""
    failure = classify(Reply.parse("550 5.1.1 User unknown, try again in 5 minutes"), Phase.RCPT)

    assert failure.kind is FailureClass.PERMANENT
    assert failure.retry_after_ms is None


@pytest.mark.parametrize(
    ("phase", "action"),
    [(Phase.MAIL, "pause"), (Phase.RCPT, "suppress"), (Phase.DATA, "dead"), (Phase.DOT, "dead")],
)
def test_an_address_is_bad_where_it_was_refused_itself(phase: Phase, action: str) -> None:
    """An unknown user behind MAIL is the sender's; behind the mail it may be another hop's word."""
    failure = classify(Reply.parse("550 5.1.1 User unknown"), phase)

    assert action_of(failure) == action
    assert failure.bad_address is (action == "suppress")


def test_a_relay_that_refuses_late_is_believed_at_the_end_of_data() -> None:
    """Its profile says that it takes any recipient first; so do the general rules behind it."""
    refused = Reply.parse("550 5.1.1 User unknown")
    actions = {
        profile: action_of(shipped_classifier().classify(refused, Phase.DOT, profile))
        for profile in PROFILES
    }

    late = {profile for profile, action in actions.items() if action == "suppress"}
    assert late == {"outlook", "postmark", "ses", "yahoo"} == RuleBook.load().late


def test_ids_in_a_reply_make_no_new_question() -> None:
    """What differs from mail to mail is left out before the rules are asked."""
    classifier = Classifier(RuleBook.load())
    for number in range(50):
        text = f"550 5.1.1 No such user <ada{number}@example.com> 39si2626666ywh{number:06}"
        classifier.classify(Reply.parse(text), Phase.RCPT)

    assert classifier.questions == 1


@pytest.mark.timeout(60)
@given(
    text=st.text(alphabet="recipient mailbox account <>@.quota 0123456789", max_size=500),
    phase=st.sampled_from([Phase.RCPT, Phase.DOT]),
)
def test_classifying_takes_bounded_time(text: str, phase: Phase) -> None:
    """No text of a hostile relay lets the patterns run away: all examples fit the timeout."""
    classify(Reply.of(451, text), phase)
