"""Why a record is on the dead-letter topic, in a form in which equal causes are equal values."""

from hashlib import blake2b
from typing import Final, NamedTuple

from retry_topics.failure import FailureClass, Phase, Scope
from retry_topics.headers import HISTORY, Attempt, read_journey
from retry_topics.policy import DeadReason

_FINGERPRINT_BYTES: Final = 5
#: How an attempt begins in a history's header, and the parts of it that differ between mails.
_ATTEMPT_STARTS: Final = b'{"n":'
_CAUSE_STARTS: Final = b',"scope":"'
_TEXT_STARTS: Final = b'","text":"'
_CODE_STARTS: Final = b'","code":'
_ENHANCED_STARTS: Final = b'","enhanced":'
#: Groups that are remembered; there are few, unless somebody makes them up.
_MOST_KNOWN: Final = 10_000


class Cause(NamedTuple):
    """What the last failure was; texts, so that what another version wrote stays readable.

    `reason` is why the record is dead, a word of `DeadReason`.
    """

    reason: str
    scope: str
    kind: str
    phase: str
    rule: str
    code: int | None = None
    enhanced: str | None = None


class Group(NamedTuple):
    """Failures that are alike: the same cause with the same template."""

    fingerprint: str
    template: str
    cause: Cause


#: What a mail died of where no attempt failed: our own step before it.
_BEFORE_ANY_ATTEMPT: Final = {
    DeadReason.UNDECODABLE.value: (Scope.MESSAGE, FailureClass.PERMANENT, Phase.DECODE),
    DeadReason.UNKNOWN_TEMPLATE.value: (Scope.TEMPLATE, FailureClass.CONFIG, Phase.RENDER),
    DeadReason.UNRENDERABLE.value: (Scope.TEMPLATE, FailureClass.CONFIG, Phase.RENDER),
}


def fingerprint_of(template: str, cause: Cause) -> str:
    """Return ten hexadecimal digits that stand for a template and a cause."""
    parts = (template, cause.kind, cause.scope, cause.phase, str(cause.code), cause.rule)
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return blake2b(text.encode("utf-8", "replace"), digest_size=_FINGERPRINT_BYTES).hexdigest()


def cause_of(reason: str, last: Attempt | None) -> Cause:
    """Return the cause of a death; `last` is its last failed attempt, if there was one."""
    ours = _BEFORE_ANY_ATTEMPT.get(reason)
    if ours is not None:
        scope, kind, phase = ours
        return Cause(reason, scope.value, kind.value, phase.value, reason)
    if last is None:
        return Cause(reason, "", "", "", reason)
    return Cause(reason, last.scope, last.kind, last.phase, last.rule, last.code, last.enhanced)


class CauseReader:
    """Reads causes from headers, of which most are alike, without parsing each anew."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bytes, bytes], Group] = {}
        self._groups: dict[Group, Group] = {}

    def read(self, template: str, reason: bytes, history: bytes) -> Group:
        """Return the group of a template's mail whose record has this reason and history.

        Both are empty where they are absent. Equal groups are one object.
        """
        key = (template, reason, _essence(history))
        group = self._known.get(key)
        if group is None:
            cause = _parse(reason, history)
            group = Group(fingerprint_of(template, cause), template, cause)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
                self._groups.clear()
            group = self._known[key] = self._groups.setdefault(group, group)
        return group


def _parse(reason: bytes, history: bytes) -> Cause:
    attempts = read_journey(((HISTORY, history),)).history if history else ()
    return cause_of(reason.decode("utf-8", "replace"), attempts[-1] if attempts else None)


def _essence(history: bytes) -> bytes:
    """Return of the last attempt what its cause is made of, as it is written; else all of it.

    Whatever stands inside a text has its quotation marks escaped, so that what is looked for is
    found only where it is meant.
    """
    start = history.rfind(_ATTEMPT_STARTS)
    cause = history.find(_CAUSE_STARTS, start)
    text = history.find(_TEXT_STARTS, cause)
    if start < 0 or cause < 0 or text < 0:
        return history
    code = history.find(_CODE_STARTS, text)
    if code < 0:
        code = history.find(_ENHANCED_STARTS, text)
    return history[cause:text] + (history[code:] if code > 0 else b"")
