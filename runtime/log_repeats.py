"""Holds back log lines that say the same again and again, as clients do while a broker is away."""

import logging
import re
from typing import Final

#: Lines alike are shown once in this many seconds.
QUIET_SECONDS: Final = 10.0
_NUMBERS: Final = re.compile(r"\d+")
_MOST_KINDS: Final = 1_000


class RepeatsFilter(logging.Filter):
    """Lets the first of lines that differ only in numbers through, later with how many were held.

    Takes the time from the lines themselves.
    """

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to show a line; adds to its text how many like it were held back."""
        text = record.getMessage()
        kind = _NUMBERS.sub("#", text)
        shown_at, held = self._shown.get(kind, (float("-inf"), 0))
        if record.created - shown_at < QUIET_SECONDS:
            self._shown[kind] = shown_at, held + 1
            return False
        if len(self._shown) >= _MOST_KINDS:
            self._shown.clear()
        self._shown[kind] = record.created, 0
        if held:
            record.msg, record.args = f"{text} ({held} more like this were not shown)", ()
        return True
