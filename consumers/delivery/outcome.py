"""Classifies a reply that is no acceptance: whose fault it is, of what kind, when to try again."""

import re
from functools import lru_cache
from typing import Final, NamedTuple

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
    text = _ADDRESS.sub("<>", reply.text)
    verdict = _verdict(reply.code, reply.enhanced, text, phase)
    return Failure(
        scope=verdict.scope,
        kind=verdict.kind,
        phase=phase,
        text=reply.text,
        rule=verdict.rule,
        code=reply.code,
        enhanced=reply.enhanced,
        retry_after_ms=requested_delay_ms(text) if verdict.kind in _WAITING_HELPS else None,
    )


class _Verdict(NamedTuple):
    scope: Scope
    kind: FailureClass
    rule: str


@lru_cache(maxsize=1024)
def _verdict(code: int, enhanced: str | None, text: str, phase: Phase) -> _Verdict:
    """Ask the rules. Without addresses, relays say the same few things over and over."""
    if 400 <= code < 600:
        for rule in RULES:
            kind = rule.kind(code, enhanced, text, phase)
            if kind is not None:
                return _Verdict(rule.scope, kind, rule.name)
    return _Verdict(Scope.ENDPOINT, FailureClass.TRANSIENT, UNEXPECTED_REPLY)
