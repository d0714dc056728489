"""What a process shows of itself, as a scraper and a supervisor see it."""

import sys
from collections.abc import Mapping
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from console.stack.children import Child, ChildSpec

_SECONDS = 5.0


class Scraped:
    """A process that answers at a port."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def text(self) -> str:
        """Return its metrics, none while nothing answers."""
        try:
            return httpx2.get(f"{self.url}/metrics", timeout=_SECONDS).text
        except httpx2.TransportError:
            return ""

    def samples(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Return the samples of this name that have these labels, and may have more."""
        return [
            (dict(sample.labels), sample.value)
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]

    def values(self, name: str, **labels: str) -> list[float]:
        """Return their values, sorted."""
        return sorted(value for _, value in self.samples(name, **labels))

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of the only one, None where there is none."""
        values = self.values(name, **labels)
        assert len(values) < 2, values
        return values[0] if values else None

    def readiness(self) -> tuple[int, str]:
        """Return the status of its readiness and the reasons; 0 while nothing answers."""
        try:
            answer = httpx2.get(f"{self.url}/readyz", timeout=_SECONDS)
        except httpx2.TransportError as error:
            return 0, str(error)
        return answer.status_code, "; ".join(answer.json().get("reasons", ()))

    def is_ready(self) -> bool:
        """Tell whether it does its work."""
        return self.readiness()[0] == 200


def start_exporter(environ: Mapping[str, str], port: int, log: Path) -> Child:
    """Start `mailcascade exporter`, which looks every second; a context manager that stops it."""
    own = {
        **environ,
        "MAILCASCADE_METRICS_PORT": str(port),
        "MAILCASCADE_EXPORTER_SECONDS": "1",
    }
    command = [sys.executable, "-m", "console", "exporter"]
    return Child(ChildSpec("exporter", command, log, own))
