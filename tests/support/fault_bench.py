"""A worker, the relay that it sends to, and what Kafka says of each mail: for tests of faults."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import SSLContext

from consumers.mailer.outages import OpenOutage
from retry_topics.failure import Phase
from schemas.events import SignupEvent
from tests.support.mailer import Kafka
from tests.support.smtp_server import Hold, ScriptedServer, Step
from tests.support.wait import wait_until
from tests.support.witness import Witness
from tests.support.worker_thread import WorkerThread


class FaultBench:
    """Faults for a test to choose from; `recover` takes them all back."""

    def __init__(self, worker: WorkerThread, witness: Witness) -> None:
        self.worker = worker
        self.server = worker.server
        self.kafka = worker.kafka
        self.entries = witness.entries
        self.until = witness.until
        self.moved = witness.moved
        self.is_suppressed = witness.is_suppressed
        self._extensions = self.server.extensions
        self._tls = self.server.tls
        self._is_away = False

    def says(
        self,
        phase: Phase,
        *steps: Step,
        recipient: str | None = None,
        times: int | None = None,
        fresh: bool = False,
    ) -> None:
        """Script a phase; `fresh`: on connections that are yet to be opened."""
        self.worker.on(
            lambda: self.server.on(phase, *steps, recipient=recipient, times=times), fresh=fresh
        )

    def silent(self, phase: Phase, recipient: str | None = None, times: int | None = None) -> None:
        """Have the relay say nothing more at a phase, on new connections only."""
        self.says(phase, Hold(asyncio.Event()), recipient=recipient, times=times, fresh=True)

    def offers(self, *extensions: str) -> None:
        """Have the relay offer these, on new connections only."""
        self.worker.on(lambda: setattr(self.server, "extensions", extensions), fresh=True)

    def shows(self, tls: SSLContext | None) -> None:
        """Have the relay show another certificate, or offer no TLS at all."""
        self.worker.on(lambda: setattr(self.server, "tls", tls), fresh=True)

    def no_name(self, trouble: int) -> None:
        """Have the name server fail with this EAI number, and no connection stand."""
        self.worker.no_name(trouble)
        self.worker.on(fresh=True)

    def away(self) -> None:
        """Have nobody listen at the relay's port."""
        self._is_away = True
        self.worker.away()

    def post(self, *events: SignupEvent) -> None:
        """Write events as the API would."""
        self.kafka.post(events)

    def until_out(self) -> OpenOutage:
        """Wait until something is out."""
        return self.worker.until_out()

    def until_seen_again(self) -> None:
        """Wait for a probe that opens a connection."""
        sessions = len(self.server.sessions)
        wait_until(lambda: len(self.server.sessions) > sessions, 20, "a probe")

    def recover(self) -> None:
        """Have the relay do as a friendly one does; new connections find it as it was at first."""
        self.worker.no_name(None)
        if self._is_away:
            self.worker.back()
            self._is_away = False
        first = (self._extensions, self._tls)
        changed = (self.server.extensions, self.server.tls) != first
        self.worker.on(self.server.friendly, self._restore, fresh=changed or self.is_out)

    @property
    def is_out(self) -> bool:
        """Whether anything is out."""
        return self.worker.outage() is not None

    def _restore(self) -> None:
        self.server.extensions, self.server.tls = self._extensions, self._tls


@contextmanager
def bench_with(
    kafka: Kafka, server: ScriptedServer, url: str, state_dir: Path
) -> Iterator[FaultBench]:
    """Run a worker; `url` has `{port}` where the server's port stands."""
    with (
        Witness(kafka) as witness,
        WorkerThread(kafka, server, lambda s: url.format(port=s.port), state_dir) as worker,
    ):
        yield FaultBench(worker, witness)
