"""The whole pipeline as real processes on one broker, asked over HTTP and on the command line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from typing import Any, Final, Self

import httpx2

from console.stack.catcher.threaded import CatcherThread
from console.stack.children import Child, ChildSpec
from ingest.keys import add_key
from schemas.catalogue import DEFAULT_DIRECTORY
from tests.support.api import running_api
from tests.support.mailer import Kafka, start_worker, worker_environ
from tests.support.wait import wait_until

Told = dict[str, Any]

#: More than a file has tests: a key that is added while the API runs counts only after a second.
_TENANTS: Final = 50


class Client:
    """A tenant's program, which posts mails and asks what became of them. A context manager."""

    def __init__(self, url: str, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx2.Client(base_url=url, headers=headers, timeout=15)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def post(self, address: str, template: str = "plain", **fields: object) -> str:
        """Post a mail and return its id."""
        data = {"plain": {"subject": "Hi", "body": "text"}}.get(
            template, {"confirm_url": "https://example.com/confirm/abc"}
        )
        body = {"template": template, "to": {"address": address}, "data": data, **fields}
        answer = self.http.post("/v1/emails", json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def ask(self, mail: str) -> Told:
        """Return what is told of a mail."""
        answer = self.http.get(f"/v1/emails/{mail}")
        assert answer.status_code in (200, 202), answer.text
        told: Told = answer.json()
        return told

    def until(self, mail: str, state: str, also: Callable[[Told], object] = bool) -> Told:
        """Return what is told of a mail as soon as it is in a state and more is true."""
        told: Told = {}

        def reached() -> bool:
            told.update(self.ask(mail))
            return told["state"] == state and bool(also(told))

        try:
            wait_until(reached)
        except AssertionError:
            raise AssertionError(f"{mail} did not become {state}: {told}") from None
        return told

    def stop(self, mail: str) -> Told:
        """Ask that a mail is not sent, and return the answer."""
        answer = self.http.delete(f"/v1/emails/{mail}")
        assert answer.status_code == 202, answer.text
        told: Told = answer.json()
        return told

    def page(self, **parameters: object) -> Told:
        """Return a page of mails."""
        answer = self.http.get("/v1/emails", params={k: str(v) for k, v in parameters.items()})
        assert answer.status_code == 200, answer.text
        told: Told = answer.json()
        return told


@dataclass(frozen=True)
class Pipeline:
    """What runs, and the environment in which commands mean it."""

    environ: Mapping[str, str]
    url: str
    projector: Child
    keys: Iterator[str]

    def client(self) -> Client:
        """Return a program of a tenant that nobody had before."""
        return Client(self.url, next(self.keys))

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `mailcascade` with these arguments to its end."""
        return subprocess.run(
            [sys.executable, "-m", "console", *arguments],
            env=dict(self.environ),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def printed(self, *arguments: str) -> str:
        """Return what a command prints that succeeds."""
        done = self.command(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def told(self, *arguments: str) -> Any:
        """Return the JSON that a command prints that succeeds."""
        return json.loads(self.printed(*arguments, "--json"))

    @contextmanager
    def view_stands_still(self) -> Iterator[None]:
        """Let the projector do nothing in the block."""
        os.kill(self.projector.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.projector.pid, signal.SIGCONT)


@contextmanager
def running_pipeline(kafka: Kafka, database: str, directory: Path) -> Iterator[Pipeline]:
    """Start catcher, API, worker and projector; stop them in the end."""
    keys = [add_key(directory / "keys", f"tenant-{number}") for number in range(_TENANTS)]
    with CatcherThread() as catcher:
        overrides = {
            "MAILCASCADE_DATABASE_URL": database,
            "MAILCASCADE_API_KEYS_FILE": str(directory / "keys"),
            "MAILCASCADE_TEMPLATES_DIR": str(holding_templates(directory)),
        }
        environ = worker_environ(kafka, catcher.smtp_url, directory / "state", overrides)
        with (
            start_worker(environ, directory / "worker.log"),
            running_projector(environ, directory / "projector.log") as projector,
            running_api(environ, directory / "api.log") as api,
        ):
            yield Pipeline(environ, api.url, projector, iter(keys))


def running_projector(environ: Mapping[str, str], log: Path) -> Child:
    """Start `mailcascade projector`; a context manager that stops it."""
    command: Sequence[str] = [sys.executable, "-m", "console", "projector"]
    return Child(ChildSpec("projector", command, log, environ))


def holding_templates(directory: Path) -> Path:
    """Return a copy of the built-in templates of which one holds instead of sending again."""
    target = directory / "templates"
    copytree(DEFAULT_DIRECTORY, target)
    manifest = target / "signup-confirmation" / "template.toml"
    text = manifest.read_text()
    manifest.write_text(text.replace('on_ambiguous = "resend"', 'on_ambiguous = "hold"'))
    assert manifest.read_text() != text
    return target
