"""`mailcascade relay classify`: what a relay's replies mean, for people and for programs."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from console.failures import CommandFailed, ExitCode
from consumers.delivery.action import Action, action_of
from consumers.delivery.outcome import Classifier
from consumers.delivery.reply import Reply
from consumers.delivery.rule_files import SMTP_PHASES
from consumers.delivery.rulebook import RuleBook, UnknownProfile
from consumers.delivery.wire import GARBLED_REPLY
from retry_topics.failure import Failure, FailureClass, Phase, Scope

Print = Callable[[str], None]

_ACCEPTED: Final = "accepted"
_POSITIVE: Final = range(200, 300)
#: The phases in which a positive reply is what was asked for.
_ACCEPTING: Final = frozenset(SMTP_PHASES) - {Phase.CONNECT, Phase.DATA}
_START_INPUT: Final = 354
_CLASSES: Final = {
    FailureClass.TRANSIENT: "goes by itself",
    FailureClass.PERMANENT: "stays as it is",
    FailureClass.CONFIG: "goes when a person mends it",
    FailureClass.THROTTLE: "goes when less is sent, or later",
}
_SCOPES: Final = {
    Scope.RECIPIENT: "this recipient",
    Scope.MESSAGE: "this mail, whoever gets it",
    Scope.TEMPLATE: "all mails of the template",
    Scope.SENDER: "all mails of our sender, account or address",
    Scope.DOMAIN: "all mails to the recipient's domain",
    Scope.ENDPOINT: "all mails through this relay",
}
_ACTIONS: Final = {
    Action.PAUSE: "sending waits, a probe tries again; no attempt is used up",
    Action.THROTTLE: "sending waits, then goes on more slowly; no attempt is used up",
    Action.RETRY_TIER: "the mail takes the next retry tier; an attempt is used up",
    Action.DEAD: "the mail goes to the dead-letter topic",
    Action.SUPPRESS: "the mail goes to the dead-letter topic, its recipient gets no more mail",
}


class BadLine(ValueError):
    """A line is no question about a reply."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reply means. `failure` None: the relay did what it was asked to."""

    failure: Failure | None
    layer: str

    def fields(self) -> dict[str, object]:
        """Return the answer as a program reads it."""
        if self.failure is None:
            return _fields("ok", None, "none", None, _ACCEPTED)
        failure, action, delay = self.failure, action_of(self.failure), self.failure.retry_after_ms
        seconds = None if delay is None else -(-delay // 1000)
        return _fields(failure.kind.value, failure.scope.value, action.value, seconds, failure.rule)


class ReplyDesk:
    """Answers questions about replies by one book of rules."""

    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._classifier = Classifier(book)

    def answer(self, reply: str, phase: Phase, provider: str | None) -> Answer:
        """Say what a reply means; a provider without a profile is treated like any other."""
        try:
            read = Reply.parse(reply)
        except ValueError:
            garbled = Failure(
                Scope.ENDPOINT, FailureClass.TRANSIENT, phase, reply.strip(), GARBLED_REPLY
            )
            return Answer(garbled, "built in: this is no reply")
        if phase in _ACCEPTING and read.code in _POSITIVE:
            return Answer(None, "built in")
        if phase is Phase.DATA and read.code == _START_INPUT:
            return Answer(None, "built in")
        explained = self._classifier.explain(read, phase, self._profile(provider))
        return Answer(explained.failure, explained.layer)

    def explain(self, reply: str, phase: Phase, provider: str | None, show: Print) -> None:
        """Show what a reply means to a person."""
        if provider is not None and self._profile(provider) is None:
            known = ", ".join(sorted(self._book.names))
            show(
                f"There is no profile {provider!r}, so the general rules count. There are {known}."
            )
        for line in _lines(self.answer(reply, phase, provider), reply, phase):
            show(line)

    def answer_lines(self, lines: Iterable[bytes], show: Print) -> int:
        """Answer a question a line, in order, and return the exit code: 1 if a line was bad."""
        code = ExitCode.OK
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                show(json.dumps(self.answer(*_question(line)).fields()))
            except BadLine as error:
                code = ExitCode.FAILED
                show(json.dumps({"line": number, "error": str(error)}))
        return code

    def _profile(self, provider: str | None) -> str | None:
        try:
            return None if provider is None else self._book.profile(provider)
        except UnknownProfile:
            return None


def phase_of(text: str) -> Phase:
    """Return the phase that a person names.

    Raises:
        CommandFailed: there is no such phase.
    """
    try:
        return _phase(text)
    except BadLine as error:
        raise CommandFailed(f"--{error}", ExitCode.WRONG_SETTING) from error


def _phase(text: object) -> Phase:
    if not isinstance(text, str) or text.lower() not in SMTP_PHASES:
        raise BadLine(f"phase {text!r} must be one of {', '.join(SMTP_PHASES)}")
    return Phase(text.lower())


def _question(line: bytes) -> tuple[str, Phase, str | None]:
    try:
        question = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadLine(f"not JSON: {error}") from error
    if not isinstance(question, dict):
        raise BadLine("not a JSON object")
    reply, provider = question.get("reply"), question.get("provider")
    if not isinstance(reply, str) or not reply.strip():
        raise BadLine("reply must be a text that is not empty")
    if not (provider is None or isinstance(provider, str)):
        raise BadLine("provider must be a text, or not be there")
    return reply, _phase(question.get("phase")), provider


def _fields(
    kind: str, scope: str | None, action: str, seconds: int | None, rule: str
) -> dict[str, object]:
    return {
        "class": kind,
        "scope": scope,
        "action": action,
        "retry_after_s": seconds,
        "rule": rule,
    }


def _lines(answer: Answer, reply: str, phase: Phase) -> list[str]:
    failure = answer.failure
    head = " ".join(reply.split())
    if failure is None:
        return [head, f"  The relay did what it was asked to in the phase {phase}."]
    action, delay = action_of(failure), failure.retry_after_ms
    rows = [
        ("class", f"{failure.kind}: {_CLASSES[failure.kind]}"),
        ("scope", f"{failure.scope}: it hits {_SCOPES[failure.scope]}"),
        ("action", f"{action}: {_ACTIONS[action]}"),
        ("delay", "none is asked for" if delay is None else f"{delay / 1000:g} s"),
        ("rule", failure.rule),
        ("found in", answer.layer),
    ]
    return [head, *(f"  {name:<9} {value}" for name, value in rows)]
