"""Signs mails by DKIM (RFC 6376; Ed25519 by RFC 8463), relaxed for headers and body.

Both kinds of keys sign the same bytes to the same signature, so attempts of a mail stay equal.
"""

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

#: RFC 8301, 3.2.
_LEAST_RSA_BITS: Final = 1024
_LINE: Final = 74
#: Signed where a mail has them; not a provider's own header, which it removes.
_SIGNED: Final = frozenset(
    {
        *(b"from", b"to", b"subject", b"date", b"message-id", b"auto-submitted"),
        *(b"mime-version", b"content-type", b"list-unsubscribe", b"list-unsubscribe-post"),
    }
)
#: Named once more than a mail has them, so that nobody can add one (RFC 6376, 8.15).
_SEALED: Final = (b"from", b"reply-to", b"to", b"cc", b"subject", b"date")
_BLANKS: Final = re.compile(rb"[ \t]{2,}|\t")

_Sign = Callable[[bytes], bytes]


class UnfitKey(ValueError):
    """A key cannot sign mails. The message names the file and never what is in it."""


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where a private key is, and where in the DNS its public one: `selector._domainkey.domain`."""

    selector: str
    domain: str
    file: Path

    @classmethod
    def parse(cls, text: str) -> "KeyPlace":
        """Read `SELECTOR._domainkey.DOMAIN=FILE`, as the settings allow it."""
        name, _, file = text.partition("=")
        selector, _, domain = name.partition("._domainkey.")
        return cls(selector, domain, Path(file))


@dataclass(frozen=True, slots=True)
class _Signature:
    """One signature's header up to the signed values, and what signs."""

    start: bytes
    sign: _Sign


class Signer:
    """Signs mails with one key or several; receivers take the signature that they know."""

    def __init__(self, places: Sequence[KeyPlace]) -> None:
        """Read the keys.

        Raises:
            UnfitKey: one cannot be read, or is none that can sign.
        """
        self._signatures = tuple(_signature(place) for place in places)

    def sign(self, content: bytes, at: int) -> bytes:
        """Return a complete mail with its signatures in front, made `at` (seconds since 1970)."""
        head, _, body = content.partition(b"\r\n\r\n")
        names, signed = _relaxed_headers(head)
        digest = b64encode(sha256(_relaxed_body(body)).digest())
        middle = b"\r\n\tt=%d;\r\n\th=%b;\r\n\tbh=%b;\r\n\tb=" % (at, names, digest)
        lines = []
        for signature in self._signatures:
            header = signature.start + middle
            own = b"dkim-signature:" + b" ".join(header.partition(b":")[2].split())
            lines.append(header + _folded(b64encode(signature.sign(signed + own))))
        lines.append(content)
        return b"\r\n".join(lines)


def _signature(place: KeyPlace) -> _Signature:
    algorithm, sign = _key(place.file)
    start = b"DKIM-Signature: v=1; a=%b; c=relaxed/relaxed;\r\n\td=%b;\r\n\ts=%b;" % (
        algorithm,
        place.domain.encode("ascii"),
        place.selector.encode("ascii"),
    )
    return _Signature(start, sign)


def public_record(place: KeyPlace) -> str:
    """Return what the DNS must have under a key's name (RFC 6376, 3.6.1; RFC 8463, 4.2).

    Raises:
        UnfitKey: the key cannot be read, or is none that can sign.
    """
    key = _private(place.file)
    if isinstance(key, Ed25519PrivateKey):
        kind, raw = "ed25519", key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    else:
        kind = "rsa"
        raw = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k={kind}; p={b64encode(raw).decode()}"


def _key(file: Path) -> tuple[bytes, _Sign]:
    """Return a key's algorithm, as signatures name it, and what it signs with."""
    key = _private(file)
    if isinstance(key, Ed25519PrivateKey):
        return b"ed25519-sha256", partial(_ed25519, key)
    return b"rsa-sha256", partial(_rsa, key)


def _private(file: Path) -> Ed25519PrivateKey | RSAPrivateKey:
    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as error:
        raise UnfitKey(f"{file}: cannot be read: {error.strerror}") from error
    except TypeError:
        raise UnfitKey(f"{file}: is encrypted; a worker cannot ask for the password") from None
    except (ValueError, UnsupportedAlgorithm):
        # What the library says of it may repeat what is in the file.
        raise UnfitKey(f"{file}: is no private key in PEM") from None
    if isinstance(key, Ed25519PrivateKey):
        return key
    if not isinstance(key, RSAPrivateKey):
        raise UnfitKey(f"{file}: is neither an RSA nor an Ed25519 key, and DKIM knows no others")
    if key.key_size < _LEAST_RSA_BITS:
        raise UnfitKey(
            f"{file}: has {key.key_size} bits; DKIM needs {_LEAST_RSA_BITS} and receivers want 2048"
        )
    return key


def _rsa(key: RSAPrivateKey, data: bytes) -> bytes:
    return key.sign(data, PKCS1v15(), SHA256())


def _ed25519(key: Ed25519PrivateKey, data: bytes) -> bytes:
    """Sign the digest, not the data itself (RFC 8463, 3)."""
    return key.sign(sha256(data).digest())


def _relaxed_headers(head: bytes) -> tuple[bytes, bytes]:
    """Return the names of what is signed, folded, and the signed headers (RFC 6376, 3.4.2)."""
    names, signed = [], []
    for line in head.replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ").split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.lower()
        if name in _SIGNED:
            names.append(name)
            signed.append(b"%b:%b\r\n" % (name, b" ".join(value.split())))
    names.extend(_SEALED)
    lines = [b":".join(names[start : start + 4]) for start in range(0, len(names), 4)]
    return b":\r\n\t ".join(lines), b"".join(signed)


def _relaxed_body(body: bytes) -> bytes:
    """Return the canonical body (RFC 6376, 3.4.4) of one whose lines end with CRLF only."""
    if b"  " in body or b"\t" in body:
        body = _BLANKS.sub(b" ", body)
    body = body.replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return body + b"\r\n" if body else b""


def _folded(value: bytes) -> bytes:
    return b"\r\n\t ".join([value[start : start + _LINE] for start in range(0, len(value), _LINE)])
