"""How a mail's history is kept in its row: JSON, the first entries and the last ones."""

from typing import Final

import msgspec

#: Of a long history so many entries are kept from its beginning, and so many from its end.
FIRST_KEPT: Final = 5
LAST_KEPT: Final = 20


class StoredItem(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One ledger entry in a row; an array in JSON. Fields are only ever added at the end."""

    at: int
    state: str
    generation: int
    attempts: int
    due_at: int | None
    worker: str
    reason: str
    text: str
    phase: str
    rule: str
    code: int | None
    enhanced: str | None


_DECODER: Final = msgspec.json.Decoder(list[StoredItem])
_ENCODER: Final = msgspec.json.Encoder()
_EMPTY: Final = "[]"


def read_history(text: str) -> list[StoredItem]:
    """Return the entries in a row, oldest first."""
    return [] if text == _EMPTY else _DECODER.decode(text)


def write_history(items: list[StoredItem]) -> str:
    """Return the entries as a row keeps them."""
    return _ENCODER.encode(items).decode() if items else _EMPTY


def bound(items: list[StoredItem]) -> int:
    """Take out the middle of a history that is too long, in place; return how many went."""
    surplus = len(items) - FIRST_KEPT - LAST_KEPT
    if surplus <= 0:
        return 0
    del items[FIRST_KEPT : FIRST_KEPT + surplus]
    return surplus
