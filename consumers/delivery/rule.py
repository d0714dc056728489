"""One rule about what a reply means: what it applies to, and what it says."""

from dataclasses import dataclass
from re import Pattern
from typing import NamedTuple

from retry_topics.failure import FailureClass, Phase, Scope


class Status(NamedTuple):
    """An enhanced status code (RFC 3463), such as 5.7.1."""

    kind: int
    subject: int
    detail: int

    @classmethod
    def of(cls, text: str | None) -> "Status | None":
        """Read a status as a reply holds it."""
        if text is None:
            return None
        kind, subject, detail = text.split(".")
        return cls(int(kind), int(subject), int(detail))


class StatusRange(NamedTuple):
    """Statuses of one subject whose details follow each other. `kind` None stands for 4 and 5."""

    kind: int | None
    subject: int
    first: int
    last: int

    def covers(self, status: Status | None) -> bool:
        """Tell whether a status is in the range."""
        return (
            status is not None
            and status.subject == self.subject
            and self.first <= status.detail <= self.last
            and self.kind in (None, status.kind)
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `codes`, `statuses` and `text` that are empty match anything; `text` is searched in
    texts in lower case.

    `soft` is the class for a 4yz reply, `hard` the one for a 5yz reply; a rule with None there does
    not apply to such replies. `retry_after_ms` counts where the reply names no delay itself.
    `bad_address`: a permanent refusal is about the address, so that no more mail may go there.
    """

    name: str
    scope: Scope
    phases: frozenset[Phase]
    soft: FailureClass | None = None
    hard: FailureClass | None = None
    codes: frozenset[int] = frozenset()
    statuses: tuple[StatusRange, ...] = ()
    text: Pattern[str] | None = None
    retry_after_ms: int | None = None
    bad_address: bool = False

    def matches(self, code: int, status: Status | None, text: str) -> bool:
        """Tell whether the rule applies to a reply, its phase and its first digit aside."""
        if self.codes and code not in self.codes:
            return False
        if self.statuses and not any(known.covers(status) for known in self.statuses):
            return False
        return self.text is None or self.text.search(text) is not None
