"""What stands for an address where the address itself must not: masks and hashes."""

import hashlib
import hmac
import re
from typing import Final

ADDRESS_HASH_BYTES: Final = 16
_PERSON: Final = b"mc-address"
_ADDRESS: Final = re.compile(r"[^\s<>()\[\]\"',;:=]+@[^\s<>()\"',;:]+")


def mask_address(address: str) -> str:
    """Return an address as it may be shown to people: `a***@example.com`."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***{at}{domain}"


def mask_addresses(text: str) -> str:
    """Return a text with every address in it masked, such as a relay's words about a recipient."""
    if "@" not in text:
        return text
    return _ADDRESS.sub(lambda found: mask_address(found[0]), text)


def address_hash(address: str) -> bytes:
    """Return the 16 bytes by which suppressions are kept; upper and lower case do not matter."""
    folded = address.casefold().encode()
    return hashlib.blake2b(folded, digest_size=ADDRESS_HASH_BYTES, person=_PERSON).digest()


def keyed_hash(key: bytes, address: str) -> bytes:
    """Return the 16 bytes by which the status view finds a recipient (HMAC-SHA-256, cut).

    Without the key nobody can tell which address it is, even by trying all that are likely.
    """
    digest = hmac.digest(key, address.casefold().encode(), "sha256")
    return digest[:ADDRESS_HASH_BYTES]
