"""Opens sessions with a relay: TCP, TLS, greeting, EHLO, STARTTLS, AUTH, each its own phase."""

import asyncio
import socket
import ssl
from base64 import b64encode
from typing import Final

from aiosmtplib.errors import SMTPException, SMTPResponseException
from aiosmtplib.protocol import SMTPProtocol

from consumers.delivery.connection import Connection, SessionFailed, Timeouts, broken
from consumers.delivery.endpoint import Credentials, RelayEndpoint, Security
from consumers.delivery.outcome import classify
from consumers.delivery.reply import Reply
from retry_topics.failure import Failure, FailureClass, Phase, Scope

_GREETING: Final = 220
_AUTHENTICATED: Final = 235
_CHALLENGE: Final = 334
_NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)})


class SessionOpener:
    """Opens sessions with one relay. Never in clear text unless the endpoint says so."""

    def __init__(self, endpoint: RelayEndpoint, timeouts: Timeouts) -> None:
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._tls: ssl.SSLContext | None = None

    async def open(self) -> Connection:
        """Return a connection that is ready for a mail.

        Raises:
            SessionFailed: the relay cannot be reached, trusted or logged in to.
        """
        tls = await self._tls_context()
        lost = asyncio.Event()
        protocol = await self._connect(tls, lost)
        connection = Connection(protocol, lost, self._timeouts)
        try:
            await self._greet(protocol)
            await self._introduce(connection, protocol)
            if self._endpoint.security is Security.STARTTLS and tls is not None:
                await self._start_tls(connection, protocol, tls)
                await self._introduce(connection, protocol)
            if self._endpoint.credentials is not None:
                await _log_in(connection, self._endpoint.credentials)
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _tls_context(self) -> ssl.SSLContext | None:
        if self._endpoint.security is Security.CLEAR:
            return None
        if self._tls is None:
            # Reading the authorities takes tens of milliseconds, so the loop goes on meanwhile.
            try:
                self._tls = await asyncio.to_thread(
                    ssl.create_default_context, cafile=self._endpoint.ca_file
                )
            except OSError as error:
                text = f"the file of certificate authorities cannot be used: {error}"
                raise _failed(Phase.CONNECT, text, "bad-ca-file", FailureClass.CONFIG) from error
        return self._tls

    async def _connect(self, tls: ssl.SSLContext | None, lost: asyncio.Event) -> SMTPProtocol:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeouts.connect):
                _, protocol = await loop.create_connection(
                    lambda: SMTPProtocol(loop, lambda _: lost.set()),
                    self._endpoint.host,
                    self._endpoint.port,
                    ssl=tls if self._endpoint.security is Security.TLS else None,
                )
        except TimeoutError as error:
            text = f"{self._endpoint} did not answer within {self._timeouts.connect:g} s"
            raise _failed(Phase.CONNECT, text, "timeout") from error
        except OSError as error:
            raise self._unreachable(error) from error
        return protocol

    def _unreachable(self, error: OSError) -> SessionFailed:
        if isinstance(error, ssl.SSLError):
            return _tls_failed(Phase.CONNECT, error)
        text = f"{self._endpoint} cannot be reached: {error}"
        if isinstance(error, socket.gaierror):
            unknown = error.errno in _NO_SUCH_NAME
            kind = FailureClass.CONFIG if unknown else FailureClass.TRANSIENT
            return _failed(Phase.CONNECT, text, "name-lookup", kind)
        return _failed(Phase.CONNECT, text, "unreachable")

    async def _greet(self, protocol: SMTPProtocol) -> None:
        try:
            response = await protocol.read_response(timeout=self._timeouts.command)
        except SMTPException as error:
            raise SessionFailed(broken(Phase.BANNER, error)) from error
        if response.code != _GREETING:
            reply = Reply.of(response.code, response.message)
            raise SessionFailed(classify(reply, Phase.BANNER))

    async def _introduce(self, connection: Connection, protocol: SMTPProtocol) -> None:
        """Say EHLO, and HELO once to a relay that refuses it."""
        name = (self._endpoint.helo or _address_literal(protocol)).encode("ascii")
        response = await connection.exchange(Phase.EHLO, b"EHLO", name)
        connection.extensions = {}
        if 200 <= response.code < 300:
            connection.extensions = _extensions(response.message)
            return
        refusal = SessionFailed(classify(Reply.of(response.code, response.message), Phase.EHLO))
        if response.code < 500:
            raise refusal
        try:
            reply = await connection.command(Phase.EHLO, b"HELO", name)
        except SessionFailed as failed:
            raise refusal from failed
        if not 200 <= reply.code < 300:
            raise refusal

    async def _start_tls(
        self, connection: Connection, protocol: SMTPProtocol, tls: ssl.SSLContext
    ) -> None:
        if "starttls" not in connection.extensions:
            text = f"{self._endpoint} does not offer STARTTLS; mail never goes out in clear text"
            raise _failed(Phase.STARTTLS, text, "starttls-missing", FailureClass.CONFIG)
        try:
            await protocol.start_tls(tls, self._endpoint.host, self._timeouts.command)
        except SMTPResponseException as error:
            reply = Reply.of(error.code, error.message)
            raise SessionFailed(classify(reply, Phase.STARTTLS)) from error
        except SMTPException as error:
            raise SessionFailed(broken(Phase.STARTTLS, error)) from error
        except ssl.SSLError as error:
            raise _tls_failed(Phase.STARTTLS, error) from error


