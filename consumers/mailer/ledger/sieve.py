"""Tells of most digests that they were never added, from memory and in no time.

One bit stands for all digests that begin alike. With 20 bits of a beginning told apart, some
thousands of digests let one stranger in a hundred pass, a hundred thousand one in ten. Who passes
has to be looked for.
"""

from collections.abc import Iterable
from typing import Final

_BEGINNING: Final = 3


class Sieve:
    """One thread may add while another one asks; nothing is ever taken out."""

    def __init__(self, told_apart: int = 20) -> None:
        """So many bits of a digest's beginning count, 3 to 24; 2 to their power are in memory."""
        self._alike = 8 * _BEGINNING - told_apart
        self._bits = bytearray(1 << (told_apart - 3))

    def add(self, digest: bytes) -> None:
        """Let this digest pass from here on."""
        self.add_all((digest,))

    def add_all(self, digests: Iterable[bytes]) -> None:
        """Let these digests pass from here on."""
        bits, alike, number_of = self._bits, self._alike, int.from_bytes
        for digest in digests:
            number = number_of(digest[:_BEGINNING], "big") >> alike
            bits[number >> 3] |= 1 << (number & 7)

    def passes(self, digest: bytes) -> bool:
        """Tell whether this digest may have been added; False: it was not."""
        number = int.from_bytes(digest[:_BEGINNING], "big") >> self._alike
        return bool(self._bits[number >> 3] >> (number & 7) & 1)

    def open(self) -> None:
        """Let everything pass."""
        self._bits = bytearray(b"\xff" * len(self._bits))
