"""What a check found, and what all findings together mean for an exit code."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, TypeVar

T = TypeVar("T")


class Part(StrEnum):
    """What a check is about; each part is asked by itself, so that a dead one hides no other."""

    KAFKA = "kafka"
    ACCESS = "access"
    RELAY = "relay"
    DATABASE = "database"
    KEYS = "keys"
    TEMPLATES = "templates"
    SCHEMAS = "schemas"
    CLOCK = "clock"
    DNS = "dns"


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    #: Somebody who could have told did not answer.
    UNKNOWN = "unknown"
    #: Nothing is lost or held by it now, and it may come to that.
    WARN = "warn"
    #: It loses or holds mails, or a process does not start.
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `mend` is a command or a deed that helps, empty where none is due."""

    part: Part
    check: str
    level: Level
    what: str
    mend: str = ""


@dataclass(frozen=True, slots=True)
class Unasked:
    """Stands for a fact that could not be asked for."""

    reason: str


#: A fact, or why it is not known.
Answer: TypeAlias = T | Unasked


class Findings:
    """Collects the findings of one part."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self.all: list[Finding] = []

    def ok(self, check: str, what: str) -> None:
        """Nothing is wrong."""
        self.all.append(Finding(self._part, check, Level.OK, what))

    def warn(self, check: str, what: str, mend: str) -> None:
        """It may come to losses or delays."""
        self.all.append(Finding(self._part, check, Level.WARN, what, mend))

    def fail(self, check: str, what: str, mend: str) -> None:
        """It loses or holds mails, or a process does not start."""
        self.all.append(Finding(self._part, check, Level.FAIL, what, mend))

    def unknown(self, check: str, reason: str, mend: str = "") -> None:
        """Nobody answered."""
        what = f"could not be asked: {reason}"
        self.all.append(Finding(self._part, check, Level.UNKNOWN, what, mend))


def exit_code(findings: Iterable[Finding]) -> int:
    """Return 0 where all is well, 2 where something fails, 1 for warnings and what is unknown."""
    levels = {finding.level for finding in findings}
    if Level.FAIL in levels:
        return 2
    return 1 if levels & {Level.WARN, Level.UNKNOWN} else 0