async def _log_in(connection: Connection, credentials: Credentials) -> None:
    """Authenticate by PLAIN or LOGIN, whichever the relay offers, in this order."""
    offered = connection.extensions.get("auth", "").upper().split()
    user, password = credentials.username.encode(), credentials.password.encode()
    if "PLAIN" in offered:
        proof = b64encode(b"\0%b\0%b" % (user, password))
        reply = await connection.command(Phase.AUTH, b"AUTH", b"PLAIN", proof)
    elif "LOGIN" in offered:
        reply = await connection.command(Phase.AUTH, b"AUTH", b"LOGIN", b64encode(user))
        if reply.code == _CHALLENGE:
            reply = await connection.command(Phase.AUTH, b64encode(password))
    else:
        text = "the relay offers neither AUTH PLAIN nor AUTH LOGIN, and there are credentials"
        raise _failed(Phase.AUTH, text, "auth-missing", FailureClass.CONFIG)
    if reply.code != _AUTHENTICATED:
        raise SessionFailed(classify(reply, Phase.AUTH))


def _extensions(lines: str) -> dict[str, str]:
    """Return what an EHLO reply offers, parameters by lower-case keyword."""
    extensions: dict[str, str] = {}
    for line in lines.splitlines()[1:]:
        # Some relays write AUTH=PLAIN, as in the days before the standard.
        keyword, _, parameters = line.strip().replace("=", " ", 1).partition(" ")
        extensions.setdefault(keyword.lower(), parameters)
    return extensions


def _address_literal(protocol: SMTPProtocol) -> str:
    """Return our own end of the connection as RFC 5321 writes it: [192.0.2.1], [IPv6:2001:db8::1].

    It is what a client without a name of its own greets with, and its syntax is always right.
    """
    transport = protocol.transport
    name = transport.get_extra_info("sockname") if transport is not None else None
    host = str(name[0]).partition("%")[0] if name else "127.0.0.1"
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"


def _tls_failed(phase: Phase, error: ssl.SSLError) -> SessionFailed:
    """A certificate that does not convince, or no TLS at all, stays so until a person acts."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _failed(phase, f"TLS failed: {error}", "certificate-refused", FailureClass.CONFIG)
    if error.reason == "WRONG_VERSION_NUMBER":
        return _failed(phase, f"TLS failed: {error}", "tls-not-spoken", FailureClass.CONFIG)
    return _failed(phase, f"TLS failed: {error}", "tls-failed")


def _failed(
    phase: Phase, text: str, rule: str, kind: FailureClass = FailureClass.TRANSIENT
) -> SessionFailed:
    return SessionFailed(Failure(Scope.ENDPOINT, kind, phase, text, rule))
