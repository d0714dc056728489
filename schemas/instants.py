"""Instants as people and programs write them: RFC 3339 with a time zone, kept as milliseconds."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def write_instant(instant_ms: int) -> str:
    """Return an instant in UTC, such as `2031-01-31T09:00:00.250Z`, for programs."""
    return f"{_date_and_time(instant_ms)}.{instant_ms % 1000:03d}Z"


def show_instant(instant_ms: int) -> str:
    """Return an instant in UTC to the second, such as `2031-01-31T09:00:00Z`, for people."""
    return f"{_date_and_time(instant_ms)}Z"


def parse_instant(text: str) -> int:
    """Return the milliseconds since the epoch of an instant in RFC 3339.

    Raises:
        ValueError: the text is no such instant; the message says what one looks like.
    """
    try:
        if _RFC3339.fullmatch(text) is None:
            raise ValueError
        return (datetime.fromisoformat(text.upper()) - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError):
        demand = "must be an instant with a time zone such as 2031-01-31T09:00:00Z"
        raise ValueError(demand) from None


def _date_and_time(instant_ms: int) -> str:
    return f"{_EPOCH + timedelta(seconds=instant_ms // 1000):%Y-%m-%dT%H:%M:%S}"
