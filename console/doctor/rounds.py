"""Asks every part at once, each with a limit of its own."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from console.doctor.finding import Finding, Level, Part
from runtime.clock import Clock, Deadline
from runtime.logs import get_logger

_log = get_logger("doctor")

#: How long a part may take, in seconds. Their own limits are shorter, and say more.
PART_SECONDS: Final = 20.0

Examine = Callable[[], Sequence[Finding]]


def examine_all(
    parts: Mapping[Part, Examine], clock: Clock, seconds: float = PART_SECONDS
) -> list[Finding]:
    """Return what each part found, in the parts' order.

    A part that takes longer than `seconds`, or meets a fault of our own code, is `unknown`; the
    others are complete.
    """
    found: dict[Part, Sequence[Finding]] = {}

    def examine(part: Part, ask: Examine) -> None:
        try:
            found[part] = ask()
        except Exception as error:  # noqa: BLE001 - a part's boundary: the others are told
            _log.exception("doctor.part_failed", part=part)
            found[part] = [_unasked(part, f"the check itself failed: {error!r}")]

    threads = {
        part: threading.Thread(target=examine, args=(part, ask), name=part, daemon=True)
        for part, ask in parts.items()
    }
    for thread in threads.values():
        thread.start()
    deadline = Deadline(clock, seconds)
    for thread in threads.values():
        thread.join(deadline.remaining())
    late = f"there was no answer within {seconds:g} s"
    return [finding for part in parts for finding in found.get(part) or [_unasked(part, late)]]


def _unasked(part: Part, reason: str) -> Finding:
    return Finding(part, str(part), Level.UNKNOWN, f"could not be asked: {reason}")
