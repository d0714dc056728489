"""What a setting's text may be: parsers and checks that say in a ValueError what is allowed."""

import ipaddress
import itertools
import json
import re
from email.utils import getaddresses
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from runtime.kafka.properties import refuse_owned

_UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION: Final = re.compile(r"([1-9]\d{0,8})(ms|s|m|h|d)")
_BROKER: Final = re.compile(
    r"(?:[A-Z_]+://)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?"
)
_SMTP_SCHEMES: Final = ("smtp", "smtp+starttls", "smtps")
_HEADER_NAME: Final = re.compile(r"[!-9;-~]{1,60}")
_LABEL: Final = "[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_DKIM_KEY: Final = re.compile(
    rf"(?=[^=]{{1,253}}=){_LABEL}(?:\.{_LABEL})*\._domainkey\.{_LABEL}(?:\.{_LABEL})*=.+"
)
_MAIL_HEADERS: Final = re.compile(
    r"(content|list|resent)-.*|from|to|b?cc|sender|reply-to|subject|date|message-id|in-reply-to|"
    r"references|comments|keywords|auto-submitted|mime-version|return-path|received|dkim-signature",
    re.IGNORECASE,
)
_SECRET_OPTIONS: Final = frozenset({"password-file", "token-file", "token-command"})
_TIMEOUT_OPTIONS: Final = frozenset({"connect-timeout", "reply-timeout", "end-timeout"})
_SMTP_OPTIONS: Final = (
    frozenset({"ca", "helo", "weight", "rate", "profile"}) | _SECRET_OPTIONS | _TIMEOUT_OPTIONS
)


def bootstrap_servers(text: str) -> str:
    """Check a comma-separated list of brokers."""
    brokers = [broker.strip() for broker in text.split(",")]
    for broker in brokers:
        match = _BROKER.fullmatch(broker)
        if match is None or not 0 < int(match["port"] or 9092) < 65536:
            raise ValueError(f"{broker!r} is not host:port")
    return ",".join(brokers)


def kafka_properties(value: object) -> dict[str, str]:
    """Read a JSON object of librdkafka properties; numbers and booleans become their text.

    Raises:
        ValueError: it is no such object, or holds a property that is not the operator's to set.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    properties = {str(name): _property_text(str(name), item) for name, item in value.items()}
    refuse_owned(properties)
    return properties


def _property_text(name: str, item: object) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, str | int | float):
        return str(item)
    raise ValueError(f"{name} must be a string, a number, true or false")


def durations(value: object) -> object:
    """Split a comma-separated list of durations, and check that they are some and ascend."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple):
        return value
    labels = tuple(str(item).strip() for item in items)
    lengths = [_milliseconds(label) for label in labels]
    if any(a >= b for a, b in itertools.pairwise(lengths)):
        raise ValueError("they do not ascend")
    return labels


def _milliseconds(label: str) -> int:
    match = _DURATION.fullmatch(label)
    if match is None:
        raise ValueError(f"{label!r} is not a duration")
    return int(match[1]) * _UNITS_MS[match[2]]


def smtp_urls(text: str) -> str:
    """Check the URLs of one relay or several, separated by blanks."""
    urls = text.split()
    if not urls:
        raise ValueError("there is no URL")
    for url in urls:
        _smtp_url(url)
    return " ".join(urls)


def _smtp_url(text: str) -> None:
    """Check a relay's URL: plain SMTP goes no further than this host."""
    url = _split(text)
    if url.scheme not in _SMTP_SCHEMES:
        raise ValueError(f"the scheme is {url.scheme or 'missing'}")
    if not url.hostname:
        raise ValueError("there is no host")
    if url.path.strip("/") or url.fragment:
        raise ValueError("only options such as ?ca=FILE&helo=NAME may follow the port")
    options = {name for name, _ in parse_qsl(url.query, keep_blank_values=True)}
    if unknown := options - _SMTP_OPTIONS:
        allowed = ", ".join(sorted(_SMTP_OPTIONS))
        raise ValueError(f"there is no option {', '.join(sorted(unknown))}, only {allowed}")
    if (url.username is None) != (url.password is None) and not options & _SECRET_OPTIONS:
        raise ValueError("a user needs a password and the other way round")
    if url.scheme == "smtp" and not is_loopback(url.hostname):
        raise ValueError("smtp:// sends in the clear, so only to a loopback host")


def database_url(text: str) -> str:
    """Check the URL of the status view's database; a plain postgresql:// means the same."""
    scheme, separator, rest = text.partition("://")
    if separator and scheme in ("postgresql", "postgres"):
        return f"postgresql+psycopg://{rest}"
    if scheme not in ("sqlite", "postgresql+psycopg") or not separator:
        raise ValueError(f"the scheme is {scheme if separator else 'missing'}")
    return text


def registry_url(text: str) -> str:
    """Check a schema registry's URL."""
    url = _split(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("not an http or https URL")
    return text.rstrip("/")


def collector_url(text: str) -> str:
    """Check the URL of a collector of traces."""
    url = _split(text)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise ValueError("not an http or https URL")
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise ValueError(
            "has more than a host and a path: credentials belong into OTEL_EXPORTER_OTLP_HEADERS"
        )
    return text.rstrip("/")


def mailbox(text: str) -> str:
    """Check a sender such as `Example <no-reply@example.com>`."""
    boxes = getaddresses([text])
    local, _, domain = boxes[0][1].rpartition("@")
    if len(boxes) != 1 or not local or not domain or " " in local + domain:
        raise ValueError("not one mailbox")
    if not text.isprintable():
        raise ValueError("control characters in it")
    return text


def return_path(text: str) -> str:
    """Check an address without a name, which may hold `{id}`."""
    mailbox(text.replace("{id}", "id"))
    if "<" in text:
        raise ValueError("an address stands here without a name")
    return text


def header_name(text: str) -> str:
    """Check the name of a header that mails do not have already (RFC 5322, 3.6.8)."""
    if not _HEADER_NAME.fullmatch(text):
        raise ValueError("not a header's name")
    if _MAIL_HEADERS.fullmatch(text):
        raise ValueError("mails have a header of this name for something else")
    return text


def dkim_keys(value: object) -> object:
    """Split keys, each a DNS record's name and a file, separated by blanks."""
    if not isinstance(value, str):
        return value
    keys = tuple(value.split())
    names = [key.partition("=")[0].lower() for key in keys]
    for key, name in zip(keys, names, strict=True):
        if not _DKIM_KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not SELECTOR._domainkey.DOMAIN=FILE")
        if names.count(name) > 1:
            raise ValueError(f"{name} has two keys")
    return keys


def replication(value: object) -> object:
    """Let `auto` stand for no fixed number."""
    return None if isinstance(value, str) and value.strip().lower() == "auto" else value


def lowered(value: object) -> object:
    """Ignore the case of a word."""
    return value.strip().lower() if isinstance(value, str) else value


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def masked_url(text: str) -> str:
    """Return a URL without the password in it."""
    url = _split(text)
    if url.password is None:
        return text
    user = unquote(url.username or "")
    host = url.netloc.rpartition("@")[2]
    return url._replace(netloc=f"{user}:***@{host}").geturl()


def _split(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        _ = url.port  # raises ValueError where the port is not a number that fits
    except ValueError:
        # Its message repeats a part of the URL, which may be a part of a password.
        raise ValueError("not a URL") from None
    return url
