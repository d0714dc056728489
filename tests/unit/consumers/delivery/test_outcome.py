"""Replies are classified as an experienced postmaster would: whose fault, what kind, when again."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.delivery.outcome import classify
from consumers.delivery.reply import Reply
from consumers.delivery.rules import RULES
from retry_topics.failure import FailureClass, Phase, Scope

HERE = Path(__file__).parent
#: real_replies.jsonl holds replies that were seen in the wild, with their sources;
#: known_replies.jsonl holds ones that providers and servers document or are built to give.
CORPUS = [
    json.loads(line)
    for name in ("real_replies.jsonl", "known_replies.jsonl")
    for line in (HERE / name).read_text(encoding="utf-8").splitlines()
]
SMTP_PHASES = [phase for phase in Phase if phase not in (Phase.DECODE, Phase.RENDER)]


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: f"{case['phase']} {case['reply'][:40]}")
def test_known_replies_are_classified_right(case: dict[str, object]) -> None:
    """Each reply of the corpus gets one of the scopes and classes that it may have."""
    failure = classify(Reply.parse(str(case["reply"])), Phase(str(case["phase"])))

    scopes, classes = case["scopes"], case["classes"]
    assert isinstance(scopes, list)
    assert isinstance(classes, list)
    assert failure.scope in scopes, failure
    assert failure.kind in classes, failure
    assert failure.retry_after_ms == (
        case["retry_after_s"] and int(str(case["retry_after_s"])) * 1000
    )


@pytest.mark.parametrize("phase", [Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS])
@given(code=st.integers(400, 599), text=st.text(max_size=80))
def test_what_comes_before_login_is_never_a_mails_fault(phase: Phase, code: int, text: str) -> None:
    """Whatever the relay says before a transaction, no mail uses an attempt for it."""
    failure = classify(Reply.of(code, text), phase)

    assert failure.scope is Scope.ENDPOINT
    assert failure.is_outage
    assert failure.kind is not FailureClass.PERMANENT


@given(
    code=st.integers(0, 999),
    phase=st.sampled_from(SMTP_PHASES),
    text=st.text(max_size=200),
)
def test_every_reply_has_an_outcome(code: int, phase: Phase, text: str) -> None:
    """The table has no holes: any code in any phase is classified, 4yz as temporary."""
    failure = classify(Reply.of(code, text), phase)

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


def test_rules_have_names_for_status_and_metrics() -> None:
    """A rule's name is made of lower-case words, and one name stands for one scope."""
    scopes: dict[str, Scope] = {}
    for rule in RULES:
        assert rule.name.replace("-", "").isalpha()
        assert rule.name.islower()
        assert scopes.setdefault(rule.name, rule.scope) is rule.scope


@pytest.mark.timeout(60)
@given(text=st.text(alphabet="recipient mailbox account <>@.quota 0123456789", max_size=500))
def test_classifying_takes_bounded_time(text: str) -> None:
    """No text of a hostile relay lets the patterns run away: all examples fit the timeout."""
    classify(Reply.of(451, text), Phase.RCPT)
