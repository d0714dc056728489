"""One text part of a mail: the cheapest transfer encoding that carries it in lines of ASCII."""

import re
from binascii import b2a_base64, b2a_qp
from functools import lru_cache
from typing import Final

from msgspec import Struct

from consumers.delivery.bare import Filled, has_dotted_line, travels_bare

_BARE: Final = b"7bit"
_QUOTED: Final = b"quoted-printable"
_BASE64: Final = b"base64"
_LINE_END: Final = re.compile(r"\r\n|\r")
_BASE64_LINE: Final = 76
_KNOWN_LENGTH: Final = 512


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

    def of(self, filled: Filled | str) -> Part:
        """Return a MIME part that ends with CRLF.

        What starts a boundary line, `--=_`, never occurs in it, so no text can end its part early.
        """
        if isinstance(filled, str):
            text = filled
        elif (bare := filled.bare()) is not None:
            return Part(self._heads[_BARE] + bare, filled.mould.is_plain)
        else:
            text = filled.text()
        if "\r" in text:
            text = _LINE_END.sub("\n", text)
        raw = text.encode("utf-8", "replace")
        if not raw.endswith(b"\n"):
            raw += b"\n"
        encoding, body = _encode(raw, len(raw) - len(text))
        is_plain = encoding is _BASE64 or (encoding is _BARE and not has_dotted_line(raw))
        return Part(self._heads[encoding] + body, is_plain)


def _encode(raw: bytes, surplus: int) -> tuple[bytes, bytes]:
    """Return the transfer encoding and the encoded text.

    `surplus` is by how much the text has more bytes than characters, give or take a line end.
    """
    if raw.isascii():
        lines = raw.split(b"\n")
        if travels_bare(raw, lines):
            return _BARE, b"\r\n".join(lines)
        return _QUOTED, _quoted_printable(lines)
    # Beyond a sixth of non-ASCII bytes, of which characters have two or three, base64 is shorter.
    if surplus * 10 > len(raw):
        return _BASE64, _base64_lines(raw.replace(b"\n", b"\r\n"))
    return _QUOTED, _quoted_printable(raw.split(b"\n"))


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
