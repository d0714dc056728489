"""What a failure leads to, in one word each."""

from enum import StrEnum

from retry_topics.failure import Failure, FailureClass, Scope, is_bad_address


class Action(StrEnum):
    """What is done about a failure. Only the last three concern the mail alone."""

    #: Nothing new begins until a probe gets through; no attempt is used up.
    PAUSE = "pause"
    #: The same at a lower rate; no attempt is used up.
    THROTTLE = "throttle"
    #: The mail takes the next retry tier, and an attempt is used up.
    RETRY_TIER = "retry_tier"
    #: The mail goes to the dead-letter topic.
    DEAD = "dead"
    #: So it does, and its recipient gets no more mail.
    SUPPRESS = "suppress"


def action_of(failure: Failure) -> Action:
    """Return what is done about a failure, by its class and scope."""
    if failure.is_outage:
        slower = failure.kind is FailureClass.THROTTLE or failure.scope is Scope.DOMAIN
        return Action.THROTTLE if slower else Action.PAUSE
    if failure.kind is not FailureClass.PERMANENT:
        return Action.RETRY_TIER
    return Action.SUPPRESS if is_bad_address(failure) else Action.DEAD
