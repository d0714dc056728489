"""Tells of most digests that they were never added, from memory and in no time.

One bit stands for all digests that begin alike, so that with some thousands of them one stranger in
a hundred passes, with a hundred thousand one in ten. Who passes has to be looked for.
"""

from typing import Final

_BEGINNING: Final = 3
#: Of the beginning's 24 bits, so many are not told apart.
_ALIKE: Final = 4
_BYTES: Final = 1 << (8 * _BEGINNING - _ALIKE - 3)


class Sieve:
    """One thread may add while another one asks; nothing is ever taken out."""

    def __init__(self) -> None:
        self._bits = bytearray(_BYTES)

    def add(self, digest: bytes) -> None:
        """Let this digest pass from here on."""
        number = int.from_bytes(digest[:_BEGINNING], "big") >> _ALIKE
        self._bits[number >> 3] |= 1 << (number & 7)

    def passes(self, digest: bytes) -> bool:
        """Tell whether this digest may have been added; False: it was not."""
        number = int.from_bytes(digest[:_BEGINNING], "big") >> _ALIKE
        return bool(self._bits[number >> 3] >> (number & 7) & 1)

    def open(self) -> None:
        """Let everything pass."""
        self._bits = bytearray(b"\xff" * _BYTES)
