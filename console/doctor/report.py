"""Findings as lines for a person and as JSON for a program."""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from console.doctor.finding import Finding, Level, Part, exit_code

_ORDER: Final = tuple(Level)
_WORDS: Final = {Level.UNKNOWN: "unknown", Level.WARN: "to look at", Level.FAIL: "wrong"}


def report_lines(findings: Sequence[Finding]) -> list[str]:
    """Return what is well, part by part, and last what is not, each with what mends it."""
    good = [finding for finding in findings if finding.level is Level.OK]
    bad = [finding for finding in findings if finding.level is not Level.OK]
    width = max((len(finding.check) for finding in findings), default=0)
    lines = list(_grouped(good, width))
    if good and bad:
        lines.append("")
    lines += _grouped(sorted(bad, key=lambda finding: _ORDER.index(finding.level)), width)
    return [*lines, "", _summary(findings)]


def report_json(findings: Sequence[Finding]) -> str:
    """Return the findings in the order of their parts, and the exit code."""
    rows = [
        {
            "part": finding.part,
            "check": finding.check,
            "level": finding.level,
            "what": finding.what,
            "mend": finding.mend or None,
        }
        for finding in findings
    ]
    return json.dumps({"exit_code": exit_code(findings), "findings": rows}, indent=2)


def _grouped(findings: Sequence[Finding], width: int) -> Iterator[str]:
    parts: list[Part] = list(dict.fromkeys(finding.part for finding in findings))
    # The part with the worst finding comes last, next to the prompt.
    for part in parts if all(f.level is Level.OK for f in findings) else _by_worst(findings):
        yield part
        for finding in findings:
            if finding.part is part:
                yield f"  {finding.level:<7}  {finding.check:<{width}}  {finding.what}"
                if finding.mend:
                    yield f"  {'':<7}  {'':<{width}}  mend: {finding.mend}"


def _by_worst(findings: Sequence[Finding]) -> list[Part]:
    worst: dict[Part, int] = {}
    for finding in findings:
        worst[finding.part] = max(worst.get(finding.part, 0), _ORDER.index(finding.level))
    return sorted(worst, key=lambda part: worst[part])


def _summary(findings: Sequence[Finding]) -> str:
    counts = {level: sum(f.level is level for f in findings) for level in _WORDS}
    told = [f"{count} {_WORDS[level]}" for level, count in counts.items() if count]
    return ", ".join(told) if told else "all is well"
