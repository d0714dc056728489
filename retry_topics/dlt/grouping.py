"""Letters counted by what they died of."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from retry_topics.dlt.cause import Group
from retry_topics.dlt.letter import Letter
from retry_topics.dlt.present import Known
from retry_topics.dlt.states import UNSETTLED, RecordState

#: Tenants of a group that are told apart; the others are counted together, under no name.
_MOST_TENANTS: Final = 100
OTHERS: Final = ""


@dataclass(slots=True)
class Tally:
    """One group: how many in which state, of which tenants, from when to when; ms since the epoch.

    `example` is the newest of them.
    """

    group: Group
    example: Letter
    count: int = 0
    first: int = 0
    last: int = 0
    states: Counter[RecordState] = field(default_factory=Counter)
    tenants: Counter[str] = field(default_factory=Counter)

    def add(self, letter: Letter, state: RecordState) -> None:
        """Count a letter."""
        at = letter.at
        if not self.count or at < self.first:
            self.first = at
        if at >= self.last:
            self.last, self.example = at, letter
        self.count += 1
        self.states[state] += 1
        if letter.about is not None:
            tenant = letter.about.tenant
            if tenant not in self.tenants and len(self.tenants) >= _MOST_TENANTS:
                tenant = OTHERS
            self.tenants[tenant] += 1


class Groups:
    """Counts letters; what waits for somebody and what is settled are kept apart."""

    def __init__(self) -> None:
        self._open: dict[Group, Tally] = {}
        self._settled: dict[Group, Tally] = {}

    def count(self, letters: Iterable[Known]) -> None:
        """Count every letter."""
        for letter, standing in letters:
            state = standing.state
            tallies = self._open if state in UNSETTLED else self._settled
            tally = tallies.get(letter.group)
            if tally is None:
                tally = tallies[letter.group] = Tally(letter.group, letter)
            tally.add(letter, state)

    @property
    def open(self) -> Sequence[Tally]:
        """Groups of letters that wait for somebody, the largest first."""
        return _ordered(self._open)

    @property
    def settled(self) -> Sequence[Tally]:
        """Groups of letters that something was done about, the largest first."""
        return _ordered(self._settled)


def _ordered(tallies: dict[Group, Tally]) -> Sequence[Tally]:
    return sorted(tallies.values(), key=lambda tally: (-tally.count, tally.group.fingerprint))
