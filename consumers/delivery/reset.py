"""Finds the instant that a reply names for trying again: "try again after 2026-11-28T00:00:00Z".

Delays that count from the reply ("in 5 minutes") are `consumers.delivery.delay`'s.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

from consumers.delivery.reply import Reply
from retry_topics.failure import Failure, FailureClass, Phase

_DAY: Final = timedelta(days=1)
_LONGEST: Final = 7 * _DAY
_MILLISECOND: Final = timedelta(milliseconds=1)
_WAITING_HELPS: Final = frozenset({FailureClass.TRANSIENT, FailureClass.THROTTLE})
#: Only an instant behind such words is one for us; relays also tell when something happened.
_CUE: Final = r"\b(?:after|until|till|at|on|before|resets?|renew(?:s|ed)|from)[ :]+"
_ZONE: Final = r"\s*(?:Z|UTC|GMT|[+-]00:?00)\b"
_ISO: Final = re.compile(
    rf"{_CUE}(\d{{4}}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?{_ZONE}", re.IGNORECASE
)
_MAIL_DATE: Final = re.compile(
    rf"{_CUE}((?:\w{{3}}, )?\d{{1,2}} \w{{3}} \d{{4}} \d\d:\d\d:\d\d (?:GMT|UTC|[+-]\d{{4}}))",
    re.IGNORECASE,
)
_OF_THE_DAY: Final = re.compile(
    rf"{_CUE}(?:(midnight)|(\d\d):(\d\d)(?::\d\d)?)(?:{_ZONE}| \(?(?:UTC|GMT)\)?)", re.IGNORECASE
)


def until_reset_ms(text: str, now_ms: int) -> int | None:
    """Return how long it is until the instant that a reply names, None where it names none.

    An instant that is past or more than seven days away is taken for something else.
    """
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    named = _named(text, now)
    if named is None or not now < named <= now + _LONGEST:
        return None
    return -(-(named - now) // _MILLISECOND)


def heeding_resets(
    classify: Callable[[Reply, Phase], Failure], now_ms: Callable[[], int]
) -> Callable[[Reply, Phase], Failure]:
    """Return how to classify a relay's words so that an instant in them counts as its delay."""

    def heed(reply: Reply, phase: Phase) -> Failure:
        failure = classify(reply, phase)
        if failure.retry_after_ms is not None or failure.kind not in _WAITING_HELPS:
            return failure
        delay = until_reset_ms(failure.text, now_ms())
        return failure if delay is None else replace(failure, retry_after_ms=delay)

    return heed


def _named(text: str, now: datetime) -> datetime | None:
    try:
        if found := _ISO.search(text):
            return datetime.fromisoformat(f"{found[1]}T{found[2]}").replace(tzinfo=UTC)
        if found := _MAIL_DATE.search(text):
            named = parsedate_to_datetime(found[1].upper().replace("UTC", "GMT"))
            return named if named.tzinfo is not None else None
        if found := _OF_THE_DAY.search(text):
            hour, minute = (0, 0) if found[1] else (int(found[2]), int(found[3]))
            today = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return today if today > now else today + _DAY
    except ValueError:
        # It looks like an instant, and is none.
        return None
    return None
