"""The API as a real process, and signups posted to it over HTTP."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

from console.stack.children import Child, ChildSpec
from console.stack.ports import free_ports
from tests.support.wait import wait_until


class Api:
    """A running API."""

    def __init__(self, url: str, process: Child) -> None:
        self.url = url
        self.process = process

    def post(self, addresses: Sequence[str], **fields: object) -> list[str]:
        """Post one signup confirmation to each address in batches, and return the mails' ids."""
        ids: list[str] = []
        for start in range(0, len(addresses), 1_000):
            items = [
                {
                    "template": "signup-confirmation",
                    "to": {"address": address},
                    "data": {"confirm_url": "https://example.com/confirm/abc"},
                    **fields,
                }
                for address in addresses[start : start + 1_000]
            ]
            answer = httpx2.post(f"{self.url}/v1/emails/batch", json=items, timeout=30)
            assert answer.status_code == 202, answer.text
            ids += [item["id"] for item in answer.json()["results"]]
        return ids

    def ready(self) -> bool:
        """Tell whether it would accept a mail now."""
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False


@contextmanager
def running_api(environ: Mapping[str, str], log: Path) -> Iterator[Api]:
    """Start `mailcascade ingest` on a free port, wait until it is ready, and stop it."""
    (port,) = free_ports(1)
    own = {**environ, "MAILCASCADE_HTTP_PORT": str(port)}
    command = [sys.executable, "-m", "console", "ingest"]
    with Child(ChildSpec("api", command, log, own)) as process:
        api = Api(f"http://127.0.0.1:{port}", process)
        wait_until(api.ready, 30, "the API to be ready")
        yield api
