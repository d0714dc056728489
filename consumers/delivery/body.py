"""One text part of a mail: the cheapest transfer encoding that carries it in lines of ASCII."""

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Struct

_BARE: Final = b"7bit"
_QUOTED: Final = b"quoted-printable"
_BASE64: Final = b"base64"
_LINE_END: Final = re.compile(r"\r\n|\r")
#: RFC 5322 allows 998 bytes; the two of the line end are counted in, as some relays do.
_LONGEST_LINE: Final = 996
_BASE64_LINE: Final = 76
_KNOWN_LENGTH: Final = 512
#: Bytes that must not travel bare: controls beside TAB, LF and CR, and DEL.
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {0x09, 0x0A, 0x0D})
_BOUNDARY: Final = b"--=_"
_KNOWN_PIECES: Final = 1024


class Part(Struct, frozen=True, gc=False):
    """A MIME part, headers and body. `is_plain`: its line ends are CRLF, no line starts with a dot,
    as is known without looking at all of it again."""

    content: bytes
    is_plain: bool


class TextPart:
    """Makes one kind of text part: text/plain or text/html."""

    def __init__(self, subtype: bytes) -> None:
        self._heads = {
            encoding: b'Content-Type: text/%b; charset="utf-8"\r\n'
            b"Content-Transfer-Encoding: %b\r\n\r\n" % (subtype, encoding)
            for encoding in (_BARE, _QUOTED, _BASE64)
        }

    def of(self, pieces: Sequence[str]) -> Part:
        """Return a MIME part that ends with CRLF, of the pieces that make up its text.

        What starts a boundary line, `--=_`, never occurs in it, so no text can end its part early.
        """
        bare = _join_bare(pieces)
        if bare is not None:
            return Part(self._heads[_BARE] + bare.content, bare.is_plain)
        text = "".join(pieces)
        if "\r" in text:
            text = _LINE_END.sub("\n", text)
        raw = text.encode("utf-8", "replace")
        if not raw.endswith(b"\n"):
            raw += b"\n"
        encoding, body = _encode(raw, len(raw) - len(text))
        return Part(self._heads[encoding] + body, is_plain=encoding is _BASE64)


class _Piece(NamedTuple):
    """A piece of a text that may travel bare: `raw`, with CRLF, and what it does to its neighbours.

    `first` and `last` are the lengths of what belongs to a line that begins before the piece and to
    one that ends behind it; without a line end in it, the piece is all `first`. `has_dot`: one of
    its lines starts with a dot; `starts_with_dot`: so does it.
    """

    raw: bytes
    first: int
    last: int
    has_line_end: bool
    has_dot: bool
    starts_with_dot: bool
    may_end_boundary: bool
    may_start_boundary: bool


def _measure(text: str) -> _Piece | None:
    """Return what there is to know of a piece; None: it cannot travel bare."""
    raw = text.encode("utf-8", "replace")
    lines = raw.split(b"\n")
    if not raw.isascii() or b"\r" in raw or not _travels_bare(raw, lines):
        return None
    return _Piece(
        b"\r\n".join(lines),
        len(lines[0]),
        len(lines[-1]),
        len(lines) > 1,
        b"\n." in raw,
        raw.startswith(b"."),
        raw[:1] in b"-=_",
        raw[-1:] in b"-=",
    )


#: Most pieces are their template's, the same in every mail: they are measured once.
_known_piece: Final = lru_cache(maxsize=_KNOWN_PIECES)(_measure)


def _join_bare(pieces: Sequence[str]) -> Part | None:
    """Return the body of a part whose lines travel bare.

    None: it has others, or may have what starts a boundary line across the pieces' borders.
    """
    parts: list[bytes] = []
    begun, may_start_boundary, is_plain = 0, False, True
    for text in pieces:
        if not text:
            continue
        piece = _known_piece(text)
        if piece is None:
            return None
        # Taken apart at once: to ask for each by its name takes twice as long.
        raw, first, last, has_line_end, has_dot, starts_with_dot, may_end, may_start = piece
        if may_start_boundary and may_end:
            return None
        if has_dot or (starts_with_dot and not begun):
            is_plain = False
        begun += first
        if begun > _LONGEST_LINE:
            return None
        if has_line_end:
            begun = last
        may_start_boundary = may_start
        parts.append(raw)
    if begun or not parts:
        parts.append(b"\r\n")
    return Part(b"".join(parts), is_plain)


def _encode(raw: bytes, surplus: int) -> tuple[bytes, bytes]:
    """Return the transfer encoding and the encoded text.

    `surplus` is by how much the text has more bytes than characters, give or take a line end.
    """
    if raw.isascii():
        lines = raw.split(b"\n")
        if _travels_bare(raw, lines):
            return _BARE, b"\r\n".join(lines)
        return _QUOTED, _quoted_printable(lines)
    # Beyond a sixth of non-ASCII bytes, of which characters have two or three, base64 is shorter.
    if surplus * 10 > len(raw):
        return _BASE64, _base64_lines(raw.replace(b"\n", b"\r\n"))
    return _QUOTED, _quoted_printable(raw.split(b"\n"))


def _travels_bare(raw: bytes, lines: list[bytes]) -> bool:
    if _BOUNDARY in raw or len(raw.translate(None, _CONTROLS)) != len(raw):
        return False
    return max(map(len, lines)) <= _LONGEST_LINE


def _quoted_printable(lines: list[bytes]) -> bytes:
    """Encode lines, the last of which is empty: what follows the last line end."""
    return b"".join(
        [_known_line(line) if len(line) <= _KNOWN_LENGTH else _line(line) for line in lines[:-1]]
    )


def _line(line: bytes) -> bytes:
    return b2a_qp(line + b"\r\n", istext=True)


#: Most lines of a mail are its template's, the same in every mail: they are encoded once.
_known_line: Final = lru_cache(maxsize=2048)(_line)


def _base64_lines(raw: bytes) -> bytes:
    encoded = b2a_base64(raw, newline=False)
    lines = [
        encoded[start : start + _BASE64_LINE] for start in range(0, len(encoded), _BASE64_LINE)
    ]
    lines.append(b"")
    return b"\r\n".join(lines)
