"""API keys: each names a tenant, and only its SHA-256 hash is stored.

The file has one `tenant:sha256` per line, the hash in hexadecimal; `#` starts a comment line.
Several lines may name one tenant, so a key can be replaced without a gap. Keys are random (see
`issue_key`), so a fast hash keeps them: there is nothing to guess.
"""

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from ingest.problems import Kind, Refused, refused
from runtime.clock import Clock
from runtime.logs import get_logger

_log = get_logger(__name__)

#: Whose requests they are where no keys file is set.
DEFAULT_TENANT: Final = "default"
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_TENANT: Final = re.compile(_NAME)
_LINE: Final = re.compile(rf"({_NAME}):([0-9a-fA-F]{{64}})")
_NAME_RULE: Final = "up to 64 letters, digits, dots, dashes and underscores"
_SCHEME: Final = "bearer "
_RECHECK_SECONDS: Final = 1.0


class KeyFileError(ValueError):
    """The keys file cannot be used; the message says which line and why, never what is in it."""


class BadTenantName(ValueError):
    """A text cannot name a tenant; the message says what can."""


class Authenticator(Protocol):
    """Who may send, and for whom."""

    def tenant(self, authorization: str | None) -> str:
        """Return the tenant that an Authorization header speaks for.

        Raises:
            Refused: there is no valid key in it.
        """


class Entry(NamedTuple):
    """One line of the file."""

    tenant: str
    digest: bytes


def new_key() -> str:
    """Return a fresh random key; it is to be shown once and never stored."""
    return f"mck_{secrets.token_urlsafe(32)}"


class IssuedKey(NamedTuple):
    """A fresh key, to be shown once and never stored, and the line of a file that admits it."""

    key: str
    line: str


def issue_key(tenant: str) -> IssuedKey:
    """Return a fresh key for a tenant.

    Raises:
        BadTenantName: no tenant can have this name.
    """
    if not _TENANT.fullmatch(tenant):
        raise BadTenantName(f"{tenant[:80]!r} cannot name a tenant: it must be {_NAME_RULE}")
    key = new_key()
    return IssuedKey(key, f"{tenant}:{hash_key(key)}")


def add_key(path: Path, tenant: str) -> str:
    """Add a fresh key for a tenant to a keys file and return the key, to be shown once.

    A file that is not there is made, readable by its owner only. A running service takes the key
    within a second.

    Raises:
        BadTenantName: no tenant can have this name.
        KeyFileError: the file holds something else, or cannot be written.
    """
    issued = issue_key(tenant)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
            before = file.read()
            if before.strip():
                parse_keys(before)
            gap = "" if before.endswith("\n") or not before else "\n"
            file.write(f"{gap}{issued.line}\n")
    except OSError as error:
        raise KeyFileError(f"it cannot be written: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KeyFileError("it is not UTF-8 text") from error
    return issued.key


def hash_key(key: str) -> str:
    """Return what the file stores for a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse_keys(text: str) -> tuple[Entry, ...]:
    """Read the lines of a keys file.

    Raises:
        KeyFileError: a line is not `tenant:sha256`, or there is no key at all.
    """
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        match = _LINE.fullmatch(content)
        if match is None:
            raise KeyFileError(
                f"line {number} is not TENANT:SHA256, where TENANT is {_NAME_RULE} and SHA256 is "
                "the key's hash, 64 hexadecimal digits"
            )
        entries.append(Entry(match[1], bytes.fromhex(match[2])))
    if not entries:
        raise KeyFileError("there is no key in it")
    return tuple(entries)


def find_tenant(key: str, entries: tuple[Entry, ...]) -> str | None:
    """Return the tenant of a key. How long it takes does not tell how near a guess was."""
    digest = hashlib.sha256(key.encode()).digest()
    found = None
    for entry in entries:
        if hmac.compare_digest(digest, entry.digest):
            found = entry.tenant
    return found


class OneTenant:
    """Lets everybody in, for a service that only this machine can reach."""

    def tenant(self, authorization: str | None) -> str:
        """Return the default tenant."""
        return DEFAULT_TENANT


class KeyFile:
    """The keys in a file, read again when the file changes.

    A changed file that cannot be used is reported, once, and the last good keys stay in force: an
    operator's slip must not turn every client away.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        """Read the file.

        Raises:
            KeyFileError: it cannot be read, or holds something else.
        """
        self._path = path
        self._clock = clock
        self._stamp, self._entries = self._read()
        self._checked_at = clock.monotonic()
        self._fault = ""

    def tenant(self, authorization: str | None) -> str:
        """Return the tenant of the bearer token in an Authorization header.

        Raises:
            Refused: there is none, or it is no key of ours.
        """
        if authorization is None:
            raise _unauthorized('Bearer realm="mailcascade"', "Send Authorization: Bearer KEY")
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise _unauthorized('Bearer realm="mailcascade"', "The scheme must be Bearer")
        self._refresh()
        tenant = find_tenant(authorization[len(_SCHEME) :].strip(), self._entries)
        if tenant is None:
            challenge = 'Bearer realm="mailcascade", error="invalid_token"'
            raise _unauthorized(challenge, "This API key is not known")
        return tenant

    def _refresh(self) -> None:
        now = self._clock.monotonic()
        if now - self._checked_at < _RECHECK_SECONDS:
            return
        self._checked_at = now
        try:
            if _stamp(self._path) == self._stamp and not self._fault:
                return
            self._stamp, self._entries = self._read()
        except (OSError, KeyFileError) as error:
            if str(error) != self._fault:
                _log.error("keys.not_reloaded", path=str(self._path), error=str(error))
            self._fault = str(error)
        else:
            self._fault = ""
            _log.info("keys.reloaded", path=str(self._path), keys=len(self._entries))

    def _read(self) -> tuple[tuple[int, int, int], tuple[Entry, ...]]:
        try:
            stamp = _stamp(self._path)
            return stamp, parse_keys(self._path.read_text(encoding="utf-8"))
        except OSError as error:
            raise KeyFileError(f"it cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise KeyFileError("it is not UTF-8 text") from error


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _unauthorized(challenge: str, detail: str) -> Refused:
    return refused(Kind.UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})
