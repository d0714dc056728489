"""Recipients that get no more mail: the suppressions topic's records, keyed by address hash."""

from dataclasses import asdict, dataclass
from typing import Final

from schemas.framing import framing

KIND: Final = "suppression"


@dataclass(frozen=True, slots=True)
class Suppression:
    """One suppressed recipient; never its plain address.

    `masked` is the address as it may be shown, `at` since when (milliseconds since the epoch),
    `by` who did it.
    """

    lane_key: bytes
    masked: str
    at: int
    reason: str = ""
    by: str = ""


def write_suppression(suppression: Suppression) -> bytes:
    """Return the suppression as its topic holds it."""
    return framing(KIND).write(asdict(suppression))


def read_suppression(value: bytes | None) -> Suppression:
    """Return the suppression in a record's value.

    Raises:
        Undecodable: the bytes are no suppression.
    """
    return Suppression(**framing(KIND).read(value))
