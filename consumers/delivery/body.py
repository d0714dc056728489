"""One text part of a mail: the cheapest transfer encoding that carries it in lines of ASCII."""

import re
from binascii import b2a_base64, b2a_qp
from functools import lru_cache
from typing import Final

_LINE_END: Final = re.compile(r"\r\n|\r")
#: RFC 5322 allows 998 bytes; the two of the line end are counted in, as some relays do.
_LONGEST_LINE: Final = 996
_BASE64_LINE: Final = 57
_KNOWN_LENGTH: Final = 512
#: Bytes that must not travel bare: controls beside TAB, LF and CR, and DEL.
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {0x09, 0x0A, 0x0D})
_NON_ASCII: Final = bytes(range(0x80, 0x100))


def text_part(subtype: bytes, text: str) -> bytes:
    """Return a MIME part, headers and body, that ends with CRLF.

    What starts a boundary line, `--=_`, never occurs in it, so no text can end its part early.
    """
    if "\r" in text:
        text = _LINE_END.sub("\n", text)
    raw = text.encode("utf-8", "replace")
    if not raw.endswith(b"\n"):
        raw += b"\n"
    encoding, body = _encode(raw)
    return b'Content-Type: text/%b; charset="utf-8"\r\nContent-Transfer-Encoding: %b\r\n\r\n%b' % (
        subtype,
        encoding,
        body,
    )


def _encode(raw: bytes) -> tuple[bytes, bytes]:
    lines = raw.replace(b"\n", b"\r\n")
    if raw.isascii():
        if _travels_bare(raw):
            return b"7bit", lines
        return b"quoted-printable", _quoted_printable(raw)
    ascii_bytes = len(raw.translate(None, _NON_ASCII))
    # Beyond a sixth of non-ASCII bytes base64 is the shorter one.
    if (len(raw) - ascii_bytes) * 6 > len(raw):
        return b"base64", _base64_lines(lines)
    return b"quoted-printable", _quoted_printable(raw)


def _travels_bare(raw: bytes) -> bool:
    if b"--=_" in raw or len(raw.translate(None, _CONTROLS)) != len(raw):
        return False
    return max(map(len, raw.split(b"\n"))) <= _LONGEST_LINE


def _quoted_printable(raw: bytes) -> bytes:
    lines = raw.split(b"\n")
    lines.pop()
    return b"".join(
        [_known_line(line) if len(line) <= _KNOWN_LENGTH else _line(line) for line in lines]
    )


def _line(line: bytes) -> bytes:
    return b2a_qp(line + b"\r\n", istext=True)


#: Most lines of a mail are its template's, the same in every mail: they are encoded once.
_known_line: Final = lru_cache(maxsize=2048)(_line)


def _base64_lines(raw: bytes) -> bytes:
    lines = [
        b2a_base64(raw[start : start + _BASE64_LINE], newline=False)
        for start in range(0, len(raw), _BASE64_LINE)
    ]
    lines.append(b"")
    return b"\r\n".join(lines)
