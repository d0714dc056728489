"""Reads files of rules, and says of a wrong one everything that is wrong with it, and where.

A file of rules is TOML with one `[[rule]]` for each. Its keys:

    name         its name in status, metrics and dead-letter topic: lower-case words with hyphens
    scope        whose failure it is: recipient, message, sender, domain, endpoint
    soft, hard   the class for a 4yz and for a 5yz reply: transient, permanent, config, throttle
    phases       where it applies: connect to dot, or session, envelope, body, transaction (default)
    codes        reply codes, such as ["421", "450"]
    enhanced     enhanced status codes, such as ["5.7.1", "x.2.2", "5.7.600-649", "x.6.*"]
    text         regular expressions, looked for without regard to case
    contains     plain words, looked for in the same way
    retry_after  how long to wait where the reply names no delay, such as "1h"
    bad_address  true where a permanent refusal shall suppress the recipient; in the shipped files
                 only behind RCPT, unless the provider's file says `refuses_late = true`

Of codes, enhanced and text (with contains) each that is there must match. Texts are looked for
without the addresses and long ids that a reply quotes.
"""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from consumers.delivery.rule import Rule, StatusRange
from retry_topics.failure import MAIL_SCOPES, FailureClass, Phase, Scope
from retry_topics.topology import parse_duration

_SESSION: Final = frozenset({Phase.CONNECT, Phase.BANNER, Phase.EHLO, Phase.STARTTLS})
_ENVELOPE: Final = frozenset({Phase.MAIL, Phase.RCPT})
_BODY: Final = frozenset({Phase.DATA, Phase.DOT})
#: Scopes that a relay's reply can tell; the others are found by counting.
_SCOPES: Final = (Scope.RECIPIENT, Scope.MESSAGE, Scope.SENDER, Scope.DOMAIN, Scope.ENDPOINT)
SMTP_PHASES: Final = tuple(phase for phase in Phase if phase not in (Phase.DECODE, Phase.RENDER))
_PHASES: Final = {phase.value: frozenset({phase}) for phase in SMTP_PHASES} | {
    "session": _SESSION,
    "envelope": _ENVELOPE,
    "body": _BODY,
    "transaction": _ENVELOPE | _BODY,
}
_KEYS: Final = (
    "name", "scope", "soft", "hard", "phases", "codes", "enhanced", "text", "contains",
    "retry_after", "bad_address",
)  # fmt: skip
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_STATUS: Final = re.compile(r"([45x])\.(\d{1,3})\.(?:(\d{1,3})(?:-(\d{1,3}))?|(\*))")
_HEADER: Final = re.compile(r"^\s*\[\[\s*rule\s*\]\]", re.MULTILINE)
#: A repetition inside of a repetition can take longer than the world stands.
_NESTED: Final = re.compile(r"\((?:[^()\\]|\\.)*(?<!\\)[*+](?:[^()\\]|\\.)*\)(?:[*+]|\{\d*,\})")
#: Capital letters, and before them what is to be left alone: escapes and named groups.
_CAPITAL: Final = re.compile(r"\\.|\(\?P|[A-Z]")
_LARGEST_DETAIL: Final = 999
_Word = TypeVar("_Word", bound=StrEnum)
_Item = TypeVar("_Item")


class Head(NamedTuple):
    """What a provider goes by: further names, and the domains that its relays are in.

    `refuses_late`: it takes any recipient, and says at the end of data which one is none.
    """

    aliases: tuple[str, ...]
    hosts: tuple[str, ...]
    refuses_late: bool


