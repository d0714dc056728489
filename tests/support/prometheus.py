"""A Prometheus of the tests' own, with the rules of this repository, and promtool."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml

from console.stack.children import Child, ChildSpec
from console.stack.ports import HOST, free_ports
from tests.support.alerts import CONFIG, RULES
from tests.support.wait import wait_until

MISSING: Final = "these tests need Prometheus and promtool:  apt-get install prometheus"
_EVERY: Final = "1s"


def program(name: str) -> str:
    """Return where a program of Debian's package is; fails the test where it is not."""
    found = shutil.which(name)
    assert found is not None, MISSING
    return found


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run promtool to its end."""
    command = [program("promtool"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


class Prometheus:
    """A Prometheus that scrapes `targets`, host:port by job, by the configuration in deploy.

    A context manager. It looks every second, and keeps its data in `directory`.
    """

    def __init__(self, directory: Path, targets: Mapping[str, Sequence[str]]) -> None:
        (port,) = free_ports(1)
        config = directory / "prometheus.yml"
        config.write_text(yaml.safe_dump(_configuration(targets)), encoding="utf-8")
        command = [
            program("prometheus"),
            f"--config.file={config}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address={HOST}:{port}",
        ]
        self._process = Child(ChildSpec("prometheus", command, directory / "prometheus.log"))
        self._client = httpx2.Client(base_url=f"http://{HOST}:{port}/api/v1", timeout=10)

    def __enter__(self) -> "Prometheus":
        wait_until(self._ready, 30, "Prometheus to be ready")
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.stop()

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of its API."""
        answer = self._client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series that an expression gives at this moment."""
        found: list[dict[str, Any]] = self.ask("/query", query=expression)["result"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """Return every rule as it stands."""
        return [rule for group in self.ask("/rules")["groups"] for rule in group["rules"]]

    def _ready(self) -> bool:
        assert self._process.exit_code() is None, self._process.last_lines()
        try:
            return self._client.get("/status/buildinfo").status_code == 200
        except httpx2.TransportError:
            return False


def _configuration(targets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": _EVERY, "evaluation_interval": _EVERY}
    config["rule_files"] = [str(RULES.parent / name) for name in config["rule_files"]]
    jobs = [job["job_name"] for job in config["scrape_configs"]]
    assert jobs == list(targets), "each job has targets"
    config["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": list(targets[job])}]} for job in jobs
    ]
    return config
