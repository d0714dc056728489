"""What a job has left to replay, lane by lane in turn, so that no lane gets all of it at once."""

from array import array
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

Slice: TypeAlias = tuple[int, "array[int]"]


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

    def take(self, most: int) -> Slice:
        """Return up to so many offsets of the lane whose turn it is; the queue is not empty."""
        lane = self._lanes.popleft()
        taken = lane.offsets[lane.at : lane.at + most]
        lane.at += len(taken)
        if lane.at < len(lane.offsets):
            self._lanes.append(lane)
        return lane.number, taken

    def spread(self, count: int) -> list[Slice]:
        """Return so many offsets, or all there are, of as many lanes as possible."""
        slices = []
        while count > 0 and self._lanes:
            share = -(-count // len(self._lanes)) if len(self._lanes) <= count else 1
            taken = self.take(share)
            slices.append(taken)
            count -= len(taken[1])
        return slices
