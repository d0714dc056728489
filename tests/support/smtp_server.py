"""An SMTP server that does what a test tells it, phase by phase and recipient by recipient.

    async with ScriptedServer() as server:
        server.on(Phase.RCPT, Say("450 4.2.0 greylisted"), recipient="ada@example.org", times=1)
        server.on(Phase.DOT, Keep(), Drop())          # takes the mail and breaks before its reply

A phase without a script is answered as a friendly relay would.
"""

import asyncio
import base64
import socket
import ssl
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from retry_topics.failure import Phase


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with these lines instead of the friendly reply."""

    reply: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Send these bytes as they are instead of a reply."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Keep:
    """Take the mail, whatever is answered afterwards."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Break the connection."""


@dataclass(frozen=True, slots=True)
class Take:
    """Read so many bytes of a mail's content, and no more."""

    count: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Wait until the test sets the event."""

    event: asyncio.Event


Step = Say | Raw | Keep | Drop | Take | Hold


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail that the server took; `content` is without dot-stuffing."""

    sender: str
    recipient: str
    content: bytes


@dataclass(slots=True)
class Session:
    """One connection as the server saw it."""

    commands: list[str] = field(default_factory=list)
    login: tuple[str, str] | None = None
    secure: bool = False

    @property
    def verbs(self) -> list[str]:
        """The first words of the commands."""
        return [command.partition(" ")[0].upper() for command in self.commands]


@dataclass(slots=True)
class _Script:
    phase: Phase
    steps: tuple[Step, ...]
    recipient: str | None
    times: int | None


class _Dropped(Exception):
    """The script breaks the connection."""


class ScriptedServer:
    """A server on a free loopback port, while its context lasts."""

    def __init__(
        self,
        extensions: tuple[str, ...] = ("8BITMIME", "SMTPUTF8", "SIZE 1000000"),
        tls: ssl.SSLContext | None = None,
        *,
        implicit_tls: bool = False,
    ) -> None:
        self.extensions = extensions
        self.tls = tls
        self.implicit_tls = implicit_tls
        self.mails: list[ReceivedMail] = []
        self.sessions: list[Session] = []
        self.port = 0
        self._scripts: list[_Script] = []
        self._handlers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def on(
        self, phase: Phase, *steps: Step, recipient: str | None = None, times: int | None = None
    ) -> None:
        """Script a phase: for one recipient or all, so many times or always; the latest wins."""
        self._scripts.insert(0, _Script(phase, steps, recipient, times))

    def friendly(self) -> None:
        """Forget every script."""
        self._scripts.clear()

    def url(self, scheme: str = "smtp", credentials: str = "", query: str = "") -> str:
        """Return the relay URL that leads here."""
        at = f"{credentials}@" if credentials else ""
        return f"{scheme}://{at}127.0.0.1:{self.port}{query}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._accept,
            "127.0.0.1",
            self.port,
            ssl=self.tls if self.implicit_tls else None,
        )
        # So that most of a large mail has to wait in the client.
        self._server.sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    def drop_sessions(self) -> None:
        """Break every connection that stands."""
        for handler in self._handlers:
            handler.cancel()

    def steps(self, phase: Phase, recipient: str) -> tuple[Step, ...]:
        """Take the steps that are scripted for a moment; none: be friendly."""
        for script in self._scripts:
            if (
                script.phase is phase
                and script.recipient in (None, recipient)
                and script.times != 0
            ):
                if script.times is not None:
                    script.times -= 1
                return script.steps
        return ()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = _Conversation(self, reader, writer)
        task = asyncio.ensure_future(conversation.run())
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)


