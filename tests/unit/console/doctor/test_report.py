"""How findings are gathered, shown and turned into an exit code."""

import json
import threading

import pytest

from console.doctor.finding import Finding, Findings, Level, Part, exit_code
from console.doctor.report import report_json, report_lines
from console.doctor.rounds import examine_all
from runtime.clock import SystemClock


def _finding(level: Level, part: Part = Part.KAFKA, mend: str = "") -> Finding:
    return Finding(part, "a check", level, f"it is {level}", mend)


@pytest.mark.parametrize(
    ("levels", "code"),
    [
        ([], 0),
        ([Level.OK, Level.OK], 0),
        ([Level.OK, Level.UNKNOWN], 1),
        ([Level.OK, Level.WARN], 1),
        ([Level.WARN, Level.FAIL, Level.UNKNOWN], 2),
    ],
)
def test_the_worst_finding_decides_the_exit_code(levels: list[Level], code: int) -> None:
    """Who could not be asked may hide something, so that is not all well."""
    assert exit_code(map(_finding, levels)) == code


def test_what_is_wrong_comes_last_with_its_cure() -> None:
    """Next to the prompt, by how bad it is; what is well stands before, part by part."""
    findings = [
        _finding(Level.FAIL, Part.KAFKA, "mailcascade topics apply"),
        _finding(Level.OK, Part.KAFKA),
        _finding(Level.WARN, Part.RELAY, "renew it"),
        _finding(Level.OK, Part.DATABASE),
    ]

    lines = report_lines(findings)

    assert lines == [
        "kafka",
        "  ok       a check  it is ok",
        "database",
        "  ok       a check  it is ok",
        "",
        "relay",
        "  warn     a check  it is warn",
        "                    mend: renew it",
        "kafka",
        "  fail     a check  it is fail",
        "                    mend: mailcascade topics apply",
        "",
        "1 to look at, 1 wrong",
    ]


def test_nothing_wrong_is_said_in_words() -> None:
    """A person need not count."""
    assert report_lines([_finding(Level.OK)])[-1] == "all is well"


def test_a_program_gets_the_findings_and_the_exit_code() -> None:
    """Each with part, check, level, words and cure."""
    told = json.loads(report_json([_finding(Level.WARN, mend="renew it"), _finding(Level.OK)]))

    assert told["exit_code"] == 1
    assert told["findings"][0] == {
        "part": "kafka",
        "check": "a check",
        "level": "warn",
        "what": "it is warn",
        "mend": "renew it",
    }
    assert told["findings"][1]["mend"] is None


def test_a_part_that_hangs_or_breaks_hides_no_other() -> None:
    """It is unknown, and the others are told."""
    never = threading.Event()

    def hangs() -> list[Finding]:
        never.wait()
        return []

    def breaks() -> list[Finding]:
        raise ZeroDivisionError("by zero")

    def answers() -> list[Finding]:
        findings = Findings(Part.RELAY)
        findings.ok("relay", "it answers")
        return findings.all

    parts = {Part.KAFKA: hangs, Part.DATABASE: breaks, Part.RELAY: answers}
    found = {finding.part: finding for finding in examine_all(parts, SystemClock(), 1.5)}
    never.set()

    assert found[Part.KAFKA].level is Level.UNKNOWN
    assert "no answer within 1.5 s" in found[Part.KAFKA].what
    assert found[Part.DATABASE].level is Level.UNKNOWN
    assert "by zero" in found[Part.DATABASE].what
    assert found[Part.RELAY].level is Level.OK
