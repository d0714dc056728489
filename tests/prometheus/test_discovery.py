"""Prometheus finds the pods of `deploy/kubernetes`, and knows them by the names of the rules."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.alerts import DIRECTORY, ROOT
from tests.support.kustomize import build
from tests.support.prometheus import promtool

CONFIG = DIRECTORY / "kubernetes.yml"
PREFIX = "__meta_kubernetes_pod_"
#: A port that a pod has beside the one with its metrics.
OTHER_PORT = 9999


def test_pods_are_found_at_one_port_each_and_named(tmp_path: Path) -> None:
    """The job is the deployable, the instance the pod; other pods and ports are left alone.

    Debian's programs know nothing of Kubernetes, so the pods come as it would describe them.
    """
    config = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    (job,) = config["scrape_configs"]
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod"}]
    job["static_configs"] = list(targets())
    (tmp_path / "config.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}))

    assert {"mailcascade-api", "mailcascade-projector", "mailcascade-worker"} <= shown().keys()

    done = promtool(
        "check", "service-discovery", "--timeout=1s", str(tmp_path / "config.yml"), job["job_name"]
    )
    assert done.returncode == 0, done.stderr
    kept = [target["labels"] for target in json.loads(done.stdout) if target["labels"]]
    assert sorted((each["job"], each["instance"], each["__address__"]) for each in kept) == [
        (name, f"{name}-0", f"10.0.0.1:{port}") for name, port in sorted(shown().items())
    ]
    assert {each["__metrics_path__"] for each in kept} == {"/metrics"}


def pods() -> Iterator[dict[str, Any]]:
    """The metadata of each pod that keeps running."""
    for item in build(ROOT / "deploy" / "kubernetes" / "production"):
        if item["kind"] in ("Deployment", "StatefulSet"):
            yield item["spec"]["template"]["metadata"]


def shown() -> dict[str, str]:
    """The port with metrics of each pod, by its name."""
    return {
        pod["labels"]["app.kubernetes.io/name"]: pod["annotations"]["prometheus.io/port"]
        for pod in pods()
    }


def targets() -> Iterator[dict[str, Any]]:
    """What discovery tells of our pods, at two ports each, and of somebody else's."""
    for pod in pods():
        name = pod["labels"]["app.kubernetes.io/name"]
        labels = {f"{PREFIX}label_{meta(key)}": value for key, value in pod["labels"].items()}
        notes = {f"{PREFIX}annotation_{meta(k)}": v for k, v in pod["annotations"].items()}
        for port in (shown()[name], str(OTHER_PORT)):
            own = {f"{PREFIX}name": f"{name}-0", f"{PREFIX}container_port_number": port}
            yield {"targets": [f"10.0.0.1:{port}"], "labels": labels | notes | own}
    yield {"targets": ["10.0.0.2:80"], "labels": {f"{PREFIX}name": "somebody-else"}}


def meta(key: str) -> str:
    """Return the end of a meta label's name."""
    return key.translate(str.maketrans("./-", "___"))
