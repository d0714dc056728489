"""The alert rules, their promtool cases, the dashboards and the runbooks, as they are on disk."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
DIRECTORY: Final = ROOT / "deploy" / "prometheus"
RULES: Final = DIRECTORY / "mailcascade.rules.yml"
CASES: Final = tuple(sorted(DIRECTORY.glob("*.test.yml")))
CONFIG: Final = DIRECTORY / "prometheus.yml"
DASHBOARDS: Final = tuple(sorted((ROOT / "deploy" / "grafana").glob("*.json")))
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
HEALTHY: Final = "healthy"

_PROMQL: Final = re.compile(r"^```promql\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alerting rule."""

    name: str
    expression: str
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """What one alert does at one time of a promtool case."""

    test: str
    alert: str
    fires: bool


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    """Return every rule of every group."""
    return [rule for group in _yaml(RULES)["groups"] for rule in group["rules"]]


def alerts() -> list[Alert]:
    """Return every alerting rule."""
    return [
        Alert(rule["alert"], rule["expr"], rule["labels"], rule["annotations"])
        for rule in rules()
        if "alert" in rule
    ]


def recorded() -> dict[str, str]:
    """Return every recording rule's expression by the series that it makes."""
    return {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def tests() -> list[dict[str, Any]]:
    """Return every test of promtool's."""
    return [test for path in CASES for test in _yaml(path)["tests"]]


def cases() -> Iterator[Case]:
    """Yield what is claimed of each alert."""
    for test in tests():
        for claim in test["alert_rule_test"]:
            yield Case(test["name"], claim["alertname"], bool(claim.get("exp_alerts")))


def panels(path: Path) -> list[dict[str, Any]]:
    """Return a dashboard's panels."""
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["panels"]
    return found


def dashboard_expressions(path: Path) -> list[str]:
    """Return every expression of a dashboard: its panels' and its annotations'."""
    board = json.loads(path.read_text(encoding="utf-8"))
    shown = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return shown + [note["expr"] for note in board["annotations"]["list"]]


def runbook_expressions(path: Path) -> list[str]:
    """Return what a runbook's reader would ask Prometheus, one expression a line."""
    blocks = _PROMQL.findall(path.read_text(encoding="utf-8"))
    return [line for block in blocks for line in block.splitlines()]


def expressions() -> list[str]:
    """Return every expression of rules, dashboards and runbooks."""
    found = [rule["expr"] for rule in rules()]
    for path in DASHBOARDS:
        found += dashboard_expressions(path)
    for path in sorted(RUNBOOKS.glob("*.md")):
        found += runbook_expressions(path)
    return found
