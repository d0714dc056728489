"""Whose breaker a failure opens: the smallest thing that is out with it."""

from enum import StrEnum
from typing import Final

from retry_topics.failure import Failure, FailureClass, Phase, Scope


class Blame(StrEnum):
    """What an outage is of; the words of metrics, readiness, logs and status."""

    RELAY = "relay"
    SENDER = "sender"
    DOMAIN = "domain"
    TEMPLATE = "template"
    REGISTRY = "registry"
    SWITCHES = "switches"


#: Codes and rules that are about our account with the relay, whichever sender a mail has.
_LOGIN_CODES: Final = frozenset({530, 534, 535, 538})
_OF_THE_ACCOUNT: Final = frozenset(
    {"login-required", "account-unfit", "password-unavailable", "token-unavailable"}
)
_OF_ONE_RECIPIENT: Final = frozenset({Phase.RCPT, Phase.DATA, Phase.DOT})
_OF_THE_CONTENT: Final = frozenset({Phase.DATA, Phase.DOT})


def blame(failure: Failure) -> Blame | None:
    """Return what is out by a failure; None: nothing but the mail itself.

    A block list or a bad reputation is what one recipient's domain holds against us, so mails to
    other domains go on. Logins, rates and quotas are the account's with the relay.
    """
    match failure.scope:
        case Scope.ENDPOINT:
            return Blame.RELAY
        case Scope.DOMAIN:
            return Blame.DOMAIN
        case Scope.TEMPLATE:
            return Blame.TEMPLATE
        case Scope.SENDER:
            return _of_the_sender(failure)
        case _:
            return None


def is_about_content(failure: Failure) -> bool:
    """Tell whether a relay has seen the mail and does not want it, for good."""
    return (
        failure.scope in (Scope.MESSAGE, Scope.TEMPLATE)
        and failure.kind is FailureClass.PERMANENT
        and failure.phase in _OF_THE_CONTENT
    )


def _of_the_sender(failure: Failure) -> Blame:
    if failure.phase is Phase.AUTH or failure.kind is FailureClass.THROTTLE:
        return Blame.RELAY
    if failure.code in _LOGIN_CODES or failure.rule in _OF_THE_ACCOUNT:
        return Blame.RELAY
    if failure.kind is FailureClass.TRANSIENT and failure.phase in _OF_ONE_RECIPIENT:
        return Blame.DOMAIN
    return Blame.SENDER
