"""Opens sessions with one relay: TCP, TLS, greeting, EHLO, STARTTLS, AUTH, each its own phase."""

import asyncio
import socket
import ssl
from dataclasses import replace
from typing import Final

from consumers.delivery.connection import Classify, Connection, SessionFailed, broken
from consumers.delivery.endpoint import Credentials, RelayEndpoint, Security
from consumers.delivery.figures import Stopwatch
from consumers.delivery.login import CredentialsRefused, log_in
from consumers.delivery.passwords import PasswordFile, PasswordUnavailable
from consumers.delivery.reply import Reply
from consumers.delivery.timeouts import Timeouts
from consumers.delivery.tokens import TokenSource, TokenUnavailable
from consumers.delivery.wire import CONNECTION_LOST, TIMEOUT, UNASKED_REPLY, Wire
from retry_topics.failure import Failure, FailureClass, Phase, Scope

_GREETING: Final = 220
_NO_SUCH_NAME: Final = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", -5)})


class SessionOpener:
    """Opens sessions with one relay. Never in clear text unless the endpoint says so."""

    def __init__(
        self, endpoint: RelayEndpoint, timeouts: Timeouts, classify: Classify, watch: Stopwatch
    ) -> None:
        self._endpoint = endpoint
        self._watch = watch
        self._classify = classify
        self._timeouts = timeouts
        self._tls: ssl.SSLContext | None = None
        credentials = endpoint.credentials
        origin = credentials.token if credentials is not None else None
        self._tokens = TokenSource(origin) if origin is not None else None
        relay = f"{endpoint.host}:{endpoint.port}"
        file = credentials.password_file if credentials is not None else None
        self._passwords = PasswordFile(file, relay) if file is not None else None

    async def open(self) -> Connection:
        """Return a connection that is ready for a mail.

        A token that the relay refuses is fetched anew once, because they end by the hour.

        Raises:
            SessionFailed: the relay cannot be reached, trusted or logged in to.
        """
        credentials, token = await self._credentials(), await self._token()
        try:
            return await self._open(credentials, token)
        except CredentialsRefused:
            if self._tokens is None:
                raise
            self._tokens.forget(token)
            return await self._open(credentials, await self._token())

    async def _credentials(self) -> Credentials | None:
        credentials = self._endpoint.credentials
        if credentials is None or self._passwords is None:
            return credentials
        try:
            return replace(credentials, password=await self._passwords.get())
        except PasswordUnavailable as error:
            raise _no_secret(error, "password-unavailable") from error

    async def _token(self) -> str:
        if self._tokens is None:
            return ""
        try:
            return await self._tokens.get()
        except TokenUnavailable as error:
            raise _no_secret(error, "token-unavailable") from error

    async def _open(self, credentials: Credentials | None, token: str) -> Connection:
        tls = await self._tls_context()
        began = self._watch.now()
        wire = await self._connect(tls)
        connection = Connection(wire, self._timeouts, self._classify, self._watch)
        try:
            await self._greet(connection)
            await self._introduce(connection)
            if self._endpoint.security is Security.STARTTLS and tls is not None:
                await self._start_tls(connection, tls)
                await self._introduce(connection)
            if credentials is not None:
                await log_in(connection, credentials, token)
        except BaseException:
            connection.abort()
            raise
        self._watch.session.add(self._watch.now() - began)
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

    async def _connect(self, tls: ssl.SSLContext | None) -> Wire:
        try:
            async with asyncio.timeout(self._timeouts.connect):
                _, wire = await asyncio.get_running_loop().create_connection(
                    Wire,
                    self._endpoint.host,
                    self._endpoint.port,
                    ssl=tls if self._endpoint.security is Security.TLS else None,
                )
        except TimeoutError as error:
            text = f"{self._endpoint} did not answer within {self._timeouts.connect:g} s"
            raise _failed(Phase.CONNECT, text, TIMEOUT) from error
        except OSError as error:
            raise self._unreachable(error) from error
        return wire

    def _unreachable(self, error: OSError) -> SessionFailed:
        if isinstance(error, ssl.SSLError):
            return _tls_failed(Phase.CONNECT, error)
        text = f"{self._endpoint} cannot be reached: {error}"
        if isinstance(error, socket.gaierror):
            unknown = error.errno in _NO_SUCH_NAME
            kind = FailureClass.CONFIG if unknown else FailureClass.TRANSIENT
            return _failed(Phase.CONNECT, text, "name-lookup", kind)
        return _failed(Phase.CONNECT, text, "unreachable")

    async def _greet(self, connection: Connection) -> None:
        raw = await connection.greeting()
        if raw.code != _GREETING:
            raise SessionFailed(self._classify(Reply.of_raw(raw), Phase.BANNER))
        connection.banner = Reply.of_raw(raw).text

    async def _introduce(self, connection: Connection) -> None:
        """Say EHLO, and HELO once to a relay that refuses it."""
        name = (self._endpoint.helo or _address_literal(connection.wire)).encode("ascii")
        raw = await connection.exchange(Phase.EHLO, b"EHLO", name)
        connection.extensions = {}
        if 200 <= raw.code < 300:
            connection.extensions = _extensions(raw.text)
            return
        refusal = SessionFailed(self._classify(Reply.of_raw(raw), Phase.EHLO))
        if raw.code < 500:
            raise refusal
        try:
            reply = await connection.command(Phase.EHLO, b"HELO", name)
        except SessionFailed as failed:
            raise refusal from failed
        if not 200 <= reply.code < 300:
            raise refusal

    async def _start_tls(self, connection: Connection, tls: ssl.SSLContext) -> None:
        if "starttls" not in connection.extensions:
            text = f"{self._endpoint} does not offer STARTTLS; mail never goes out in clear text"
            raise _failed(Phase.STARTTLS, text, "starttls-missing", FailureClass.CONFIG)
        reply = await connection.command(Phase.STARTTLS, b"STARTTLS")
        if reply.code != _GREETING:
            raise SessionFailed(self._classify(reply, Phase.STARTTLS))
        wire = connection.wire
        if wire.fault is not None:
            # Whoever is in between may have put words in clear text behind the relay's answer.
            rule = "starttls-injected" if wire.fault.rule == UNASKED_REPLY else wire.fault.rule
            raise _failed(Phase.STARTTLS, wire.fault.text, rule)
        try:
            async with asyncio.timeout(self._timeouts.command):
                transport = await asyncio.get_running_loop().start_tls(
                    wire.transport, wire, tls, server_hostname=self._endpoint.host
                )
        except TimeoutError as error:
            text = f"no TLS handshake within {self._timeouts.command:g} s"
            raise _failed(Phase.STARTTLS, text, TIMEOUT) from error
        except ssl.SSLError as error:
            raise _tls_failed(Phase.STARTTLS, error) from error
        except OSError as error:
            text = f"the TLS handshake broke: {error}"
            raise _failed(Phase.STARTTLS, text, CONNECTION_LOST) from error
        if transport is None:
            raise broken(Phase.STARTTLS, wire)
        wire.upgraded(transport)


def _extensions(lines: bytes) -> dict[str, str]:
    """Return what an EHLO reply offers, parameters by lower-case keyword."""
    extensions: dict[str, str] = {}
    for line in lines.decode("ascii", "replace").split("\n")[1:]:
        # Some relays write AUTH=PLAIN, as in the days before the standard.
        keyword, _, parameters = line.strip().replace("=", " ", 1).partition(" ")
        extensions.setdefault(keyword.lower(), parameters)
    return extensions


def _address_literal(wire: Wire) -> str:
    """Return our own end of the connection as RFC 5321 writes it: [192.0.2.1], [IPv6:2001:db8::1].

    It is what a client without a name of its own greets with, and its syntax is always right.
    """
    name = wire.transport.get_extra_info("sockname")
    host = str(name[0]).partition("%")[0] if name else "127.0.0.1"
    return f"[IPv6:{host}]" if ":" in host else f"[{host}]"


def _no_secret(error: Exception, rule: str) -> SessionFailed:
    return SessionFailed(Failure(Scope.SENDER, FailureClass.CONFIG, Phase.AUTH, str(error), rule))


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
