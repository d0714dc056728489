"""A real worker and a scripted relay on a loop of their own: a test scripts and watches."""

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from consumers.app import Worker, WorkerParts
from consumers.delivery.blame import Blame
from consumers.delivery.breaker import BackOff, Recovery
from consumers.delivery.compose import Composer
from consumers.delivery.guard import RECOVERIES
from consumers.delivery.letterhead import letterhead_of
from consumers.delivery.outcome import shipped_classifier
from consumers.mailer.outages import OpenOutage, OutageBook
from consumers.mailer.slots import Slot
from runtime.clock import SystemClock
from runtime.kafka.connection import Connection
from runtime.metric_catalogue import WORKER_METRICS
from runtime.metrics import Metrics
from runtime.pulse import Pulse
from runtime.settings import load_settings
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.codec import EventCodec
from tests.support.mailer import Kafka, worker_environ
from tests.support.smtp_server import ScriptedServer
from tests.support.wait import wait_until

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: Everything is asked again soon, what a person has to mend a little later.
_SOON: Final = Recovery(BackOff(0.05, 0.1), BackOff(0.1, 0.2), behind=0.1)
_QUICK: Final = {**dict.fromkeys(RECOVERIES, _SOON)}


_Four = tuple[Literal[socket.AddressFamily.AF_INET], socket.SocketKind, int, str, tuple[str, int]]
_Six = tuple[
    Literal[socket.AddressFamily.AF_INET6],
    socket.SocketKind,
    int,
    str,
    tuple[str, int, int, int] | tuple[int, bytes],
]


class _Loop(asyncio.SelectorEventLoop):
    """A loop with a name server of its own, which knows names of this machine or how it fails."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble: int | None = None

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> list[_Four | _Six]:
        """Answer that every name is this machine's, unless there is trouble."""
        if self.trouble is not None:
            raise socket.gaierror(self.trouble, "as the test wants it")
        return await super().getaddrinfo(
            "127.0.0.1", port, family=family, type=type, proto=proto, flags=flags
        )

    async def sock_connect(
        self, sock: socket.socket, address: "tuple[object, ...] | str | ReadableBuffer"
    ) -> None:
        """Connect with a small buffer, so that most of a large mail has to wait in the client."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
        await super().sock_connect(sock, address)


class WorkerThread:
    """One worker that sends to one scripted server. A context manager."""

    def __init__(
        self,
        kafka: Kafka,
        server: ScriptedServer,
        url: Callable[[ScriptedServer], str],
        state_dir: Path,
        recoveries: Mapping[Blame, Recovery] = _QUICK,
    ) -> None:
        self.kafka = kafka
        self.server = server
        self.outages = OutageBook()
        self.metrics = Metrics(WORKER_METRICS)
        self._url = url
        self._state_dir = state_dir
        self._recoveries = recoveries
        self._loop = _Loop()
        self._stop: asyncio.Future[None] = self._loop.create_future()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(30), "the worker did not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(60)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def outage(self) -> OpenOutage | None:
        """Return the oldest thing that is out."""
        return next(iter(self.outages.open()), None)

    def on(self, *script: Callable[[], None], fresh: bool = False) -> None:
        """Script the server on its loop; `fresh`: on connections that are yet to be opened."""

        async def change() -> None:
            for change in script:
                change()
            if fresh:
                self.server.drop_sessions()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(10)

    def no_name(self, trouble: int | None) -> None:
        """Have the name server fail with this EAI number; None: it answers again."""
        self._loop.trouble = trouble

    def away(self) -> None:
        """Have nobody listen at the server's port, and break what stands."""
        asyncio.run_coroutine_threadsafe(
            self.server.__aexit__(None, None, None), self._loop
        ).result(10)

    def back(self) -> None:
        """Have the server listen again at the port at which it did."""
        asyncio.run_coroutine_threadsafe(self.server.__aenter__(), self._loop).result(10)

    def until_out(self) -> OpenOutage:
        """Wait until something is out."""
        wait_until(lambda: self.outage() is not None, 20, "an outage")
        found = self.outage()
        assert found is not None
        return found

    def received(self, address: str) -> int:
        """Count the mails that the server has for an address.

        One without content is what ends a pipelined envelope that was refused.
        """
        mails = self.server.mails
        return sum(mail.recipient == address and mail.content != b"" for mail in mails)

    def _end(self) -> None:
        if not self._stop.done():
            self._stop.set_result(None)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._work())
        except BaseException as error:  # noqa: BLE001 - told by the test's own thread
            self._failure = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _work(self) -> None:
        topology = self.kafka.topology
        async with self.server:
            environ = worker_environ(self.kafka, self._url(self.server), self._state_dir)
            settings = load_settings(environ)
            catalogue = Catalogue.load(DEFAULT_DIRECTORY)
            slot = Slot(settings.state_dir, topology.prefix)
            worker = Worker(
                settings,
                WorkerParts(
                    topology=topology,
                    catalogue=catalogue,
                    composer=Composer(catalogue, letterhead_of(settings)),
                    classifier=shipped_classifier(),
                    codec=EventCodec(None),
                    metrics=self.metrics,
                    clock=SystemClock(),
                    slot=slot,
                    outages=self.outages,
                    connection=Connection(SystemClock(), "worker"),
                    pulse=Pulse(SystemClock(), 60.0),
                    recoveries=self._recoveries,
                    checkpoint=lambda step: None,
                    tracer=None,
                ),
            )
            self._ready.set()
            try:
                await worker.run(lambda: self._stop)
            finally:
                slot.release()
