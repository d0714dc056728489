"""A relay's reply as a value: code, enhanced code where it can be believed, text on one line."""

import re
from dataclasses import dataclass
from typing import Final

from consumers.delivery.reply_parser import RawReply

_LONGEST_TEXT: Final = 500
_CODE: Final = re.compile(r"\s*(\d{3})(?:[ ,-]|$)")
#: At the start of a line (RFC 2034), or as qmail puts it: (#5.1.1).
_LEADING: Final = re.compile(r"[\s#\[(]*([245]\.\d{1,3}\.\d{1,3})(?![\d.])[\])]?[\s:-]*")
_BRACKETED: Final = re.compile(r"\(#?([245]\.\d{1,3}\.\d{1,3})\)")
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+")
#: How bytes that are no UTF-8 reach us.
_SURROGATES: Final = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `text` is printable, bounded, and leaves out the codes that `code` and
    `enhanced` hold."""

    code: int
    enhanced: str | None
    text: str

    @classmethod
    def of(cls, code: int, message: str) -> "Reply":
        """Make a reply of its code and its lines without the code, as clients hand them out.

        An enhanced code counts only if its first digit agrees with the code's.
        """
        texts, enhanced = [], None
        for line in message.splitlines():
            leading = _LEADING.match(line)
            if leading and leading[1][0] == str(code)[0]:
                enhanced = enhanced or leading[1]
                line = line[leading.end() :]
            texts.append(line)
        text = " ".join(texts)
        bracketed = _BRACKETED.search(text)
        if enhanced is None and bracketed and bracketed[1][0] == str(code)[0]:
            enhanced = bracketed[1]
        return cls(code, enhanced, _printable(text))

    @classmethod
    def of_raw(cls, raw: RawReply) -> "Reply":
        """Make a reply of what came on a connection."""
        return cls.of(raw.code, raw.text.decode("utf-8", "surrogateescape"))

    @classmethod
    def parse(cls, raw: str) -> "Reply":
        """Read a reply as it stood on the wire, with its code on the first line at least.

        Raises:
            ValueError: the first line does not start with a reply code.
        """
        lines = raw.strip().splitlines() or [""]
        first = _CODE.match(lines[0])
        if first is None:
            raise ValueError(f"a reply starts with three digits, not with {lines[0][:20]!r}")
        repeated = re.compile(rf"\s*{first[1]}(?:[ ,-]|$)")
        return cls.of(int(first[1]), "\n".join(repeated.sub("", line, count=1) for line in lines))

    def __str__(self) -> str:
        parts = (str(self.code), self.enhanced, self.text)
        return " ".join(part for part in parts if part)


def _printable(text: str) -> str:
    readable = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
    return _UNSAFE.sub(" ", readable).strip()[:_LONGEST_TEXT]
