"""The variables of a template: what kind of value each takes, and what is wrong with a value."""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address
from typing import Final

import idna


class Kind(StrEnum):
    """What a variable holds."""

    TEXT = "text"
    URL = "url"


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable that a template declares. `max_length` counts characters."""

    name: str
    kind: Kind
    max_length: int
    required: bool
    description: str
    multiline: bool = False

    def problem(self, value: str, *, allow_loopback_http: bool = True) -> str | None:
        """Return what is wrong with a value, or None."""
        if len(value) > self.max_length:
            return f"is {len(value)} characters long; at most {self.max_length} are allowed"
        if not value:
            return "must not be empty" if self.required else None
        if self.kind is Kind.URL:
            return url_problem(value, allow_loopback_http=allow_loopback_http)
        return text_problem(value, multiline=self.multiline)


# Control characters, line separators, and surrogates, which no UTF-8 text can hold.
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_UNFIT_IN_LINES: Final = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\r(?!\n)"
)

# Beside those: white space, format characters that hide or reorder, and what ends a URL in text or
# HTML. Browsers take a backslash for a slash, so with one a URL's host would be in doubt.
_UNFIT_IN_URL: Final = re.compile(
    r"[\s\x00-\x1f\x7f-\x9f\xad\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    r'"<>\\]'
)
# https to a plain host name, in printable ASCII: what most links are.
_COMMON_URL: Final = re.compile(
    r"https://([a-zA-Z0-9._-]{1,253})(?:[/?#][\x21\x23-\x3b\x3d\x3f-\x5b\x5d-\x7e]*)?"
)
_URL: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://([^/?#]*)(?:[/?#].*)?")
_AUTHORITY: Final = re.compile(r"(\[[0-9a-fA-F:.]*\]|[^:\[\]]+)(?::([0-9]{1,5}))?")
_LABEL: Final = "[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_LOOPBACK_NET: Final = IPv4Network("127.0.0.0/8")
_MAX_PORT: Final = 65535
_KNOWN_HOSTS: Final = 1024


def text_problem(value: str, *, multiline: bool) -> str | None:
    """Return what is wrong with a text, or None: line breaks and tabs only where declared."""
    if value.isprintable():
        return None
    unfit = (_UNFIT_IN_LINES if multiline else _UNFIT).search(value)
    if unfit is None:
        return None
    code = f"U+{ord(unfit[0]):04X}"
    if unfit[0] in "\r\n" and not multiline:
        return f"must be one line, and holds a line break ({code})"
    return f"holds the control character {code}"


def url_problem(value: str, *, allow_loopback_http: bool) -> str | None:
    """Return what is wrong with a link, or None: an absolute https URL without credentials.

    Plain http is for loopback hosts only, and only where allowed.
    """
    common = _COMMON_URL.fullmatch(value)
    if common is not None and _is_common_name(common[1]):
        return None
    unfit = _UNFIT_IN_URL.search(value)
    if unfit is not None:
        return f"holds the character U+{ord(unfit[0]):04X}, which a URL must not hold"
    match = _URL.fullmatch(value)
    if match is None:
        return "must be an absolute URL such as https://example.com/path"
    scheme, authority_text = match[1].lower(), match[2]
    if scheme not in ("https", "http"):
        return f"must be an https URL, not {scheme[:20]}"
    if "@" in authority_text:
        return "must not hold a user name or password"
    authority = _AUTHORITY.fullmatch(authority_text)
    if authority is None or not _is_host(authority[1]):
        return "must name a valid host"
    if authority[2] and int(authority[2]) > _MAX_PORT:
        return f"names the port {authority[2]}; the highest is {_MAX_PORT}"
    if scheme == "http" and not allow_loopback_http:
        return "must be an https URL"
    if scheme == "http" and not _is_loopback(authority[1]):
        return "must be an https URL; http is for loopback hosts only"
    return None


def _is_host(host: str) -> bool:
    if host.startswith("["):
        try:
            IPv6Address(host[1:-1])
        except AddressValueError:
            return False
        return True
    try:
        name = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return False
    return _is_name(name)


def _is_name(host: str) -> bool:
    return _HOST_NAME.fullmatch(host) is not None


#: For hosts of bounded length.
_is_common_name: Final = lru_cache(maxsize=_KNOWN_HOSTS)(_is_name)


def _is_loopback(host: str) -> bool:
    if host.startswith("["):
        return IPv6Address(host[1:-1]) == IPv6Address("::1")
    try:
        return host.lower() == "localhost" or IPv4Address(host) in _LOOPBACK_NET
    except AddressValueError:
        return False