class BrokenRules(Exception):
    """A file of rules cannot be used. Each of `problems` names its place."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


def read_rules(path: Path, *, catch_all: bool = False) -> tuple[Rule, ...]:
    """Read a file of rules. With `catch_all` a rule may do without anything that it looks for.

    Raises:
        BrokenRules: one line for each thing that is wrong anywhere in the file.
    """
    source, table = _load(path)
    problems = [f"{path}: {problem}" for problem in _unknown(table, ("rule", *Head._fields))]
    entries = table.get("rule", [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BrokenRules([*problems, f"{path}: rules are written as [[rule]]"])
    lines = [source.count("\n", 0, header.end()) + 1 for header in _HEADER.finditer(source)]
    rules = []
    for number, entry in enumerate(entries):
        # A header is found by its look. Where a text looks like one, the number has to do.
        line = f":{lines[number]}" if len(lines) == len(entries) else ""
        reader = _RuleReader(entry, catch_all)
        rule = reader.read()
        place = f"{path}{line}: rule {number + 1}{reader.title}"
        problems += [f"{place}: {problem}" for problem in reader.problems]
        if rule is not None:
            rules.append(rule)
    if problems:
        raise BrokenRules(problems)
    return tuple(rules)


def read_head(path: Path) -> Head:
    """Return what a provider's file says about the provider, without reading its rules.

    Raises:
        BrokenRules: the file cannot be read, or its names are none.
    """
    table = _load(path)[1]
    late = table.get("refuses_late", False)
    if not isinstance(late, bool):
        raise BrokenRules([f"{path}: refuses_late must be true or false"])
    return Head(_names(path, table, "aliases"), _names(path, table, "hosts"), late)


def _names(path: Path, table: Mapping[str, object], key: str) -> tuple[str, ...]:
    names = table.get(key, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BrokenRules([f"{path}: {key} must be a list of names"])
    return tuple(names)


def _load(path: Path) -> tuple[str, Mapping[str, object]]:
    try:
        source = path.read_text(encoding="utf-8")
        return source, tomllib.loads(source)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BrokenRules([f"{path}: cannot be read: {error}"]) from error


class _RuleReader:
    """Reads one rule. A wrong value becomes a problem, and a stand-in goes on."""

    def __init__(self, entry: Mapping[str, object], catch_all: bool) -> None:
        self._entry = entry
        self._catch_all = catch_all
        self.problems = list(_unknown(entry, _KEYS))

    @property
    def title(self) -> str:
        name = self._entry.get("name")
        return f" ({name})" if isinstance(name, str) and _NAME.fullmatch(name) else ""

    def read(self) -> Rule | None:
        """Return the rule, None if there are problems."""
        name, scope = self._name(), self._word("scope", Scope, _SCOPES)
        soft = self._word("soft", FailureClass, tuple(FailureClass))
        hard = self._word("hard", FailureClass, tuple(FailureClass))
        phases, text = self._phases(), self._text()
        codes = self._list("codes", _code)
        statuses = self._list("enhanced", _status_range)
        retry_after, bad_address = self._retry_after(), self._bad_address()
        if "scope" not in self._entry:
            self._say("scope", "is missing")
        if soft is None and hard is None and not {"soft", "hard"} & self._entry.keys():
            self.problems.append("says neither what a 4yz reply is (soft) nor a 5yz one (hard)")
        if not (self._catch_all or {"codes", "enhanced", "text", "contains"} & self._entry.keys()):
            self.problems.append("would apply to every reply: codes, enhanced, text, contains?")
        if scope is not None:
            self._check_sense(scope, (soft, hard), phases, bad_address)
        if self.problems or scope is None:
            return None
        return Rule(
            name, scope, phases, soft, hard, frozenset(codes), tuple(statuses), text, retry_after,
            bad_address,
        )  # fmt: skip

    def _check_sense(
        self,
        scope: Scope,
        classes: tuple[FailureClass | None, FailureClass | None],
        phases: frozenset[Phase],
        bad_address: bool,
    ) -> None:
        """Refuse what would lose mails, or stop them for ever."""
        soft, hard = classes
        if soft is FailureClass.PERMANENT:
            self._say("soft", "a 4yz reply is never permanent")
        if FailureClass.PERMANENT in classes and scope not in MAIL_SCOPES:
            self._say("hard", f"permanent is for the mail's own failures, not for the {scope}'s")
        if FailureClass.CONFIG in classes and scope in MAIL_SCOPES:
            self._say(
                "scope", f"config is for the sender's or endpoint's failures, not a {scope}'s"
            )
        if phases & _SESSION and scope is not Scope.ENDPOINT:
            self._say("scope", "before a transaction only endpoint fits")
        if Phase.AUTH in phases and scope not in (Scope.ENDPOINT, Scope.SENDER):
            self._say("scope", "at login only endpoint and sender fit")
        if bad_address and (scope is not Scope.RECIPIENT or hard is not FailureClass.PERMANENT):
            self._say("bad_address", 'needs scope = "recipient" and hard = "permanent"')

    def _name(self) -> str:
        name = self._entry.get("name")
        if isinstance(name, str) and _NAME.fullmatch(name):
            return name
        self._say("name", "must be lower-case words joined by hyphens, such as daily-limit")
        return ""

    def _word(self, key: str, kind: type[_Word], allowed: Sequence[_Word]) -> _Word | None:
        value = self._entry.get(key)
        if value is None:
            return None
        if isinstance(value, str) and value in allowed:
            return kind(value)
        self._say(key, f"{value!r} must be one of {', '.join(allowed)}")
        return None

    def _phases(self) -> frozenset[Phase]:
        if "phases" not in self._entry:
            return _PHASES["transaction"]
        found = self._list("phases", _PHASES.__getitem__, f"one of {', '.join(_PHASES)}")
        return frozenset[Phase]().union(*found)

    def _text(self) -> re.Pattern[str] | None:
        plain = self._list("contains", _plain)
        patterns = self._list("text", _pattern) + plain
        if not patterns:
            return None
        joined = "|".join(f"(?:{pattern})" for pattern in patterns)
        try:
            pattern = re.compile(joined)
            if pattern.search("") is None:
                return pattern
            what = "matches an empty text"
        except re.error as error:
            what = f"cannot be joined by | ({error})"
        # Which of them it is takes compiling each, and that its time.
        if len(self._list("text", _compilable)) == len(patterns) - len(plain):
            self._say("text", what)
        return None

    def _retry_after(self) -> int | None:
        value = self._entry.get("retry_after")
        if value is None:
            return None
        try:
            return parse_duration(str(value))
        except ValueError:
            self._say("retry_after", f'{value!r} must be a duration such as "30s", "5m" or "1h"')
            return None

    def _bad_address(self) -> bool:
        value = self._entry.get("bad_address", False)
        if not isinstance(value, bool):
            self._say("bad_address", f"{value!r} must be true or false")
        return value is True

    def _list(self, key: str, read: Callable[[str], _Item], demand: str = "") -> list[_Item]:
        if key not in self._entry:
            return []
        value = self._entry[key]
        if not isinstance(value, list) or not value:
            self._say(key, "must be a list with something in it")
            return []
        items = []
        for item in value:
            try:
                items.append(read(item if isinstance(item, str) else str(item)))
            except (ValueError, KeyError) as error:
                self._say(key, f"{item!r} must be {demand or error}")
        return items

    def _say(self, key: str, problem: str) -> None:
        self.problems.append(f"{key}: {problem}")


def _code(text: str) -> int:
    if not re.fullmatch(r"[45]\d\d", text):
        raise ValueError("a reply code from 400 to 599")
    return int(text)


def _status_range(text: str) -> StatusRange:
    match = _STATUS.fullmatch(text)
    if match is None:
        raise ValueError("a status such as 5.7.1, x.2.2, 5.7.600-649 or x.6.*")
    kind, subject, first, last, every = match.groups()
    lowest = 0 if every else int(first)
    highest = _LARGEST_DETAIL if every else int(last or first)
    if lowest > highest:
        raise ValueError("a range that ascends")
    return StatusRange(None if kind == "x" else int(kind), int(subject), lowest, highest)


def _pattern(text: str) -> str:
    if _NESTED.search(text):
        raise ValueError("a regular expression without a repetition inside of a repetition")
    # Texts come in lower case, because searching without regard to case takes thrice as long.
    return _CAPITAL.sub(lambda found: found[0] if found[0][0] in "\\(" else found[0].lower(), text)


def _compilable(text: str) -> str:
    try:
        empty = re.compile(text).search("") is not None
    except re.error as error:
        raise ValueError(f"a regular expression: {error}") from error
    if empty:
        raise ValueError("a regular expression that does not match an empty text")
    return text


def _plain(text: str) -> str:
    if not text.strip():
        raise ValueError("words")
    return re.escape(text.lower())


def _unknown(table: Mapping[str, object], known: Sequence[str]) -> Iterator[str]:
    for key in table:
        if key not in known:
            yield f"{key}: there is no such key; there are {', '.join(known)}"
