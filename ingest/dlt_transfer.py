"""Dead-lettered records as lines of JSON, out of an answer's body and into a request's."""

from collections.abc import Generator, Iterator
from typing import Final

from retry_topics.dlt.desk import Desk
from retry_topics.dlt.exported import exported, json_line, row_of_json
from retry_topics.dlt.importing import BadRow, Row
from schemas.replay_jobs import Selection

#: What the body of an import holds at most; it is in memory as a whole.
MOST_IMPORT_BYTES: Final = 16 * 2**20
#: The least bytes of one piece of an export, but the last.
_PIECE_BYTES: Final = 262_144


def exported_lines(desk: Desk, selection: Selection) -> Generator[bytes, None, None]:
    """Yield pieces of an export, each of whole lines; none is empty."""
    piece = bytearray()
    for found in desk.each(selection):
        piece += json_line(exported(found, desk.archive.codec))
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)


def rows_of(body: bytes) -> Iterator[Row | BadRow]:
    """Yield the rows in a body, one for each line that is not empty."""
    for number, line in enumerate(body.split(b"\n"), start=1):
        if line.strip():
            yield row_of_json(line, number)
