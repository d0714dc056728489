"""What a job has left to replay, lane by lane in turn, so that no lane gets all of it at once."""

from array import array
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class _Lane:
    number: int
    offsets: "array[int]"
    at: int = 0


class Queue:
    """Offsets to replay, by lane; each lane's go out in ascending order."""

    def __init__(self, lanes: Mapping[int, "array[int]"]) -> None:
        self._lanes = deque(_Lane(number, o) for number, o in sorted(lanes.items()) if len(o))

    def __len__(self) -> int:
        return sum(len(lane.offsets) - lane.at for lane in self._lanes)

    def take(self, count: int) -> "dict[int, array[int]]":
        """Return so many offsets, or all there are, of as many lanes as possible, by lane."""
        taken: dict[int, array[int]] = {}
        while count > 0 and self._lanes:
            lane = self._lanes.popleft()
            # What this lane has less than its share, those behind it in the queue make up for.
            share = max(1, count // (len(self._lanes) + 1))
            offsets = lane.offsets[lane.at : lane.at + share]
            lane.at += len(offsets)
            if lane.at < len(lane.offsets):
                self._lanes.append(lane)
            taken.setdefault(lane.number, array("q")).extend(offsets)
            count -= len(offsets)
        return taken
