"""One SMTP session, driven command by command so that every failure has its phase.

    connect -> banner -> EHLO -> [STARTTLS -> EHLO] -> [AUTH] -> { MAIL -> RCPT -> DATA -> dot }*

The final dot is the border: a session that breaks before it has delivered nothing, one that breaks
behind it has delivered or not, and nobody knows.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Final, cast

from aiosmtplib.errors import (
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from consumers.delivery.message import Message
from consumers.delivery.outcome import classify
from consumers.delivery.reply import Reply
from retry_topics.failure import (
    Accepted,
    Ambiguous,
    Failure,
    FailureClass,
    Outcome,
    Phase,
    Scope,
)

_CLOSING: Final = 421
_START_INPUT: Final = 354
_UNSAFE_MAILBOX: Final = re.compile(r"[\x00-\x20\x7f<>]")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds. The end of data needs RFC 5321's ten minutes: who gives up
    earlier sends the mail twice."""

    connect: float = 10.0
    command: float = 60.0
    end_of_data: float = 600.0


class SessionFailed(Exception):
    """The session cannot go on; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class StaleConnection(Exception):
    """The relay had given the connection up before our first command on it."""


class Connection:
    """An open session. `reusable` is False from a transaction's start to its orderly end."""

    def __init__(self, protocol: SMTPProtocol, lost: asyncio.Event, timeouts: Timeouts) -> None:
        """`lost` is set when the protocol loses its transport."""
        self._protocol = protocol
        self._lost = lost
        self._timeouts = timeouts
        self._needs_reset = False
        self.extensions: dict[str, str] = {}
        self.transactions = 0
        self.reusable = True

    @property
    def is_open(self) -> bool:
        """Tell whether the connection stands, as far as is known without asking the relay."""
        return self._protocol.is_connected

    async def exchange(self, phase: Phase, *words: bytes) -> SMTPResponse:
        """Send one command and return its reply as it came, whatever it says.

        Raises:
            SessionFailed: there was no reply that could be read.
        """
        try:
            return await self._protocol.execute_command(*words, timeout=self._timeouts.command)
        except SMTPException as error:
            raise SessionFailed(broken(phase, error)) from error

    async def command(self, phase: Phase, *words: bytes) -> Reply:
        """Do as `exchange` does, and read the reply."""
        response = await self.exchange(phase, *words)
        return Reply.of(response.code, response.message)

    async def transact(self, message: Message) -> Outcome:
        """Hand over one mail.

        Raises:
            StaleConnection: the connection was used before and is gone; nothing was handed over.
        """
        fresh = self.transactions == 0
        self.transactions += 1
        self.reusable = False
        refused = self._refuse_beforehand(message)
        if refused is not None:
            self.reusable = True
            return refused
        try:
            if (failure := await self._open_transaction(message, fresh)) is not None:
                return failure
            return await self._hand_over(message)
        except SessionFailed as failed:
            return failed.failure

    def abort(self) -> None:
        """Cut the connection without a word."""
        # uvloop's transports are no subclasses of asyncio's, though they do as they do.
        transport = cast(asyncio.WriteTransport | None, self._protocol.transport)
        if transport is not None:
            transport.abort()

    def quit(self) -> None:
        """Take leave and close, without waiting for the answer."""
        try:
            self._protocol.write(b"QUIT\r\n")
        except SMTPServerDisconnected:
            return
        if self._protocol.transport is not None:
            self._protocol.transport.close()

    async def wait_closed(self, seconds: float) -> None:
        """Wait until the connection is gone, and cut it if that takes too long."""
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            self.abort()

    def _refuse_beforehand(self, message: Message) -> Failure | None:
        if _UNSAFE_MAILBOX.search(message.envelope_from + message.envelope_to):
            return _unfit("an envelope address holds characters that end it", "unsafe-address")
        if message.needs_smtputf8 and "smtputf8" not in self.extensions:
            text = "an address is not ASCII, and the relay does not offer SMTPUTF8"
            return _unfit(text, "smtputf8-missing")
        limit = self.extensions.get("size", "")
        if limit.isdecimal() and 0 < int(limit) < len(message.content):
            text = f"the mail has {len(message.content)} bytes; the relay takes {limit}"
            return _unfit(text, "size-limit")
        return None

    async def _open_transaction(self, message: Message, fresh: bool) -> Failure | None:
        """Send MAIL, RCPT and DATA; None: the relay waits for the content."""
        options = [b"SIZE=%d" % len(message.content)] if "size" in self.extensions else []
        if message.needs_smtputf8:
            options += [b"BODY=8BITMIME", b"SMTPUTF8"]
        if self._needs_reset:
            await self._first(fresh, Phase.MAIL, b"RSET")
            self._needs_reset, fresh = False, True
        sender = b"FROM:<%b>" % message.envelope_from.encode()
        reply = await self._first(fresh, Phase.MAIL, b"MAIL", sender, *options)
        if not _is_positive(reply):
            return self._refused(reply, Phase.MAIL)
        reply = await self.command(Phase.RCPT, b"RCPT", b"TO:<%b>" % message.envelope_to.encode())
        if not _is_positive(reply):
            self._needs_reset = True
            return self._refused(reply, Phase.RCPT)
        reply = await self.command(Phase.DATA, b"DATA")
        if reply.code != _START_INPUT:
            self._needs_reset = True
            return self._refused(reply, Phase.DATA)
        return None

    async def _first(self, fresh: bool, phase: Phase, *words: bytes) -> Reply:
        """Send the first command of a transaction, which finds out whether the session stands."""
        try:
            reply = await self.command(phase, *words)
        except SessionFailed as failed:
            gone = isinstance(failed.__cause__, SMTPServerDisconnected)
            if gone and not fresh:
                raise StaleConnection from failed
            raise
        if not fresh and (reply.code == _CLOSING or reply.enhanced == "4.4.2"):
            raise StaleConnection
        return reply

    async def _hand_over(self, message: Message) -> Outcome:
        try:
            self._protocol.write(message.wire_form())
        except SMTPServerDisconnected as error:
            raise SessionFailed(broken(Phase.DATA, error)) from error
        try:
            response = await self._protocol.read_response(timeout=self._timeouts.end_of_data)
        except SMTPException as error:
            return Ambiguous(f"no reply to the end of the mail: {error.message}")
        reply = Reply.of(response.code, response.message)
        if _is_positive(reply):
            self.reusable = True
            return Accepted(str(reply))
        if reply.code < 400:
            return Ambiguous(f"the end of the mail was answered out of step: {reply}")
        return self._refused(reply, Phase.DOT)

    def _refused(self, reply: Reply, phase: Phase) -> Failure:
        """Classify a refusal; the session goes on unless the relay ends it or is out of step."""
        failure = classify(reply, phase)
        in_step = 400 <= reply.code < 600 and reply.code not in (_CLOSING, 500, 502, 503)
        self.reusable = in_step and self.is_open
        return failure


def broken(phase: Phase, error: SMTPException) -> Failure:
    """Return the failure of a session that broke in a phase, before any final dot."""
    if isinstance(error, SMTPTimeoutError):
        rule = "timeout"
    elif isinstance(error, SMTPResponseException):
        rule = "garbled-reply"
    else:
        rule = "connection-lost"
    text = Reply.of(0, error.message).text
    return Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, phase, text, rule)


def _unfit(text: str, rule: str) -> Failure:
    return Failure(Scope.MESSAGE, FailureClass.PERMANENT, Phase.MAIL, text, rule)


def _is_positive(reply: Reply) -> bool:
    return 200 <= reply.code < 300
