"""`mailcascade topics` on a real Kafka: what it prints and what its exit codes say."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.broker import BrokerAddress

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(broker: BrokerAddress, prefix: str) -> Run:
    """Runs `mailcascade topics` for the test's own topics."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environ = {
            "PATH": "/usr/bin:/bin",
            "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "MAILCASCADE_TOPIC_PREFIX": prefix,
            "MAILCASCADE_TIERS": "1m",
            "MAILCASCADE_PARTITIONS": "2",
        } | {f"MAILCASCADE_{name.upper()}": value for name, value in settings.items()}
        return subprocess.run(
            [sys.executable, "-m", "console", "topics", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_plan_apply_plan(run: Run, prefix: str) -> None:
    """A plan that would change exits with 2, applying it with 0, and a second one has nothing."""
    planned = run("plan")
    assert planned.returncode == 2, planned.stderr
    assert f"{prefix}.ledger: create: 2 partitions" in planned.stdout
    assert "9 changes to make: mailcascade topics apply" in planned.stdout

    applied = run("apply")
    assert applied.returncode == 0, applied.stderr
    assert f"{prefix}.ledger: create: 2 partitions" in applied.stdout
    assert "9 changes made" in applied.stdout

    again = run("plan")
    assert (again.returncode, again.stdout) == (0, "nothing to do\n")
    assert run("apply").stdout == "nothing to do\n"


def test_a_plan_can_be_read_by_a_program(run: Run, prefix: str) -> None:
    """`--json` names topic, action and detail."""
    planned = json.loads(run("plan", "--json").stdout)

    assert planned["actions"][0]["topic"] == prefix
    assert {action["action"] for action in planned["actions"]} == {"create"}
    assert planned["orphans"] == []


def test_growing_needs_a_permission(run: Run) -> None:
    """More partitions move recipients to other lanes, so nobody gets them by accident."""
    run("apply")

    refused = run("apply", partitions="3")
    assert refused.returncode == 1
    assert "nothing was changed" in refused.stderr
    assert "--grow" in refused.stderr
    assert run("plan").returncode == 0

    assert run("apply", "--grow", partitions="3").returncode == 0
    assert run("plan", partitions="3").returncode == 0


def test_a_conflict_changes_nothing(run: Run) -> None:
    """Partitions cannot be taken away: both commands say so with exit code 1."""
    run("apply")

    planned = run("plan", partitions="1")
    applied = run("apply", partitions="1")

    assert (planned.returncode, applied.returncode) == (1, 1)
    assert "MAILCASCADE_PARTITIONS=2" in planned.stdout
    assert "these need a person" in applied.stderr


def test_more_copies_than_brokers_is_a_wrong_setting(run: Run) -> None:
    """Exit code 2 and the setting to change."""
    planned = run("plan", replication_factor="15")

    assert planned.returncode == 2
    assert "MAILCASCADE_REPLICATION_FACTOR" in planned.stderr
