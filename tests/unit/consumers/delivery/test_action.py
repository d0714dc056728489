"""What is done about a failure follows from its class and its scope."""

from dataclasses import replace

import pytest

from consumers.delivery.action import Action, action_of
from retry_topics.failure import Failure, FailureClass, Phase, Scope

FAILURE = Failure(Scope.RECIPIENT, FailureClass.TRANSIENT, Phase.RCPT, "text", "rule")


@pytest.mark.parametrize(
    ("scope", "kind", "action"),
    [
        (Scope.RECIPIENT, FailureClass.TRANSIENT, Action.RETRY_TIER),
        (Scope.RECIPIENT, FailureClass.THROTTLE, Action.RETRY_TIER),
        (Scope.RECIPIENT, FailureClass.PERMANENT, Action.DEAD),
        (Scope.MESSAGE, FailureClass.TRANSIENT, Action.RETRY_TIER),
        (Scope.MESSAGE, FailureClass.PERMANENT, Action.DEAD),
        (Scope.SENDER, FailureClass.TRANSIENT, Action.PAUSE),
        (Scope.SENDER, FailureClass.CONFIG, Action.PAUSE),
        (Scope.SENDER, FailureClass.THROTTLE, Action.THROTTLE),
        (Scope.ENDPOINT, FailureClass.TRANSIENT, Action.PAUSE),
        (Scope.ENDPOINT, FailureClass.CONFIG, Action.PAUSE),
        (Scope.ENDPOINT, FailureClass.THROTTLE, Action.THROTTLE),
        (Scope.DOMAIN, FailureClass.TRANSIENT, Action.THROTTLE),
    ],
)
def test_class_and_scope_decide(scope: Scope, kind: FailureClass, action: Action) -> None:
    """Only what is the mail's own uses up an attempt or ends the mail."""
    assert action_of(replace(FAILURE, scope=scope, kind=kind)) is action


@pytest.mark.parametrize(
    ("change", "action"),
    [
        ({}, Action.SUPPRESS),
        ({"phase": Phase.DOT}, Action.SUPPRESS),
        ({"phase": Phase.MAIL}, Action.DEAD),
        ({"bad_address": False}, Action.DEAD),
        ({"scope": Scope.MESSAGE}, Action.DEAD),
        ({"kind": FailureClass.TRANSIENT}, Action.RETRY_TIER),
    ],
)
def test_a_recipient_is_suppressed_only_where_the_address_was_refused(
    change: dict[str, object], action: Action
) -> None:
    """For good, as a recipient, in a phase that is about the recipient."""
    bad = replace(FAILURE, kind=FailureClass.PERMANENT, bad_address=True)

    assert action_of(replace(bad, **change)) is action  # type: ignore[arg-type]  # see the table
