"""`mailcascade doctor` on a real Kafka: what it says of a cluster as it is."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retry_topics.provisioning import apply, survey
from retry_topics.topic_specs import desired
from retry_topics.topology import Topology, parse_tiers
from runtime.kafka.admin import TopicAdmin
from tests.support.broker import BrokerAddress

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(broker: BrokerAddress, prefix: str, tmp_path: Path) -> Run:
    """Runs `mailcascade doctor` for the test's own topics."""

    def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        environ = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "MAILCASCADE_TOPIC_PREFIX": prefix,
            "MAILCASCADE_TIERS": "1m",
            "MAILCASCADE_PARTITIONS": "2",
        } | {f"MAILCASCADE_{name.upper()}": value for name, value in settings.items()}
        return subprocess.run(
            [sys.executable, "-m", "console", "doctor", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def _told(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {row["check"]: row for row in json.loads(done.stdout)["findings"]}


def test_a_cluster_is_examined_before_it_hurts(
    run: Run, broker: BrokerAddress, prefix: str
) -> None:
    """Missing topics, topics as they should be, and one that would lose mails."""
    missing = run("--only", "kafka")
    assert missing.returncode == 2
    assert "all of the topics are missing" in missing.stdout
    assert "mend: mailcascade topics apply" in missing.stdout

    topology = Topology(prefix, parse_tiers("1m"), 2)
    admin = TopicAdmin({"bootstrap.servers": broker.bootstrap})
    apply(survey(topology, 1, admin), admin, lambda action: None)
    fine = run("--only", "kafka", "--json")
    told = _told(fine)
    assert fine.returncode == 1, fine.stdout
    (warning,) = (row["what"] for row in told.values() if row["level"] == "warn")
    assert warning.startswith(f"{len(desired(topology, 1))} topics have one copy")
    assert told["transactions"]["what"] == "can begin"
    assert told["workers"]["level"] == "ok"

    admin.configure(topology.dlt, {"cleanup.policy": "compact"})
    losing = run("--only", "kafka")
    assert losing.returncode == 2
    assert f"{topology.dlt} has cleanup.policy=compact" in losing.stdout
