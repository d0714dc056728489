"""Counts dead letters about which nothing was done, by what they died of.

A dead-letter partition and its journal are fed in their own orders; no order between the two
matters.
"""

from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from retry_topics.dlt.cause import Group
from retry_topics.dlt.letter import Letter
from schemas.dlt_journal import EntryKey, parse_key

#: What is kept of a letter: the number of its group, 0 for none, and whether it is settled.
_SETTLED: Final = 1
_GROUP_BITS: Final = 1


class GroupCount(NamedTuple):
    """How many open letters a group has; `fingerprint` and `template` tell which group."""

    fingerprint: str
    template: str
    letters: int


class OpenLetters:
    """The letters of one dead-letter topic, in four bytes each. Owned by one thread.

    `topic_id` is the topic's; what the journal says of another one is passed over. `starts` are the
    first offsets that its partitions have.
    """

    def __init__(self, topic_id: str, starts: Mapping[int, int]) -> None:
        self._topic_id = topic_id
        self._lanes = {number: _Lane(start) for number, start in starts.items()}
        self._groups: list[Group | None] = [None]
        self._numbers: dict[Group, int] = {}
        self._open: Counter[int] = Counter()

    def died(self, letter: Letter) -> None:
        """Take in a letter. A held one is left out: the journal does not tell what became of it."""
        if letter.is_held:
            return
        self._change(letter.position, self._number(letter.group) << _GROUP_BITS, _SETTLED)

    def told(self, key: bytes | None, value: bytes | None) -> None:
        """Take in a record of the journal: an entry settles its letter, taken back it does not."""
        parsed = parse_key(key)
        if isinstance(parsed, EntryKey) and parsed.topic_id == self._topic_id:
            self._change(parsed.position, 0 if value is None else _SETTLED, ~_SETTLED)

    def deleted(self, starts: Mapping[int, int]) -> None:
        """Forget the letters before these offsets, by partition: Kafka has deleted them."""
        for number, start in starts.items():
            lane = self._lanes.get(number)
            for mark in lane.drop(start) if lane is not None else ():
                self._count(mark, -1)

    def counts(self, most: int) -> list[GroupCount]:
        """Return the largest groups of open letters, and how many letters all others have."""
        found = [(n, group) for n, group in enumerate(self._groups) if group and self._open[n]]
        found.sort(key=lambda one: (-self._open[one[0]], one[1].fingerprint))
        counts = [GroupCount(g.fingerprint, g.template, self._open[n]) for n, g in found[:most]]
        rest = sum(self._open[n] for n, _ in found[most:])
        return [*counts, GroupCount("other", "", rest)]

    def _change(self, position: tuple[int, int], bits: int, kept: int) -> None:
        """Set what is kept of a letter, of which the bits in `kept` stay as they are."""
        number, offset = position
        lane = self._lanes.get(number)
        if lane is None or (before := lane.get(offset)) is None:
            return
        self._count(before, -1)
        after = bits | before & kept
        lane.put(offset, after)
        self._count(after, 1)

    def _count(self, mark: int, by: int) -> None:
        if mark >> _GROUP_BITS and not mark & _SETTLED:
            self._open[mark >> _GROUP_BITS] += by

    def _number(self, group: Group) -> int:
        number = self._numbers.get(group)
        if number is None:
            number = self._numbers[group] = len(self._groups)
            self._groups.append(group)
        return number


class _Lane:
    """A number for each offset from the first one on, 0 where none was put."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._marks: array[int] = array("I")

    def get(self, offset: int) -> int | None:
        """Return the number, None for an offset that is gone."""
        index = offset - self._start
        if index < 0:
            return None
        return self._marks[index] if index < len(self._marks) else 0

    def put(self, offset: int, mark: int) -> None:
        index = offset - self._start
        missing = index + 1 - len(self._marks)
        if missing > 0:
            self._marks.frombytes(bytes(missing * self._marks.itemsize))
        self._marks[index] = mark

    def drop(self, start: int) -> "array[int]":
        """Forget what is before an offset, and return it."""
        gone = max(0, start - self._start)
        dropped = self._marks[:gone]
        del self._marks[:gone]
        self._start += gone
        return dropped
