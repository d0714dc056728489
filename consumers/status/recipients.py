"""What stands for a recipient in the view: a hash whose key only the view or its operator has."""

from sqlalchemy import Connection, select

from consumers.status.tables import ONLY, VIEW
from schemas.privacy import address_hash, keyed_hash


class NotHashed(Exception):
    """Nobody can be found in the view; the message says why."""


def recipient_hash(connection: Connection, key: bytes | None, address: str) -> bytes:
    """Return what stands for an address; without a key by the one that is kept in the view.

    Raises:
        NotHashed: the view is empty, or was made with another key.
    """
    row = connection.execute(
        select(VIEW.c.made_key, VIEW.c.key_check).where(VIEW.c.id == ONLY)
    ).one_or_none()
    if row is None:
        raise NotHashed("the status view is empty; start `mailcascade projector`")
    if key is None:
        key = row.made_key.encode()
    if row.key_check is not None and row.key_check != key_check(key):
        raise NotHashed("the view's recipients were hashed with another MAILCASCADE_STATUS_KEY")
    return keyed_hash(key, address)


def key_check(key: bytes) -> str:
    """Return what tells one key of recipients' hashes from another without giving it away."""
    return address_hash(keyed_hash(key, "key-check").hex()).hex()
