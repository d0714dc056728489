"""The catcher inside another process, on a thread of its own: for tests."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from types import TracebackType
from typing import Self

from console.stack.catcher.server import Catcher, CatcherOptions, running
from console.stack.catcher.store import MailStore
from console.stack.ports import HOST


class CatcherThread:
    """A context manager around a running catcher. Its methods may be called from any thread."""

    def __init__(self, options: CatcherOptions | None = None) -> None:
        self._options = options or CatcherOptions()
        self._ready: Future[Catcher] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="catcher", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def store(self) -> MailStore:
        """The caught mails and the counts."""
        return self._ready.result().store

    @property
    def smtp_port(self) -> int:
        """Where it listens; the same after it was down."""
        return self._ready.result().listener.port

    @property
    def smtp_url(self) -> str:
        """The address as a setting wants it."""
        return f"smtp://{HOST}:{self.smtp_port}"

    def down(self) -> None:
        """Close the listener and break every connection; return when it is done."""
        self._call(self._ready.result().listener.down())

    def up(self) -> None:
        """Listen again on the same port."""
        self._call(self._ready.result().listener.up())

    def _call(self, work: Coroutine[object, object, None]) -> None:
        if self._loop is None:
            raise RuntimeError("the catcher is not running")
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        try:
            async with running(self._options) as catcher:
                self._ready.set_result(catcher)
                await self._stop.wait()
        except OSError as error:
            if self._ready.done():
                raise
            self._ready.set_exception(error)
