"""Reads a template's `template.toml` and collects everything that is wrong with it."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

from schemas.url_patterns import InvalidPattern, UrlPattern
from schemas.variables import Kind, Variable


class Category(StrEnum):
    """What sort of mail a template makes; receivers and laws treat them differently."""

    TRANSACTIONAL = "transactional"
    SECURITY = "security"
    SUBSCRIPTION = "subscription"


class OnAmbiguous(StrEnum):
    """What to do with a mail when nobody knows whether the relay has accepted it."""

    RESEND = "resend"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a template declares. `ttl_ms` None: its mails do not expire of themselves.

    `ignores_suppression`: its mails go to suppressed recipients too; only a security mail may.
    `unsubscribe_url`: where its recipients unsubscribe; only a subscription mail has one.
    """

    name: str
    category: Category
    ttl_ms: int | None
    on_ambiguous: OnAmbiguous
    ignores_suppression: bool
    unsubscribe_url: UrlPattern | None
    variables: Mapping[str, Variable]


_Word = TypeVar("_Word", bound=StrEnum)

MANIFEST_FILE: Final = "template.toml"
#: What a template may be called.
TEMPLATE_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_VARIABLE_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})(s|m|h|d)")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_KEYS: Final = frozenset(
    {
        *("name", "category", "ttl", "on_ambiguous"),
        *("ignores_suppression", "unsubscribe_url", "variables"),
    }
)
_VARIABLE_KEYS: Final = frozenset({"kind", "max_length", "required", "description", "multiline"})


def read_manifest(directory: Path, problems: list[str]) -> Manifest | None:
    """Read the manifest of the template in a directory.

    Returns None and adds to `problems`, one line for each thing that is wrong, if it is not usable.
    """
    path = directory / MANIFEST_FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(f"{path}: is missing")
        return None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        problems.append(f"{path}: cannot be read: {error}")
        return None
    found: list[str] = []
    manifest = _manifest(_Table(table, "", found), directory.name)
    problems.extend(f"{path}: {problem}" for problem in found)
    return None if found else manifest


@dataclass(frozen=True, slots=True)
class _Table:
    """One table of a manifest. A wrong value becomes a problem, and a stand-in is returned."""

    values: Mapping[str, object]
    prefix: str
    problems: list[str]

    def complain(self, key: str, demand: str) -> None:
        found = f", not {self.values[key]!r}" if key in self.values else "; it is missing"
        self.problems.append(f"{self.prefix}{key}: {demand}{found}")

    def refuse_other_keys(self, known: frozenset[str]) -> None:
        for key in sorted(self.values.keys() - known):
            self.problems.append(
                f"{self.prefix}{key}: is not known; known are {', '.join(sorted(known))}"
            )

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if isinstance(value, str) and value.strip():
            return value
        self.complain(key, "must be a text that is not empty")
        return ""

    def choice(self, key: str, vocabulary: type[_Word]) -> _Word:
        value = self.values.get(key)
        words = list(vocabulary)
        for word in words:
            if word == value:
                return word
        self.complain(key, f"must be one of {', '.join(words)}")
        return words[0]

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self.values.get(key, default)
        if isinstance(value, bool):
            return value
        self.complain(key, "must be true or false")
        return False

    def length(self, key: str) -> int:
        value = self.values.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        self.complain(key, "must be a whole number above zero")
        return 1

    def duration(self, key: str) -> int | None:
        if key not in self.values:
            return None
        value = self.values[key]
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is not None:
            return int(match[1]) * _UNIT_MS[match[2]]
        self.complain(key, "must be a duration such as 90s, 10m, 24h or 7d")
        return None

    def tables(self, key: str) -> dict[str, "_Table"]:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.complain(key, "must be a table")
            return {}
        found = {}
        for name, item in value.items():
            if isinstance(item, dict):
                found[name] = _Table(item, f"{self.prefix}{key}.{name}.", self.problems)
            else:
                self.problems.append(f"{self.prefix}{key}.{name}: must be a table")
        return found


def _manifest(table: _Table, directory_name: str) -> Manifest:
    table.refuse_other_keys(_KEYS)
    name = table.text("name")
    if name and not TEMPLATE_NAME.fullmatch(name):
        table.complain("name", "must be lower-case words joined by hyphens")
    elif name and name != directory_name:
        table.complain("name", f"must be the name of its directory, {directory_name!r}")
    variables = {
        variable: _variable(variable, declared)
        for variable, declared in table.tables("variables").items()
    }
    category = table.choice("category", Category)
    return Manifest(
        name,
        category,
        table.duration("ttl"),
        table.choice("on_ambiguous", OnAmbiguous),
        _ignores_suppression(table, category),
        _unsubscribe_url(table, category, variables),
        variables,
    )


def _ignores_suppression(table: _Table, category: Category) -> bool:
    ignores = table.flag("ignores_suppression", default=False)
    if ignores and category is not Category.SECURITY:
        table.problems.append(
            f"{table.prefix}ignores_suppression: is for the category {Category.SECURITY} only"
        )
    return ignores


def _unsubscribe_url(
    table: _Table, category: Category, variables: Mapping[str, Variable]
) -> UrlPattern | None:
    if "unsubscribe_url" not in table.values:
        return None
    place = f"{table.prefix}unsubscribe_url"
    if category is not Category.SUBSCRIPTION:
        table.problems.append(f"{place}: is for the category {Category.SUBSCRIPTION} only")
        return None
    try:
        pattern = UrlPattern.parse(table.text("unsubscribe_url"))
    except InvalidPattern as error:
        table.problems.append(f"{place}: {error}")
        return None
    table.problems.extend(f"{place}: {problem}" for problem in pattern.problems(variables))
    return pattern


def _variable(name: str, table: _Table) -> Variable:
    table.refuse_other_keys(_VARIABLE_KEYS)
    if not _VARIABLE_NAME.fullmatch(name):
        table.problems.append(
            f"{table.prefix[:-1]}: must be named by lower-case letters, digits and underscores"
        )
    variable = Variable(
        name,
        table.choice("kind", Kind),
        table.length("max_length"),
        table.flag("required"),
        table.text("description"),
        table.flag("multiline", default=False),
    )
    if variable.multiline and variable.kind is not Kind.TEXT:
        table.problems.append(f"{table.prefix}multiline: is for variables of kind text only")
    return variable
