"""The rules in force, in layers: whoever knows the relay better is asked first.

    the operator's file  ->  the provider's profile  ->  words  ->  status codes  ->  digits

The first rule that applies wins, within a layer and over the layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from consumers.delivery.rule import Rule, Status
from consumers.delivery.rule_files import read_head, read_rules
from retry_topics.failure import FailureClass, Phase

DIRECTORY: Final = Path(__file__).parent / "rules"
_PROVIDERS: Final = "providers"
#: The general layers: their files' names, and what a person calls them.
_GENERAL: Final = {
    "words": "words in general",
    "status": "status codes (RFC 3463)",
    "digits": "reply codes",
}


class UnknownProfile(ValueError):
    """There is no profile of this name."""


class Layer(NamedTuple):
    """Some rules, and what they are called together."""

    title: str
    rules: tuple[Rule, ...]


class Verdict(NamedTuple):
    """The rule that applies, the class that it gives, and the title of its layer.

    `bad_address`: the recipient's address itself was refused, for good.
    """

    rule: Rule
    kind: FailureClass
    layer: str
    bad_address: bool = False


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules. `names` has each profile's name by every name that its provider goes by, `hosts`
    by the domains of its relays; `late` are the profiles of those that take any recipient, and say
    at the end of data which one is none."""

    operator: tuple[Rule, ...]
    names: Mapping[str, str]
    hosts: Mapping[str, str]
    late: frozenset[str]
    general: tuple[Layer, ...]

    @classmethod
    def load(cls, operator_file: Path | None = None) -> "RuleBook":
        """Read the shipped rules, and the operator's where there is a file of them.

        Raises:
            BrokenRules: one line for each thing that is wrong with the operator's file.
        """
        shipped = _shipped()
        if operator_file is None:
            return shipped
        return replace(shipped, operator=read_rules(operator_file))

    def profile(self, name: str) -> str:
        """Return the profile that a provider's name or another name of it stands for.

        Raises:
            UnknownProfile: there is none; the message lists those that there are.
        """
        found = self.names.get(name.strip().lower())
        if found is None:
            known = ", ".join(sorted(self.names))
            raise UnknownProfile(f"there is no profile {name!r}; there are {known}")
        return found

    def profile_of_host(self, host: str) -> str | None:
        """Return the profile of the provider whose relay this is, None if it is nobody's known."""
        domain = host.lower()
        while domain:
            if domain in self.hosts:
                return self.hosts[domain]
            domain = domain.partition(".")[2]
        return None

    def layers(self, profile: str | None) -> tuple[Layer, ...]:
        """Return the layers in the order in which they are asked."""
        own = (Layer("the operator's rules", self.operator),) if self.operator else ()
        provider = (_profile(profile),) if profile is not None else ()
        return own + provider + self.general


class Finder:
    """Finds the rule for a reply, given one profile or none; rules are sorted out beforehand.

    An address is bad by what RCPT says. What stands at the end of data may be about another hop, or
    about the mail, and suppresses nobody; unless the operator says so, or the relay says it nowhere
    else.
    """

    def __init__(self, book: RuleBook, profile: str | None) -> None:
        self._candidates: dict[tuple[Phase, bool], list[Verdict]] = {}
        for layer in book.layers(profile):
            late = profile in book.late or layer.rules is book.operator
            for rule in layer.rules:
                for phase in rule.phases:
                    if rule.soft is not None:
                        self._add(phase, True, Verdict(rule, rule.soft, layer.title))
                    if rule.hard is not None:
                        bad = rule.bad_address and (phase is Phase.RCPT or late)
                        self._add(phase, False, Verdict(rule, rule.hard, layer.title, bad))

    def find(self, code: int, enhanced: str | None, text: str, phase: Phase) -> Verdict | None:
        """Return what the first rule that applies says; None where no rule is for such a reply."""
        if not 400 <= code < 600:
            return None
        status = Status.of(enhanced)
        for verdict in self._candidates.get((phase, code < 500), ()):
            if verdict.rule.matches(code, status, text):
                return verdict
        return None

    def _add(self, phase: Phase, soft: bool, verdict: Verdict) -> None:
        self._candidates.setdefault((phase, soft), []).append(verdict)


@cache
def _shipped() -> RuleBook:
    """Read the rules that come with mailcascade, once."""
    general = tuple(
        Layer(title, read_rules(DIRECTORY / f"{name}.toml", catch_all=name == "digits"))
        for name, title in _GENERAL.items()
    )
    names, hosts, late = {}, {}, set()
    for path in sorted((DIRECTORY / _PROVIDERS).glob("*.toml")):
        head = read_head(path)
        names.update(dict.fromkeys((path.stem, *head.aliases), path.stem))
        hosts.update(dict.fromkeys(head.hosts, path.stem))
        if head.refuses_late:
            late.add(path.stem)
    return RuleBook((), MappingProxyType(names), MappingProxyType(hosts), frozenset(late), general)


@cache
def _profile(name: str) -> Layer:
    """Read one provider's profile, once, and only where it is asked for."""
    rules = read_rules(DIRECTORY / _PROVIDERS / f"{name}.toml")
    return Layer(f"profile {name}", rules)
