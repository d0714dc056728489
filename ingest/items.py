"""Takes a batch apart into its items, whatever is in each."""

from collections.abc import Sequence
from typing import Final

import msgspec

from ingest import bodies
from ingest.payloads import BatchItem
from ingest.problems import FieldProblem, invalid

#: One item: read already, or the JSON of one that may have the wrong shape.
Item = BatchItem | msgspec.Raw | bytes

_ITEM: Final = msgspec.json.Decoder(BatchItem)
_ITEMS: Final = msgspec.json.Decoder(list[BatchItem])
_RAW_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


def items_of(body: bytes, media: str) -> Sequence[Item]:
    """Return the items of a JSON array or of lines of JSON; blank lines do not count.

    Where all have the right shape they are read at once. Where one has not, none is read, so that
    the others do not suffer from it.

    Raises:
        Refused: with 400 where an array is no JSON, with 422 where JSON is no array.
    """
    if media == bodies.JSON:
        return _array(body)
    lines = [line for line in body.split(b"\n") if line and not line.isspace()]
    try:
        return [_ITEM.decode(line) for line in lines]
    except bodies.NOT_JSON:
        return lines


def _array(body: bytes) -> Sequence[Item]:
    try:
        return _ITEMS.decode(body)
    except bodies.NOT_JSON:
        return _raw_array(body)


def _raw_array(body: bytes) -> Sequence[Item]:
    try:
        return _RAW_ITEMS.decode(body)
    except msgspec.ValidationError:
        bodies.parse_any(body)
        raise invalid([FieldProblem("", "must be an array")]) from None
    except bodies.NOT_JSON as error:
        raise bodies.malformed(error) from error
