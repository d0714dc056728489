"""What Prometheus' own tool says of the rules, their cases, the dashboards and the runbooks."""

from pathlib import Path

import pytest
import yaml

from tests.support.alerts import CASES, CONFIG, RULES, expressions
from tests.support.prometheus import promtool


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_each_alert_fires_and_stays_silent_as_its_cases_say(path: Path) -> None:
    """With its labels, and word by word what a person then reads."""
    done = promtool("test", "rules", str(path))

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_can_be_loaded() -> None:
    """With the rules that it names."""
    done = promtool("check", "config", str(CONFIG))

    assert done.returncode == 0, done.stdout + done.stderr
    assert RULES.name in done.stdout


def test_every_expression_can_be_read(tmp_path: Path) -> None:
    """Those of rules, dashboards and runbooks, as rules of one file; a broken one is told."""
    found = expressions()

    assert checked(tmp_path / "rules.yml", found) == f"{len(found)} rules found"
    assert "parse error" in checked(tmp_path / "broken.yml", [*found, "sum by (up)"])


def checked(path: Path, found: list[str]) -> str:
    """Return what promtool says of these expressions, in its last words."""
    rules = [{"record": f"checked:{number}", "expr": text} for number, text in enumerate(found)]
    path.write_text(yaml.safe_dump({"groups": [{"name": "checked", "rules": rules}]}))
    done = promtool("check", "rules", str(path))
    return done.stdout.strip().rpartition("SUCCESS: ")[2] if done.returncode == 0 else done.stderr
