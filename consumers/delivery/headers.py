"""Header values by hand: encoded words, display names, dates. Pure, and safe for any text."""

import re
import time
from binascii import b2a_base64
from functools import lru_cache
from typing import Final

#: Everything that ends or distorts a header line, C1 controls and Unicode's line ends included.
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
_PLAIN_PHRASE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
#: Longer ASCII goes into encoded words, which fold anywhere.
_LONGEST_PLAIN: Final = 64
_DAY_SECONDS: Final = 86_400
#: An encoded word of 39 bytes takes 64 characters: it fits behind any of our header names.
_WORD_BYTES: Final = 39
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
)  # fmt: skip


def one_line(text: str) -> str:
    """Return the text without control characters, runs of blanks squeezed, ends trimmed."""
    text = text.strip(" \r\n\t")
    if text.isprintable() and "  " not in text:
        return text
    return _UNSAFE.sub(" ", text).strip(" ")


def unstructured(text: str) -> bytes:
    """Encode the value of a header such as Subject. `text` comes from `one_line`."""
    if text.isascii() and len(text) <= _LONGEST_PLAIN and "=?" not in text:
        return text.encode("ascii")
    return encoded_words(text)


def phrase(text: str) -> bytes:
    """Encode a display name, the empty one as nothing. `text` comes from `one_line`."""
    if not text:
        return b""
    if text.isascii() and len(text) <= _LONGEST_PLAIN and "=?" not in text:
        if _PLAIN_PHRASE.fullmatch(text):
            return text.encode("ascii")
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return b'"%b"' % escaped.encode("ascii")
    return encoded_words(text)


def encoded_words(text: str) -> bytes:
    """Encode any text as folded RFC 2047 words, no character split over two of them."""
    raw = text.encode("utf-8", "replace")
    words, start = [], 0
    while start < len(raw):
        end = min(start + _WORD_BYTES, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        words.append(b"=?utf-8?b?%b?=" % b2a_base64(raw[start:end], newline=False))
        start = end
    return b"\r\n ".join(words)


def date(instant_ms: int) -> bytes:
    """Format an instant, milliseconds since the epoch, as an RFC 5322 date in UTC."""
    return _second(instant_ms // 1000)


@lru_cache(maxsize=64)
def _second(instant: int) -> bytes:
    days, second = divmod(instant, _DAY_SECONDS)
    minute, second = divmod(second, 60)
    return b"%b %02d:%02d:%02d +0000" % (_day(days), *divmod(minute, 60), second)


@lru_cache(maxsize=64)
def _day(days: int) -> bytes:
    at = time.gmtime(days * _DAY_SECONDS)
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04}"
    ).encode("ascii")
