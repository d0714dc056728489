"""Texts that travel as they are, in lines of ASCII: which do, and which are known to beforehand.

Most mails are a text of their template's with some values in its gaps. What the template's own
parts allow is found out once; then a look at the values tells whether all of it travels bare.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from msgspec import Struct

#: RFC 5322 allows 998 bytes; the two of the line end are counted in, as some relays do.
LONGEST_LINE: Final = 996
#: What starts a boundary line; no text holds it.
BOUNDARY: Final = "--=_"
#: Bytes that must not travel bare: controls beside TAB, LF and CR, and DEL.
_CONTROLS: Final = bytes({*range(0x20), 0x7F} - {0x09, 0x0A, 0x0D})


def travels_bare(raw: bytes, lines: Sequence[bytes]) -> bool:
    """Tell whether ASCII travels as it is; `lines` are its own, without their LFs."""
    return _is_harmless(raw) and max(map(len, lines)) <= LONGEST_LINE


def has_dotted_line(raw: bytes) -> bool:
    """Tell whether a line starts with a dot; lines end with LF."""
    return raw.startswith(b".") or b"\n." in raw


class Mould:
    """A text with gaps, and which values may go into them so that all of it travels bare."""

    def __init__(self, pieces: Sequence[str], gaps: Sequence[Sequence[int]]) -> None:
        """`pieces` hold an empty text for each gap; `gaps` are the places of each value."""
        self._pieces = list(pieces)
        #: Of each gap the number of its value, and its place.
        self._gaps = tuple((which, at) for which, places in enumerate(gaps) for at in places)
        #: How many characters a value may have; 0: nothing is known beforehand.
        self._room = 0
        #: As `_pieces`, with CRLF line ends and one at the end.
        self._bare: list[str] = []
        #: Whether no line starts with a dot, whatever is put in.
        self.is_plain = False
        self._look_at_itself()

    def text(self, values: Sequence[str]) -> str:
        """Return the text, one value for each of `gaps` put in."""
        return "".join(self._filled(self._pieces, values))

    def bare(self, values: Sequence[str]) -> bytes | None:
        """Return the text as it travels bare, with a CRLF at its end; None: not known to do so."""
        room = self._room
        if not room:
            return None
        for value in values:
            # An empty one would bring its neighbours together.
            if not value or len(value) > room or not (value.isascii() and value.isprintable()):
                return None
            if value.startswith(".") or BOUNDARY in value:
                return None
        return "".join(self._filled(self._bare, values)).encode("ascii")

    def _filled(self, pieces: list[str], values: Sequence[str]) -> list[str]:
        filled = pieces.copy()
        for which, place in self._gaps:
            filled[place] = values[which]
        return filled

    def _look_at_itself(self) -> None:
        places = {place for _, place in self._gaps}
        around = [
            None if at in places else text
            for at, text in enumerate(self._pieces)
            if text or at in places
        ]
        if any(_may_make_boundary(*pair) for pair in pairwise(around)):
            return
        # Nothing that is put in starts with a dot or ends a line, and neither does this.
        text = "".join("x" if piece is None else piece for piece in around)
        raw = text.encode("utf-8", "replace")
        if "\r" in text or not text.isascii() or not _is_harmless(raw):
            return
        self._room = _room("".join("\0" if piece is None else piece for piece in around))
        end = [] if text.endswith("\n") else ["\r\n"]
        self._bare = [*(piece.replace("\n", "\r\n") for piece in self._pieces), *end]
        self.is_plain = not has_dotted_line(raw)


class Filled(Struct, frozen=True, gc=False):
    """A mould with values for its gaps."""

    mould: Mould
    values: Sequence[str]

    def text(self) -> str:
        """Return the text."""
        return self.mould.text(self.values)

    def bare(self) -> bytes | None:
        """Return the text as it travels bare; None: it is not known to do so."""
        return self.mould.bare(self.values)


def text_of(filled: Filled | str) -> str:
    """Return a text that may still be in its mould."""
    return filled if isinstance(filled, str) else filled.text()


def _is_harmless(raw: bytes) -> bool:
    return BOUNDARY.encode() not in raw and len(raw.translate(None, _CONTROLS)) == len(raw)


def _may_make_boundary(left: str | None, right: str | None) -> bool:
    """Tell whether a boundary may lie across two neighbours, of which None is a gap."""
    if left is None and right is None:
        return True
    return (left or "").endswith(("-", "=")) or (right or "").startswith(("-", "=", "_"))


def _room(text: str) -> int:
    """Return how long values may be, which NULs stand for, so that no line is too long."""
    rooms = [LONGEST_LINE]
    for line in text.split("\n"):
        gaps = line.count("\0")
        left = LONGEST_LINE - (len(line) - gaps)
        if left < gaps:
            return 0
        rooms.append(left // gaps if gaps else LONGEST_LINE)
    return min(rooms)