class _Conversation:
    """One connection's dialogue."""

    def __init__(
        self, server: ScriptedServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._session = Session(secure=server.implicit_tls)
        self._sender = ""
        self._recipient = ""

    async def run(self) -> None:
        self._server.sessions.append(self._session)
        try:
            await self._answer(Phase.BANNER, "220 scripted.example ESMTP")
            while line := await self._reader.readline():
                await self._obey(line.decode("utf-8", "replace").rstrip("\r\n"))
            self._writer.close()
        except (_Dropped, OSError, asyncio.IncompleteReadError):
            self._writer.transport.abort()
        except asyncio.CancelledError:
            self._writer.transport.abort()
            raise

    async def _obey(self, line: str) -> None:
        self._session.commands.append(line)
        verb, _, rest = line.partition(" ")
        match verb.upper():
            case "EHLO" | "HELO" as hello:
                await self._answer(Phase.EHLO, self._greeting(hello))
            case "STARTTLS":
                await self._start_tls()
            case "AUTH":
                await self._log_in(rest)
            case "":
                # What follows a challenge that only tells why a token is refused.
                await self._answer(Phase.AUTH, "235 2.7.0 Welcome")
            case "MAIL":
                self._sender, self._recipient = _mailbox(rest), ""
                await self._answer(Phase.MAIL, "250 2.1.0 Ok")
            case "RCPT":
                self._recipient = _mailbox(rest)
                await self._answer(Phase.RCPT, "250 2.1.5 Ok")
            case "DATA":
                if await self._answer(Phase.DATA, "354 go ahead"):
                    await self._take_content()
            case "QUIT":
                await self._write("221 2.0.0 Bye")
                raise _Dropped
            case other:
                await self._write("250 2.0.0 Ok" if other == "RSET" else "502 5.5.2 what?")

    def _greeting(self, hello: str) -> str:
        if hello == "HELO":
            return "250 scripted.example"
        offers = list(self._server.extensions)
        if self._server.tls is not None and not self._session.secure:
            offers.append("STARTTLS")
        return "\n".join(
            ["250-scripted.example", *(f"250-{offer}" for offer in offers), "250 HELP"]
        )

    async def _start_tls(self) -> None:
        if await self._answer(Phase.STARTTLS, "220 2.0.0 go ahead") and self._server.tls:
            await self._writer.start_tls(self._server.tls)
            self._session.secure = True

    async def _log_in(self, rest: str) -> None:
        mechanism, _, proof = rest.partition(" ")
        match mechanism:
            case "LOGIN":
                user = await self._ask("334 VXNlcm5hbWU6")
                self._session.login = (user, await self._ask("334 UGFzc3dvcmQ6"))
            case "XOAUTH2":
                user, bearer = _plain(proof).rstrip("\1").split("\1")
                self._session.login = (
                    user.removeprefix("user="),
                    bearer.removeprefix("auth=Bearer "),
                )
            case _:
                _, user, password = _plain(proof).split("\0")
                self._session.login = (user, password)
        await self._answer(Phase.AUTH, "235 2.7.0 Welcome")

    async def _ask(self, challenge: str) -> str:
        await self._write(challenge)
        return _plain((await self._reader.readline()).decode())

    async def _take_content(self) -> None:
        lines = []
        while (line := await self._reader.readline()) != b".\r\n":
            if not line:
                raise _Dropped
            lines.append(line[1:] if line.startswith(b".") else line)
        content = b"".join(lines)
        if await self._answer(Phase.DOT, "250 2.0.0 Ok: queued as SCRIPTED", content):
            self._keep(content)

    def _keep(self, content: bytes) -> None:
        self._server.mails.append(ReceivedMail(self._sender, self._recipient, content))

    async def _answer(self, phase: Phase, friendly: str, content: bytes = b"") -> bool:
        """Follow the script, then be friendly unless it spoke; tell whether we were friendly."""
        spoken = False
        for step in self._server.steps(phase, self._recipient):
            match step:
                case Say(reply):
                    await self._write(reply)
                    spoken = True
                case Raw(data):
                    self._writer.write(data)
                    spoken = True
                case Take(count):
                    await self._reader.readexactly(count)
                case Keep():
                    self._keep(content)
                case Drop():
                    raise _Dropped
                case Hold(event):
                    await event.wait()
        if not spoken:
            await self._write(friendly)
        return not spoken

    async def _write(self, reply: str) -> None:
        self._writer.write(reply.replace("\n", "\r\n").encode() + b"\r\n")
        await self._writer.drain()


def _mailbox(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


def _plain(proof: str) -> str:
    return base64.b64decode(proof).decode()
