"""The catcher's SMTP side: an aiosmtpd server that plays the script of each address."""

import asyncio
from typing import Final

from aiosmtpd.smtp import SMTP, Session
from aiosmtpd.smtp import Envelope as SmtpEnvelope

from console.stack.catcher.script import is_scripted, verdict_for
from console.stack.catcher.store import Envelope, MailStore

_HOSTNAME: Final = "catcher.localhost"
_IDENT: Final = "mailcascade catcher"
_MAX_BYTES: Final = 32 << 20


class _Handler:
    """Decides about recipients and keeps mails; aiosmtpd finds its methods by name."""

    def __init__(self, store: MailStore) -> None:
        self._store = store

    async def handle_RCPT(
        self,
        server: SMTP,
        session: Session,
        envelope: SmtpEnvelope,
        address: str,
        rcpt_options: list[str],
    ) -> str:
        if is_scripted(address):
            verdict = verdict_for(address, self._store.count_attempt(address))
            if verdict.refusal is not None:
                self._store.count_refusal(verdict.refusal)
                return verdict.refusal
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: SmtpEnvelope) -> str:
        # The attempt was counted at RCPT; what follows the dot does not depend on the count.
        verdicts = [verdict_for(address, 0) for address in envelope.rcpt_tos]
        if any(verdict.drop for verdict in verdicts):
            self._store.count_drop()
            await _break_connection(server)
        await asyncio.sleep(max(verdict.delay_seconds for verdict in verdicts))
        content = envelope.original_content or b""
        kept = Envelope(envelope.mail_from or "", tuple(envelope.rcpt_tos))
        mail = self._store.add(kept, content)
        return f"250 2.0.0 OK: caught as {mail.number}"


async def _break_connection(server: SMTP) -> None:
    """Never return: aiosmtpd cancels the caller when it learns that the connection is gone."""
    if isinstance(server.transport, asyncio.Transport):
        server.transport.abort()
    await asyncio.Event().wait()


class _Connection(SMTP):
    """aiosmtpd's protocol, known to its listener while it is connected."""

    def __init__(self, store: MailStore, connections: set[asyncio.BaseTransport]) -> None:
        super().__init__(
            _Handler(store),
            data_size_limit=_MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname=_HOSTNAME,
            ident=_IDENT,
            loop=asyncio.get_running_loop(),
        )
        self._connections = connections
        self._own: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._own = transport
        self._connections.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._own is not None:
            self._connections.discard(self._own)
        super().connection_lost(error)


class SmtpListener:
    """Listens on one loopback port. Down means as good as gone: no listener, no connection."""

    def __init__(self, store: MailStore, host: str, port: int) -> None:
        self._store = store
        self._host = host
        self.port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.BaseTransport] = set()

    @property
    def is_up(self) -> bool:
        """Tell whether clients can connect."""
        return self._server is not None

    async def up(self) -> None:
        """Listen. Port 0 is replaced by the one that was found, and kept from then on."""
        if self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                lambda: _Connection(self._store, self._connections), self._host, self.port
            )
            self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Stop listening and break every connection."""
        if self._server is not None:
            self._server.close()
            for transport in list(self._connections):
                if isinstance(transport, asyncio.Transport):
                    transport.abort()
            await self._server.wait_closed()
            self._server = None
