"""The words for what came of one attempt: whose fault it was, of what kind, and where it arose.

Only failures of the recipient or of the message use up attempts. Everything else (our relay, our
credentials, our rate) is an outage: the record stays where it is and is tried again.
"""

from dataclasses import dataclass
from enum import StrEnum

from msgspec import Struct


class Scope(StrEnum):
    """Whose failure it is: the smallest thing that fails with it."""

    RECIPIENT = "recipient"
    MESSAGE = "message"
    TEMPLATE = "template"
    SENDER = "sender"
    DOMAIN = "domain"
    ENDPOINT = "endpoint"


class FailureClass(StrEnum):
    """What kind of failure it is, and so what helps."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    CONFIG = "config"
    THROTTLE = "throttle"


class Phase(StrEnum):
    """Where in an attempt it arose; the SMTP phases in their order, before them our own."""

    DECODE = "decode"
    RENDER = "render"
    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


#: Where a mail to one recipient can be refused for that recipient.
_OF_THE_RECIPIENT = frozenset({Phase.RCPT, Phase.DATA, Phase.DOT})
#: A failure of one of these scopes is the mail's own and uses up an attempt.
MAIL_SCOPES = frozenset({Scope.RECIPIENT, Scope.MESSAGE, Scope.TEMPLATE})


class Accepted(Struct, frozen=True, gc=False):
    """The relay took the mail. `reply` is its last line, with the queue id if it names one."""

    reply: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The relay did not take the mail, or we could not offer it.

    `code` is the SMTP reply code, `enhanced` the enhanced status code (RFC 3463), both None where
    there was no reply. `rule` names what classified it. `retry_after_ms` is a delay that the relay
    asked for, counted from now. `bad_address`: the rule says that the address itself was refused.
    """

    scope: Scope
    kind: FailureClass
    phase: Phase
    text: str
    rule: str
    code: int | None = None
    enhanced: str | None = None
    retry_after_ms: int | None = None
    bad_address: bool = False

    @property
    def is_outage(self) -> bool:
        """Tell whether the failure is ours or the relay's, so that it uses up no attempt."""
        return self.scope not in MAIL_SCOPES


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """The connection broke after the final dot and before its reply: accepted or not, unknown."""

    text: str


Outcome = Accepted | Failure | Ambiguous


def is_bad_address(failure: Failure) -> bool:
    """Tell whether a relay refused the recipient's address itself, for good (5.1.1 and its kind).

    Whoever mails such an address again harms the sender's reputation. Not so with refusals for
    other reasons, which may be about us.
    """
    return (
        failure.bad_address
        and failure.scope is Scope.RECIPIENT
        and failure.kind is FailureClass.PERMANENT
        and failure.phase in _OF_THE_RECIPIENT
    )
