"""URLs that differ from mail to mail: a text with places for values, such as `https://.../{id}`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

import idna

from schemas.variables import Kind, Variable, url_problem

#: Places that every mail has a value for: its public id, and the name of its template.
MAIL_ID: Final = "id"
TEMPLATE: Final = "template"
_PLACE: Final = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_RESERVED: Final = "%/:?#[]@!$&'()*+,;="


class InvalidPattern(ValueError):
    """A text is no pattern of https URLs."""


@dataclass(frozen=True, slots=True)
class UrlPattern:
    """A pattern. `names` are the places in it; `whole` is the one that is all of it, if so."""

    text: str
    names: tuple[str, ...]
    whole: str | None

    @classmethod
    def parse(cls, text: str) -> "UrlPattern":
        """Read `https://HOST/...` with places such as `{id}` behind the host, or one place alone.

        Raises:
            InvalidPattern: the text is no such pattern.
        """
        names = tuple(_PLACE.findall(text))
        alone = _PLACE.fullmatch(text)
        if alone is not None:
            return cls(text, names, alone[1])
        filled = _PLACE.sub("x", text)
        if "{" in filled or "}" in filled:
            raise InvalidPattern("has braces that are no place such as {id}")
        problem = url_problem(filled, allow_loopback_http=False)
        if problem is None and not filled.isascii():
            problem = "must be ASCII, with a host in A-labels and all else percent-encoded"
        if problem is None and "{" in urlsplit(text).netloc:
            problem = "must name its host without a place in it"
        if problem is not None:
            raise InvalidPattern(problem)
        return cls(text, names, None)

    def problems(self, variables: Mapping[str, Variable]) -> list[str]:
        """Return why a template with these variables cannot fill every place."""
        found = []
        for name in self.names:
            variable = variables.get(name)
            if self.whole is not None and (variable is None or variable.kind is not Kind.URL):
                found.append(f"{{{name}}} alone must be a variable of kind url")
            elif variable is not None and not variable.required:
                found.append(f"{{{name}}} must be a required variable")
            elif variable is None and name not in (MAIL_ID, TEMPLATE):
                found.append(f"{{{name}}} is no variable, nor {{{MAIL_ID}}} or {{{TEMPLATE}}}")
        return found

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the URL, in ASCII. A value cannot leave its place: it is percent-encoded.

        `values` has one for each name; the one that is the whole URL must be a valid one.
        """
        if self.whole is not None:
            return _in_ascii(values[self.whole])
        return _PLACE.sub(lambda place: quote(values[place[1]], safe=""), self.text)


def _in_ascii(url: str) -> str:
    if url.isascii():
        return url
    scheme, _, rest = url.partition("://")
    host = urlsplit(url).hostname or ""
    end = min((rest.find(mark) for mark in "/?#" if mark in rest), default=len(rest))
    authority, path = rest[:end], rest[end:]
    if not host.isascii():
        port = authority.partition(":")[1] + authority.partition(":")[2]
        authority = idna.encode(host, uts46=True).decode() + port
    return f"{scheme}://{authority}{quote(path, safe=_RESERVED)}"
