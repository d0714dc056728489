"""Classifies a reply that is no acceptance: whose fault it is, of what kind, when to try again."""

import re
from typing import Final

from consumers.delivery.delay import requested_delay_ms
from consumers.delivery.reply import Reply
from consumers.delivery.rules import RULES
from retry_topics.failure import Failure, FailureClass, Phase, Scope

UNEXPECTED_REPLY: Final = "unexpected-reply"
#: Replies quote addresses. Nobody may change what a reply means by the name of a mailbox.
_ADDRESS: Final = re.compile(r"<?[^\s<>]+@[^\s<>:;,]+>?")
_WAITING_HELPS: Final = frozenset({FailureClass.TRANSIENT, FailureClass.THROTTLE})


def classify(reply: Reply, phase: Phase) -> Failure:
    """Classify a reply by the first rule of `consumers.delivery.rules` that applies.

    A reply that is neither 4yz nor 5yz where it stood is a relay out of step with us.
    """
    scope, kind, rule = Scope.ENDPOINT, FailureClass.TRANSIENT, UNEXPECTED_REPLY
    text = _ADDRESS.sub("<>", reply.text)
    if 400 <= reply.code < 600:
        for candidate in RULES:
            found = candidate.kind(reply.code, reply.enhanced, text, phase)
            if found is not None:
                scope, kind, rule = candidate.scope, found, candidate.name
                break
    return Failure(
        scope=scope,
        kind=kind,
        phase=phase,
        text=reply.text,
        rule=rule,
        code=reply.code,
        enhanced=reply.enhanced,
        retry_after_ms=requested_delay_ms(text) if kind in _WAITING_HELPS else None,
    )
