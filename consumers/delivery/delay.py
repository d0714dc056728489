"""Finds the delay that a reply's text asks for: "try again in 5 minutes"."""

import re
from typing import Final

_WORDS: Final = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "ten": 10,
    "fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60,
}  # fmt: skip
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LONGEST_MS: Final = 7 * 86_400 * 1000
_NUMBER: Final = rf"\d{{1,6}}|{'|'.join(_WORDS)}"
_UNIT: Final = r"s(?:ec(?:ond)?s?)?|m(?:in(?:ute)?s?)?|h(?:(?:ou)?rs?)?|days?|d"
_SPAN: Final = rf"[\[(<]?\b({_NUMBER})[\])>]?[ -]?({_UNIT})\b"
#: Only a span behind such words is a delay; "100 messages per 1 hour" is not.
_CUE: Final = (
    r"(?:again|retry|re-?try(?:ing)?|re-?send|come back|wait|gr[ae]y-?list(?:ed|ing)?|deferred"
    r"|delay(?:ed)?|blocked|available|resume|reconnect|enabled|resets?|locked|lifted)\b"
    r"(?:[ :=-]|in|for|after|within|at least|about|another|be|until|of|please|least|you|must){0,8}?"
)
_CLOCK: Final = re.compile(rf"{_CUE}\s*(?:(\d{{1,3}}):)?(\d{{1,2}}):(\d{{2}})\b", re.IGNORECASE)
_SPANS: Final = re.compile(rf"{_CUE}\s*{_SPAN}(?:\s*(?:,|and)?\s*{_SPAN})?", re.IGNORECASE)
_HEADER: Final = re.compile(r"retry-?after[ :=]+(\d{1,7})\b(?!\s*(?:m|h|d))", re.IGNORECASE)


def requested_delay_ms(text: str) -> int | None:
    """Return the delay named in a reply's text, at most seven days, None where there is none."""
    if header := _HEADER.search(text):
        return _bounded(int(header[1]))
    if clock := _CLOCK.search(text):
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return _bounded(hours * 3600 + minutes * 60 + seconds)
    if spans := _SPANS.search(text):
        first, first_unit, second, second_unit = spans.groups()
        total = _seconds(first, first_unit)
        return _bounded(total + (_seconds(second, second_unit) if second else 0))
    return None


def _seconds(number: str, unit: str) -> int:
    count = _WORDS.get(number.lower()) or int(number)
    return count * _SECONDS[unit[0].lower()]


def _bounded(seconds: int) -> int | None:
    return min(seconds * 1000, _LONGEST_MS) or None
