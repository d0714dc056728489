"""Classifies a reply that is no acceptance: whose fault it is, of what kind, when to try again."""

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Final, NamedTuple

from consumers.delivery.delay import requested_delay_ms
from consumers.delivery.reply import Reply
from consumers.delivery.rule import Rule
from consumers.delivery.rulebook import Finder, RuleBook, Verdict
from retry_topics.failure import Failure, FailureClass, Phase, Scope

UNEXPECTED_REPLY: Final = "unexpected-reply"
_BUILT_IN: Final = "built in: the relay is out of step"
#: Replies quote addresses. Nobody may change what a reply means by the name of a mailbox.
_ADDRESS: Final = re.compile(r"<?[^\s<>]+@[^\s<>:;,]+>?")
#: Queue ids and the like: they differ from mail to mail and mean nothing.
_ID: Final = re.compile(r"\b(?=[a-z]*\d[a-z]*\d[a-z]*\d)[a-z\d]{14,}\b", re.IGNORECASE)
_WAITING_HELPS: Final = frozenset({FailureClass.TRANSIENT, FailureClass.THROTTLE})
_OUT_OF_STEP: Final = Rule(UNEXPECTED_REPLY, Scope.ENDPOINT, frozenset(Phase))
_MOST_SEEN: Final = 4096


class Explained(NamedTuple):
    """A reply's meaning, and the title of the layer that has the rule."""

    failure: Failure
    layer: str


class Classifier:
    """Classifies replies by one book of rules; what it saw before costs next to nothing."""

    def __init__(self, book: RuleBook) -> None:
        self._book = book
        self._finders: dict[str | None, Finder] = {}
        self._explain = lru_cache(_MOST_SEEN)(self._explained)
        self._verdict = lru_cache(_MOST_SEEN)(self._found)

    @property
    def questions(self) -> int:
        """How often the rules had to be asked, because nothing like the reply was seen before."""
        return self._verdict.cache_info().misses

    def classify(self, reply: Reply, phase: Phase, profile: str | None = None) -> Failure:
        """Classify a reply by the first rule that applies; `profile` is one of the book's.

        A reply that is neither 4yz nor 5yz where it stood is a relay out of step with us.
        """
        return self._explain(reply, phase, profile).failure

    def profile_of(self, host: str, named: str | None) -> str | None:
        """Return a relay's profile: the named one, else its host's, None where nobody knows it.

        Raises:
            UnknownProfile: there is no profile of this name.
        """
        return self._book.profile_of_host(host) if named is None else self._book.profile(named)

    def of_relay(self, host: str, named: str | None) -> Callable[[Reply, Phase], Failure]:
        """Return how to classify what one relay says, by the named profile or by its host's.

        Raises:
            UnknownProfile: there is no profile of this name.
        """
        profile = self.profile_of(host, named)
        return lambda reply, phase: self.classify(reply, phase, profile)

    def explain(self, reply: Reply, phase: Phase, profile: str | None = None) -> Explained:
        """Do as `classify` does, and say where the rule stands."""
        return self._explain(reply, phase, profile)

    def _explained(self, reply: Reply, phase: Phase, profile: str | None) -> Explained:
        text = _ADDRESS.sub("<>", reply.text)
        wording = _ID.sub("#", text).lower()
        found = self._verdict(reply.code, reply.enhanced, wording, phase, profile)
        rule, kind = found.rule, found.kind
        delay = requested_delay_ms(text) or rule.retry_after_ms
        failure = Failure(
            scope=rule.scope,
            kind=kind,
            phase=phase,
            text=reply.text,
            rule=rule.name,
            code=reply.code,
            enhanced=reply.enhanced,
            retry_after_ms=delay if kind in _WAITING_HELPS else None,
            bad_address=found.bad_address,
        )
        return Explained(failure, found.layer)

    def _found(
        self, code: int, enhanced: str | None, text: str, phase: Phase, profile: str | None
    ) -> Verdict:
        """Ask the rules. Without addresses and ids, relays say the same few things again."""
        finder = self._finders.get(profile)
        if finder is None:
            finder = self._finders[profile] = Finder(self._book, profile)
        found = finder.find(code, enhanced, text, phase)
        return found or Verdict(_OUT_OF_STEP, FailureClass.TRANSIENT, _BUILT_IN)


def classify(reply: Reply, phase: Phase) -> Failure:
    """Classify a reply by the rules that come with mailcascade, whoever the relay is."""
    return shipped_classifier().classify(reply, phase)


@cache
def shipped_classifier() -> Classifier:
    """Return the classifier that knows the shipped rules and nothing else."""
    return Classifier(RuleBook.load())
