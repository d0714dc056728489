"""Cuts what a relay sends into replies, strictly and within bounds, however the bytes are split.

    line = code ("-" | " " | end of line) text CRLF     (a bare LF ends a line, too)

A reply is any number of lines with "-" and one without, all with one code from 200 to 599.
Everything else is no SMTP, and nothing that follows it can be trusted.
"""

from typing import Final

from msgspec import Struct

#: RFC 5321 asks for 512 bytes a line; some relays put whole URLs there.
LONGEST_LINE: Final = 4096
MOST_LINES: Final = 256
#: More replies at once than any client has commands under way.
MOST_REPLIES: Final = 64

_CODES: Final = {str(code).encode(): code for code in range(200, 600)}


class RawReply(Struct, frozen=True, gc=False):
    """One reply: its code, and its lines without codes and line ends, joined by LF."""

    code: int
    text: bytes


class GarbledReply(Exception):
    """What came is no SMTP reply."""


class ReplyParser:
    """Reads one connection's bytes. After `GarbledReply` it must not be used any more."""

    def __init__(self) -> None:
        self._rest = b""
        self._code = 0
        self._lines: list[bytes] = []
        #: What came last in whole replies, and what it meant: relays answer most mails alike.
        self._known = b""
        self._meaning: list[RawReply] = []

    @property
    def in_reply(self) -> bool:
        """Tell whether a reply has begun that has not ended."""
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[RawReply]:
        """Take the next bytes and return the replies that end in them.

        Raises:
            GarbledReply: they are no replies, or longer than any relay's.
        """
        begun = self.in_reply
        if not begun and data == self._known:
            return self._meaning.copy()
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_LINE:
            raise GarbledReply(f"a line of more than {LONGEST_LINE} bytes")
        replies: list[RawReply] = []
        for line in lines:
            code, mark = _CODES.get(line[:3]), line[3:4]
            if code is None or mark not in b" -\r" or len(line) > LONGEST_LINE:
                raise GarbledReply(f"no SMTP reply: {_shown(line)}")
            text = line[4:-1] if line.endswith(b"\r") else line[4:]
            if mark == b"-":
                self._continue(code, text)
            elif self._lines:
                self._continue(code, text)
                replies.append(RawReply(code, b"\n".join(self._lines)))
                self._lines = []
            else:
                replies.append(RawReply(code, text))
        if len(replies) > MOST_REPLIES:
            raise GarbledReply(f"{len(replies)} replies at once")
        if len(replies) > 1 and not begun and not self.in_reply:
            self._known, self._meaning = data, replies.copy()
        return replies

    def _continue(self, code: int, text: bytes) -> None:
        if self._lines and code != self._code:
            raise GarbledReply(f"a reply that begins with {self._code} goes on with {code}")
        if len(self._lines) == MOST_LINES:
            raise GarbledReply(f"a reply of more than {MOST_LINES} lines")
        self._code = code
        self._lines.append(text)


def _shown(line: bytes) -> str:
    return ascii(line[:60].decode("ascii", "replace"))
