"""The whole pipeline on this machine: starts its parts in order and stops them in order."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx2

from console.stack.children import Child, ChildSpec, tail
from console.stack.interrupts import Interrupts
from console.stack.kafka import KafkaBroker, Kind, Placement, Rung, new_broker, prepare
from console.stack.plan import (
    StackPlan,
    own_module,
    part_environ,
    projector_environ,
    settings_file,
)
from console.stack.ports import HOST
from console.stack.view import StackView
from retry_topics.provisioning import apply, survey
from runtime.clock import Deadline, SystemClock
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import Properties, client_properties
from runtime.settings import Settings, load_settings

_READY_SECONDS: Final = 60.0
_LANES_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.05
_KAFKA: Final = "Kafka"
_CATCHER: Final = "Mail catcher"
_API: Final = "API"
_WORKERS: Final = "Workers"
_PROJECTOR: Final = "Projector"


class StackFailed(RuntimeError):
    """A part did not start or has ended; the message has its last log lines."""


@dataclass(frozen=True, slots=True)
class Started:
    """A part that is ready, where it is, and how many seconds that took."""

    name: str
    where: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Machine:
    """What a stack runs on: the rung for Kafka, our settings, environment and signals."""

    rung: Rung
    settings: Settings
    environ: Mapping[str, str]
    interrupts: Interrupts


class Stack:
    """A context manager around the running parts. `announce` is told of each that is ready."""

    def __init__(
        self, plan: StackPlan, machine: Machine, announce: Callable[[Started], None]
    ) -> None:
        self.plan = plan
        self._rung = machine.rung
        self._settings = machine.settings
        self._interrupts = machine.interrupts
        self._announce = announce
        self._clock = SystemClock()
        self._broker: KafkaBroker | None = None
        self._children: dict[str, Child] = {}
        self._part_settings: Settings | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def properties(self) -> Properties:
        """What a Kafka client of the stack's own connects with."""
        return client_properties(self._settled(), role="stack")

    @property
    def settings_file(self) -> Path:
        """A file with which `MAILCASCADE_CONFIG` makes commands in another shell mean the stack."""
        return self.plan.directory.absolute() / "settings"

    def view(self) -> StackView:
        """Return what asks the status view; to be closed."""
        return StackView(self._settled())

    @property
    def logs(self) -> Path:
        """The directory with one log for each part."""
        return self.plan.directory / "logs"

    def check(self) -> None:
        """Raise `StackFailed` when a part has ended by itself."""
        for name, child in self._children.items():
            self._check_child(name, child)
        code = None if self._broker is None else self._broker.exit_code()
        if self._broker is not None and code is not None:
            log = self._broker.log
            raise StackFailed(_ended(_KAFKA, code, "" if log is None else tail(log, 20)))

    def stop_workers(self) -> None:
        """Let the workers finish what they have in hand and end."""
        for name in (_API, _WORKERS):
            if name in self._children:
                self._children[name].request_stop()
        self._stop_child(_API)
        self._stop_child(_WORKERS)

    def stop(self) -> None:
        """End everything in order: nobody asks, nobody sends, then what is left, Kafka last."""
        # On a thread: the signal may arrive while this one holds a lock of the child's.
        self._interrupts.hurry_with(lambda: threading.Thread(target=self._kill).start())
        self.stop_workers()
        self._stop_child(_PROJECTOR)
        self._stop_child(_CATCHER)
        if self._broker is not None:
            self._broker.stop()
            self._broker = None

    def _kill(self) -> None:
        for child in list(self._children.values()):
            child.kill()
        if self._broker is not None and self._broker.kind is not Kind.EXTERNAL:
            self._broker.kill()

    def _settled(self) -> Settings:
        """Return the parts' settings, which are known once Kafka runs."""
        if self._part_settings is None:
            raise StackFailed("Kafka has not been started")
        return self._part_settings

    def _start(self) -> None:
        self.logs.mkdir(parents=True, exist_ok=True)
        environ = self._start_kafka()
        self._create_topics()
        ports = self.plan.ports
        page = own_module("console.stack.catcher")
        page += [f"--smtp-port={ports.smtp}", f"--http-port={ports.page}"]
        workers = own_module("console", "worker", f"--processes={self.plan.workers}")
        self._spawn(_WORKERS, workers, environ)
        self._spawn(_CATCHER, page, environ)
        self._spawn(_API, own_module("console", "ingest"), environ)
        # Anew each time: a directory that is kept may have the view of another Kafka.
        began_ms = self._clock.now_ms()
        projector = own_module("console", "projector", "--rebuild")
        apart = projector_environ(environ, self._settled(), self.plan.workers)
        self._spawn(_PROJECTOR, projector, apart)
        self._await(_CATCHER, self._answers(f"{self.plan.page_url}/api/summary"))
        self._await(_API, self._answers(f"{self.plan.api_url}/readyz"))
        self._await(_WORKERS, self._lanes_spread)
        with self.view() as view:
            self._await(_PROJECTOR, lambda: view.is_kept_since(began_ms))

    def _start_kafka(self) -> dict[str, str]:
        """Start Kafka, or make sure that it answers, and return the environment of the parts."""
        began = self._clock.monotonic()
        plan = self.plan
        prepare(self._rung, plan.environ, print)
        placement = Placement(plan.directory / "kafka", plan.ports.kafka)
        self._broker = new_broker(self._rung, placement, plan.environ)
        self._broker.start()
        environ = part_environ(plan, self._settings, self._broker.bootstrap)
        self._part_settings = load_settings(environ)
        self.settings_file.write_text(settings_file(plan, self._settings, self._broker.bootstrap))
        TopicAdmin(self.properties).ping()
        seconds = self._clock.monotonic() - began
        self._announce(Started(_KAFKA, self._broker.bootstrap, seconds))
        return environ

    def _create_topics(self) -> None:
        admin = TopicAdmin(self.properties)
        changes = survey(self.plan.topology, None, admin)
        if changes.conflicts or changes.grows:
            wrong = "\n".join(f"{action.topic} {action}" for action in changes.conflicts)
            wrong += "\n".join(f"{action.topic} {action}" for action in changes.grows)
            raise StackFailed(f"the topics that are there do not fit:\n{wrong}")
        apply(changes, admin, lambda _: None)

    def _spawn(self, name: str, command: list[str], environ: dict[str, str]) -> None:
        log = self.logs / f"{name.lower().replace(' ', '-')}.log"
        log.unlink(missing_ok=True)
        with self._interrupts.shielded():
            self._children[name] = Child(ChildSpec(name, command, log, environ))

    def _stop_child(self, name: str) -> None:
        if name in self._children:
            self._children[name].stop()
            del self._children[name]

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        began = self._clock.monotonic()
        patience = _LANES_SECONDS if name == _WORKERS else _READY_SECONDS
        deadline = Deadline(self._clock, patience)
        while not ready():
            self.check()
            if deadline.expired():
                shown = self._children[name].last_lines()
                raise StackFailed(f"{name}: not ready within {patience:g} s:\n{shown}")
            time.sleep(_POLL_SECONDS)
        where = {
            _CATCHER: f"{HOST}:{self.plan.ports.smtp}, page {self.plan.page_url}",
            _API: self.plan.api_url,
            _WORKERS: f"{self.plan.workers} processes",
            _PROJECTOR: "keeps the status view",
        }
        self._announce(Started(name, where[name], self._clock.monotonic() - began))

    def _answers(self, url: str) -> Callable[[], bool]:
        def ready() -> bool:
            try:
                return httpx2.get(url, timeout=2.0).status_code == 200
            except httpx2.TransportError:
                return False

        return ready

    def _lanes_spread(self) -> bool:
        log = self._children[_WORKERS].spec.log.read_text(errors="replace")
        return lanes_spread(log, self.plan.workers, self.plan.topology.partitions)

    def _check_child(self, name: str, child: Child) -> None:
        code = child.exit_code()
        if code is not None:
            raise StackFailed(_ended(name, code, child.last_lines()))


def lanes_spread(log: str, workers: int, partitions: int) -> bool:
    """Tell from the workers' common log whether all lanes have an owner and all workers a lane.

    The log says after each change how many lanes its worker has.
    """
    holders = min(workers, partitions)
    entries = [_json_object(line) for line in log.splitlines() if '"lanes.' in line]
    last = [int(entry.get("lanes", 0)) for entry in entries][-holders:]
    return len(last) == holders and all(last) and sum(last) == partitions


def _json_object(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def _ended(name: str, code: int, log: str) -> str:
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
    return f"{name} {how}. The end of its log:\n{log}"
