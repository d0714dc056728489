"""Rows of an imported file as the journal of the dead-letter topic keeps them.

Their key is ``rows/<job>/<partition>/<number>``, in the partition of the records that they are
about. A record without a value takes its key's back.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from schemas.errors import Undecodable
from schemas.framing import framing

ROWS: Final = "dlt_rows"


@dataclass(frozen=True, slots=True)
class Rows:
    """Which records of one partition a job replays, ascending, and as what.

    `events` has the bytes that go out for each, b"" where it goes out as it is.
    """

    job: str
    topic_id: str
    offsets: Sequence[int]
    events: Sequence[bytes]


def rows_key(job: str, partition: int, number: int) -> bytes:
    """Return the key of a job's rows; one partition can have several, numbered from 0."""
    return b"%b%d/%d" % (rows_prefix(job), partition, number)


def rows_prefix(job: str) -> bytes:
    """Return what the keys of a job's rows begin with, and no other keys."""
    return b"rows/%b/" % job.encode()


def write_rows(rows: Rows) -> bytes:
    """Return the rows as the journal holds them."""
    return framing(ROWS).write(asdict(rows))


def read_rows(value: bytes | None) -> Rows:
    """Return the rows in a value.

    Raises:
        Undecodable: the bytes are no rows.
    """
    rows = Rows(**framing(ROWS).read(value))
    if len(rows.offsets) != len(rows.events):
        raise Undecodable(f"{len(rows.offsets)} rows have {len(rows.events)} events")
    return rows
