"""The catcher as a whole: the store, the SMTP listener and, where it is wanted, the web page."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import uvicorn

from console.stack.catcher.smtp import SmtpListener
from console.stack.catcher.store import DEFAULT_LIMIT, MailStore
from console.stack.catcher.web import build_app
from console.stack.ports import HOST
from runtime.clock import SystemClock


@dataclass(frozen=True, slots=True)
class CatcherOptions:
    """Loopback ports and how many mails are kept. SMTP port 0 takes a free one."""

    smtp_port: int = 0
    http_port: int | None = None
    keep: int = DEFAULT_LIMIT


@dataclass(frozen=True, slots=True)
class Catcher:
    """A running catcher, to be used on its own event loop."""

    store: MailStore
    listener: SmtpListener


class _Web(uvicorn.Server):
    """A server that leaves the signals to whoever runs the loop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def running(options: CatcherOptions) -> AsyncIterator[Catcher]:
    """Run a catcher for the length of the block; raises OSError when a port is taken."""
    store = MailStore(SystemClock().now_ms, options.keep)
    catcher = Catcher(store, SmtpListener(store, HOST, options.smtp_port))
    await catcher.listener.up()
    try:
        if options.http_port is None:
            yield catcher
        else:
            async with _serving(catcher, options.http_port):
                yield catcher
    finally:
        await catcher.listener.down()


@asynccontextmanager
async def _serving(catcher: Catcher, port: int) -> AsyncIterator[None]:
    app = build_app(catcher.store, catcher.listener)
    config = uvicorn.Config(app, host=HOST, port=port, log_level="warning", lifespan="off")
    socket = config.bind_socket()
    web = _Web(config)
    task = asyncio.create_task(web.serve(sockets=[socket]))
    try:
        yield
    finally:
        web.should_exit = True
        await task
        socket.close()
