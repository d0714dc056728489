"""Where the relay is and how to speak to it, read from one URL.

    smtp://127.0.0.1:1025                     clear text, to this machine only
    smtp+starttls://user:secret@mx.example    STARTTLS required, port 587
    smtps://user:secret@mx.example            TLS from the first byte, port 465

Query parameters: `ca=/path/ca.pem` trusts that file instead of the system's authorities,
`helo=mail.example.com` is the name we greet with (our own address literal without it).
A user name or password that holds `@ : / ? # %` is percent-encoded.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import idna


class InvalidRelayUrl(ValueError):
    """The URL does not name a relay that may be used. The message never holds the password."""


class Security(StrEnum):
    """How the connection is protected, by the URL's scheme."""

    CLEAR = "smtp"
    STARTTLS = "smtp+starttls"
    TLS = "smtps"


_PORTS: Final = {Security.CLEAR: 25, Security.STARTTLS: 587, Security.TLS: 465}
_PARAMETERS: Final = frozenset({"ca", "helo"})
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password; the password stays out of every representation."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class RelayEndpoint:
    """One relay. `helo` and `ca_file` are None where the URL leaves them open."""

    host: str
    port: int
    security: Security
    credentials: Credentials | None = None
    helo: str | None = None
    ca_file: Path | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.security}://{host}:{self.port}"

    @classmethod
    def parse(cls, url: str) -> "RelayEndpoint":
        """Read a relay URL.

        Raises:
            InvalidRelayUrl: the URL is malformed, or asks for clear text to another machine.
        """
        parts, port = _split(url)
        try:
            security = Security(parts.scheme)
        except ValueError as error:
            allowed = ", ".join(f"{security}://" for security in Security)
            raise InvalidRelayUrl(f"the scheme is {parts.scheme!r}; allowed: {allowed}") from error
        host = _host(parts)
        if security is Security.CLEAR and not _is_loopback(host):
            raise InvalidRelayUrl(
                f"smtp:// sends in clear text and is for this machine only, not for {host!r}; "
                "use smtp+starttls:// or smtps://"
            )
        if parts.path not in ("", "/") or parts.fragment:
            raise InvalidRelayUrl("a relay URL has no path and no fragment")
        options = _options(parts.query)
        return cls(
            host=host,
            port=port or _PORTS[security],
            security=security,
            credentials=_credentials(parts),
            helo=options.get("helo"),
            ca_file=Path(options["ca"]) if "ca" in options else None,
        )


def _split(url: str) -> tuple[SplitResult, int | None]:
    if not url.isprintable() or " " in url:
        raise InvalidRelayUrl("the URL holds spaces or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # The cause quotes pieces of the URL, the password among them where an @ went missing.
        raise InvalidRelayUrl("the host or the port is malformed") from None
    if port == 0:
        raise InvalidRelayUrl("port 0 cannot be connected to")
    return parts, port


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host:
        raise InvalidRelayUrl("the URL names no host")
    if ":" in host or host == "localhost":
        return host
    try:
        return idna.encode(host, uts46=True).decode() if not host.isascii() else host
    except idna.IDNAError as error:
        raise InvalidRelayUrl(f"{host!r} is not a host name") from error


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _credentials(parts: SplitResult) -> Credentials | None:
    if parts.username is None:
        return None
    username, password = unquote(parts.username), unquote(parts.password or "")
    if not username or not password:
        raise InvalidRelayUrl("credentials need a user name and a password")
    if "\0" in username or "\0" in password:
        raise InvalidRelayUrl("credentials cannot hold a NUL character")
    return Credentials(username, password)


def _options(query: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in options.items():
        if name not in _PARAMETERS:
            allowed = ", ".join(sorted(_PARAMETERS))
            raise InvalidRelayUrl(f"unknown parameter {name!r}; allowed: {allowed}")
        if not value:
            raise InvalidRelayUrl(f"parameter {name!r} is empty")
    if "helo" in options and not _NAME.fullmatch(options["helo"]):
        raise InvalidRelayUrl(f"helo is {options['helo']!r}; it must be a host name")
    return options
