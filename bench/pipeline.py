"""A pipeline of a benchmark's own: fresh topics on the run's broker, and the processes on them."""

import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from console.stack.children import Child, ChildSpec
from console.stack.interrupts import Interrupts
from console.stack.plan import Ports, StackPlan, own_module, part_environ, without_settings
from console.stack.ports import free_ports
from console.stack.stack import lanes_spread
from retry_topics.provisioning import apply, survey
from retry_topics.topology import Topology, parse_tiers
from runtime.clock import Deadline, SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties, client_properties
from runtime.settings import Settings, load_settings

PARTITIONS: Final = 8
#: Connections to the mail server in every benchmark; `smtp-source` gets as many sessions.
CONNECTIONS: Final = 16
_WORKER: Final = ("console", "worker")
#: The common log of all workers.
_WORKERS: Final = "workers"
_READY_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05


class BenchFailed(RuntimeError):
    """A figure cannot be measured, or would be wrong; the message says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """What all benchmarks of a run share: a broker, a directory, our settings and signals."""

    bootstrap: str
    directory: Path
    settings: Settings
    interrupts: Interrupts


class Pipeline:
    """A context manager: its processes end with it, the last one first."""

    def __init__(self, site: Site, name: str, smtp: int | None = None, **settings: str) -> None:
        """Decide on topics and ports; a name is used once in a run.

        `smtp` is the port of another pipeline's mail server, to be shared. `settings` are variables
        beside the ones that are decided here.
        """
        topology = Topology(
            f"bench-{name}-{uuid.uuid4().hex[:8]}", parse_tiers("1m,10m,1h"), PARTITIONS
        )
        directory = site.directory / name
        directory.mkdir()
        ports = Ports(*free_ports(4))
        self.ports = ports if smtp is None else replace(ports, smtp=smtp)
        plan = StackPlan(directory, self.ports, 1, topology, without_settings(os.environ))
        self.topology = topology
        self._directory = directory
        self._interrupts = site.interrupts
        self._environ = {
            **part_environ(plan, site.settings, site.bootstrap),
            "MAILCASCADE_SMTP_CONNECTIONS": str(CONNECTIONS),
            **settings,
        }
        self.settings = load_settings(self._environ)
        self.properties: Properties = client_properties(self.settings, role="bench")
        self._admin = TopicAdmin(self.properties)
        self._children: list[Child] = []
        self._workers = 0
        self._ending = ExitStack()

    def __enter__(self) -> Self:
        apply(survey(self.topology, None, self._admin), self._admin, lambda _: None)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ending.close()

    def start(self, name: str, command: Sequence[str], log: str = "") -> Child:
        """Start a process of the pipeline; its output goes to a log of its name, or of `log`."""
        path = self._directory / f"{log or name}.log"
        with self._interrupts.shielded():
            child = Child(ChildSpec(name, command, path, self._environ))
            self._ending.enter_context(child)
            self._children.append(child)
        return child

    def start_workers(self, count: int, module: Sequence[str] = _WORKER) -> list[Child]:
        """Start worker processes and wait until each has its share of the lanes.

        `module` is what runs as a worker: one of our modules, and its arguments.
        """
        workers = [self.start_worker(module) for _ in range(count)]
        self.await_workers(count)
        return workers

    def start_worker(self, module: Sequence[str] = _WORKER) -> Child:
        """Start one worker process more, and do not wait for it."""
        self._workers += 1
        return self.start(f"worker-{self._workers}", own_module(*module), _WORKERS)

    def await_workers(self, count: int) -> None:
        """Wait until each of so many worker processes has its share of the lanes."""
        log = self._directory / f"{_WORKERS}.log"
        self.wait_until(
            lambda: lanes_spread(log.read_text(errors="replace"), count, PARTITIONS),
            _READY_SECONDS,
            "the lanes are spread",
        )

    def kill(self, child: Child) -> None:
        """End one of our processes with SIGKILL; nobody minds that it has ended."""
        self._children.remove(child)
        child.kill()

    def wait_until(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait, and give up when a process has ended or the time is over; raises BenchFailed."""
        deadline = Deadline(SystemClock(), seconds)
        while not done():
            self.check()
            if deadline.expired():
                raise BenchFailed(f"not within {seconds:g} s: {what}\n{self._last_lines()}")
            time.sleep(_POLL_SECONDS)

    def check(self) -> None:
        """Raise BenchFailed when a process has ended by itself."""
        for child in self._children:
            if (code := child.exit_code()) is not None:
                raise BenchFailed(
                    f"{child.spec.name} ended with exit code {code}:\n{child.last_lines()}"
                )

    def check_nothing_failed(self) -> None:
        """Make sure that every mail went out at its first attempt; raises BenchFailed."""
        topics = (*self.topology.retries, self.topology.dlt)
        if any(span.end for span in self._admin.spans(topics).values()):
            raise BenchFailed(f"mails were refused:\n{self._last_lines()}")

    def _last_lines(self) -> str:
        return "\n".join(f"{child.spec.name}: {child.last_lines(5)}" for child in self._children)
