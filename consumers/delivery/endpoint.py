"""Where the relay is and how to speak to it, read from one URL.

    smtp://127.0.0.1:1025                     clear text, to this machine only
    smtp+starttls://user:secret@mx.example    STARTTLS required, port 587
    smtps://user:secret@mx.example            TLS from the first byte, port 465

Query parameters:

    ca=/path/ca.pem           trust that file instead of the system's authorities
    helo=mail.example.com     the name we greet with; our own address literal without it
    password-file=/path       the password is in that file; the URL has a user, no password
    token-file=/path          XOAUTH2 with the token in that file; the URL has a user, no password
    token-command=get%20it    the same, with the token that the command prints
    weight=3                  the share of several relays; 0 is only used when all others are out
    profile=ses               whose words its replies are; by the host's name without it
    rate=14/s                 at most so many mails in that time: a number, then /s, /m or /h
    connect-timeout=10s       how long to wait for a connection, with smtps:// TLS included
    reply-timeout=60s         how long to wait for a reply to anything but a mail's end
    end-timeout=10m           how long to wait for the reply to a mail's end; sooner sends it twice

A user name or password that holds `@ : / ? # %` is percent-encoded.
"""

import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import idna

from consumers.delivery.passwords import ENDS_FIELD
from consumers.delivery.timeouts import Timeouts
from consumers.delivery.tokens import TokenCommand, TokenFile, TokenOrigin
from retry_topics.topology import parse_duration


class InvalidRelayUrl(ValueError):
    """The URL does not name a relay that may be used. The message never holds the password."""


class Security(StrEnum):
    """How the connection is protected, by the URL's scheme."""

    CLEAR = "smtp"
    STARTTLS = "smtp+starttls"
    TLS = "smtps"


_PORTS: Final = {Security.CLEAR: 25, Security.STARTTLS: 587, Security.TLS: 465}
#: The parameters that are times to wait, by what they set.
_TIMEOUTS: Final = {
    "connect": "connect-timeout",
    "command": "reply-timeout",
    "end_of_data": "end-timeout",
}
#: Where a secret comes from that does not stand in the URL.
_SECRETS: Final = ("password-file", "token-file", "token-command")
_PARAMETERS: Final = frozenset(
    {"ca", "helo", "weight", "rate", "profile", *_SECRETS, *_TIMEOUTS.values()}
)
_WEIGHT: Final = re.compile(r"\d{1,4}")
_RATE: Final = re.compile(r"(\d{1,6})/([smh])")
_UNIT_SECONDS: Final = {"s": 1, "m": 60, "h": 3600}
_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name, and its password, the file that has it, or where tokens come from.

    No secret is ever represented.
    """

    username: str
    password: str = field(default="", repr=False)
    token: TokenOrigin | None = field(default=None, repr=False)
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class RelayEndpoint:
    """One relay. `helo`, `ca_file`, `rate` and `profile` are None where the URL leaves them open.

    `rate` is in mails per second, for all workers together.
    """

    host: str
    port: int
    security: Security
    credentials: Credentials | None = None
    helo: str | None = None
    ca_file: Path | None = None
    weight: int = 1
    rate: float | None = None
    profile: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)

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
            credentials=_credentials(parts, options),
            helo=options.get("helo"),
            ca_file=Path(options["ca"]) if "ca" in options else None,
            weight=int(options.get("weight", "1")),
            rate=_rate(options.get("rate")),
            profile=options.get("profile"),
            timeouts=_timeouts(options),
        )


def parse_relays(text: str) -> tuple[RelayEndpoint, ...]:
    """Read one relay's URL or several, separated by blanks.

    Raises:
        InvalidRelayUrl: one of them is wrong, one is there twice, or none may be used normally.
    """
    relays = tuple(RelayEndpoint.parse(url) for url in text.split(" ") if url)
    if not relays:
        raise InvalidRelayUrl("there is no relay's URL")
    if len({(relay.host, relay.port) for relay in relays}) < len(relays):
        raise InvalidRelayUrl("a relay is named twice")
    if not any(relay.weight for relay in relays):
        raise InvalidRelayUrl("no relay has a weight above 0")
    return relays


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


def _credentials(parts: SplitResult, options: dict[str, str]) -> Credentials | None:
    token = _token(options)
    file = Path(options["password-file"]) if "password-file" in options else None
    if parts.username is None:
        if token is not None or file is not None:
            raise InvalidRelayUrl("a token or a password's file needs a user name")
        return None
    username, password = unquote(parts.username), unquote(parts.password or "")
    if sum(map(bool, (password, token, file))) > 1:
        raise InvalidRelayUrl("credentials have one of password, password-file and token, not two")
    if not username or not (password or token or file):
        raise InvalidRelayUrl("credentials need a user name and a password")
    if ENDS_FIELD.search(username + password):
        raise InvalidRelayUrl("credentials cannot hold a NUL or SOH character")
    return Credentials(username, password, token, file)


def _token(options: dict[str, str]) -> TokenOrigin | None:
    file, command = options.get("token-file"), options.get("token-command")
    if file is not None and command is not None:
        raise InvalidRelayUrl("a token comes from a file or from a command, not from both")
    if command is not None:
        try:
            return TokenCommand.parse(command)
        except ValueError as error:
            raise InvalidRelayUrl(f"token-command is no command: {error}") from error
    return TokenFile(Path(file)) if file is not None else None


def _rate(text: str | None) -> float | None:
    if text is None:
        return None
    match = _RATE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise InvalidRelayUrl(f"rate is {text!r}; it must be a number and /s, /m or /h")
    return int(match[1]) / _UNIT_SECONDS[match[2]]


def _timeouts(options: dict[str, str]) -> Timeouts:
    """Return how long to wait: where the URL says nothing, as long as everywhere."""
    named = {field: options[name] for field, name in _TIMEOUTS.items() if name in options}
    try:
        seconds = {field: parse_duration(text) / 1000 for field, text in named.items()}
    except ValueError as error:
        raise InvalidRelayUrl(f"a timeout is wrong: {error}") from error
    return replace(Timeouts(), **seconds)


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
    if not _WEIGHT.fullmatch(options.get("weight", "1")):
        raise InvalidRelayUrl(f"weight is {options['weight']!r}; it must be a number up to 9999")
    return options
