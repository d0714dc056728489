"""One SMTP session: hands over mails one after the other, and every failure has its phase.

    connect -> banner -> EHLO -> [STARTTLS -> EHLO] -> [AUTH] -> { MAIL -> RCPT -> DATA -> dot }*

The final dot is the border: a session that breaks before it has delivered nothing, one that breaks
behind it has delivered or not, and nobody knows. Where the relay offers PIPELINING, MAIL, RCPT and
DATA go out in one write, behind the dot of the mail before where another one waits (RFC 2920, 3.1).
"""

from collections.abc import Callable, Sequence
from typing import Final

from consumers.delivery.figures import Stopwatch
from consumers.delivery.message import Message
from consumers.delivery.reply import Reply
from consumers.delivery.reply_parser import RawReply
from consumers.delivery.timeouts import Timeouts
from consumers.delivery.wire import CLOSING, CONNECTION_LOST, TIMEOUT, UNASKED_REPLY, Wire
from retry_topics.failure import (
    Accepted,
    Ambiguous,
    Failure,
    FailureClass,
    Outcome,
    Phase,
    Scope,
)

_START_INPUT: Final = 354
#: These say that the relay is in another state than we are.
_OUT_OF_STEP: Final = frozenset({500, 502, 503})
#: These say that MAIL, which is ours alone, was not understood.
_NOT_UNDERSTOOD: Final = frozenset({501, 504, 555})
_IDLE_TOO_LONG: Final = "4.4.2"
#: Controls, the blank, and what an address stands between.
_UNSAFE: Final = bytes({*range(0x21), 0x7F, *b"<>"})
_ENVELOPE: Final = (Phase.MAIL, Phase.RCPT, Phase.DATA)
#: How a relay refuses a MAIL that came behind a dot, if that is what it minds.
_OVERTAKEN: Final = _OUT_OF_STEP | {554}
#: Behind a larger mail no envelope goes out. A socket whose last mail was answered has room for
#: this at once; of a rest that waits, nobody could tell after a break whether the dot was in it.
_LARGEST_LED: Final = 16 << 10


#: Says what a refusal means, by the rules for this relay.
Classify = Callable[[Reply, Phase], Failure]


class SessionFailed(Exception):
    """The session cannot go on; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.text)
        self.failure = failure


class StaleConnection(Exception):
    """The relay had given the connection up before our first command on it."""


class Overtaken(StaleConnection):
    """The relay does not want to hear an envelope before it has answered the mail before it."""


class Connection:
    """An open session. `reusable` is False from a transaction's start to its orderly end."""

    def __init__(
        self, wire: Wire, timeouts: Timeouts, classify: Classify, watch: Stopwatch
    ) -> None:
        self._wire = wire
        self._watch = watch
        self._timeouts = timeouts
        self.classify = classify
        self._extensions: dict[str, str] = {}
        self._pipelining = False
        self._size_limit = 0
        self._needs_reset = False
        self._announced: Message | None = None
        #: Promises the connection to the mail that comes next and may be announced; None: to none.
        self.promise: Callable[[], Message | None] = lambda: None
        #: What the relay greeted with.
        self.banner = ""
        self.transactions = 0
        self.reusable = True

    @property
    def extensions(self) -> dict[str, str]:
        """What the relay offers: parameters by lower-case keyword."""
        return self._extensions

    @extensions.setter
    def extensions(self, offered: dict[str, str]) -> None:
        self._extensions = offered
        self._pipelining = "pipelining" in offered
        limit = offered.get("size", "")
        self._size_limit = int(limit) if limit.isdecimal() else 0

    @property
    def is_open(self) -> bool:
        """Tell whether the connection stands, as far as is known without asking the relay."""
        return self._wire.stands

    @property
    def announced(self) -> Message | None:
        """The mail whose envelope is out already; only that one may be handed over next."""
        return self._announced

    def may_announce(self, message: Message) -> bool:
        """Tell whether a mail's envelope may go out behind the mail that is being handed over."""
        return self._pipelining and self._refuse_beforehand(message) is None

    @property
    def wire(self) -> Wire:
        """What the session runs on."""
        return self._wire

    async def greeting(self) -> RawReply:
        """Wait for the relay's first words.

        Raises:
            SessionFailed: there were none that could be read.
        """
        return await self._reply(Phase.BANNER)

    async def exchange(self, phase: Phase, *words: bytes) -> RawReply:
        """Send one command and return its reply as it came, whatever it says.

        Raises:
            SessionFailed: there was no reply that could be read.
        """
        self._wire.send(b" ".join(words) + b"\r\n", 1)
        return await self._reply(phase)

    async def command(self, phase: Phase, *words: bytes) -> Reply:
        """Do as `exchange` does, and read the reply."""
        return Reply.of_raw(await self.exchange(phase, *words))

    async def transact(self, message: Message) -> Outcome:
        """Hand over one mail.

        Raises:
            StaleConnection: the connection was used before and is gone; nothing was handed over.
        """
        fresh = self.transactions == 0
        self.transactions += 1
        if self._announced is None:
            refused = self._refuse_beforehand(message)
            if refused is not None:
                return refused
        self.reusable = False
        try:
            began = self._watch.now()
            failure = None
            if not self._is_opened():
                failure = await self._open_transaction(message, fresh)
            self._watch.envelope.add(self._watch.now() - began)
            return failure or await self._hand_over(message)
        except SessionFailed as failed:
            return failed.failure

    def abort(self) -> None:
        """Cut the connection without a word."""
        self._wire.break_off(CONNECTION_LOST, "we cut the connection")

    def quit(self) -> None:
        """Take leave and close, without waiting for the answer."""
        self._wire.leave()

    async def wait_closed(self, seconds: float) -> None:
        """Wait until the connection is gone, and cut it if that takes too long."""
        await self._wire.wait_closed(seconds)

    async def _reply(self, phase: Phase) -> RawReply:
        replies = await self._wire.receive(1, self._timeouts.command)
        if not replies:
            raise broken(phase, self._wire)
        return replies[0]

    def _refuse_beforehand(self, message: Message) -> Failure | None:
        mailboxes = (message.envelope_from + message.envelope_to).encode("utf-8", "replace")
        if len(mailboxes.translate(None, _UNSAFE)) != len(mailboxes):
            return _unfit("an envelope address holds characters that end it", "unsafe-address")
        if message.needs_smtputf8 and "smtputf8" not in self._extensions:
            text = "an address is not ASCII, and the relay does not offer SMTPUTF8"
            return _unfit(text, "smtputf8-missing")
        if "8bitmime" not in self._extensions and not message.content.isascii():
            text = "the mail holds 8-bit bytes, and the relay does not offer 8BITMIME"
            return _unfit(text, "8bitmime-missing")
        if 0 < self._size_limit < len(message.content):
            text = f"the mail has {len(message.content)} bytes; the relay takes {self._size_limit}"
            return _unfit(text, "size-limit")
        return None

    def _envelope(self, message: Message) -> tuple[bytes, bytes, bytes]:
        """Return MAIL, RCPT and DATA with the parameters that this mail needs."""
        size = b" SIZE=%d" % len(message.content) if "size" in self._extensions else b""
        body = b"" if message.content.isascii() else b" BODY=8BITMIME"
        utf8 = b" SMTPUTF8" if message.needs_smtputf8 else b""
        return (
            b"MAIL FROM:<%b>%b%b%b\r\n" % (message.envelope_from.encode(), size, body, utf8),
            b"RCPT TO:<%b>\r\n" % message.envelope_to.encode(),
            b"DATA\r\n",
        )

    def _is_opened(self) -> bool:
        """Take the replies to an envelope that is out, if they are here and all is well."""
        if self._announced is None:
            return False
        replies = self._wire.here(len(_ENVELOPE))
        if replies is None or not _is_open(*replies):
            return False
        self._wire.take(len(_ENVELOPE))
        self._announced = None
        return True

    async def _open_transaction(self, message: Message, fresh: bool) -> Failure | None:
        """Send MAIL, RCPT and DATA; None: the relay waits for the content."""
        if self._needs_reset:
            replies = await self._ask([b"RSET\r\n"])
            if not replies or not _is_positive(replies[0]):
                raise StaleConnection
            self._needs_reset, fresh = False, True
        if self._announced is not None:
            replies = await self._hear_of_announced()
        elif self._pipelining:
            replies = await self._ask(self._envelope(message))
        else:
            replies = []
            for command in self._envelope(message):
                replies += await self._ask([command])
                if not replies or not _is_positive(replies[-1]):
                    break
        if len(replies) == len(_ENVELOPE) and _is_open(*replies):
            return None
        if not fresh and self._is_stale(replies):
            raise StaleConnection
        return await self._not_opened(replies)

    async def _hear_of_announced(self) -> list[RawReply]:
        self._announced = None
        count, seconds = len(_ENVELOPE), self._timeouts.command
        replies = await self._wire.receive(count, seconds)
        fault = self._wire.fault
        if replies and replies[0].code in _OVERTAKEN:
            raise Overtaken
        if not replies and fault is not None and fault.rule == TIMEOUT:
            raise Overtaken
        return replies

    async def _ask(self, commands: Sequence[bytes]) -> list[RawReply]:
        self._wire.send(b"".join(commands), len(commands))
        return await self._wire.receive(len(commands), self._timeouts.command)

    def _is_stale(self, replies: list[RawReply]) -> bool:
        """Tell by the answer to the first command whether the session had ended before it."""
        if not replies:
            return self._wire.fault is not None and self._wire.fault.rule == CONNECTION_LOST
        first = replies[0]
        return first.code == CLOSING or Reply.of_raw(first).enhanced == _IDLE_TOO_LONG

    async def _not_opened(self, replies: list[RawReply]) -> Failure:
        """Return the first refusal, and bring the session back to where a mail may begin."""
        for phase, raw in zip(_ENVELOPE, replies, strict=False):
            if _is_positive(raw) and phase is not Phase.DATA:
                continue
            failure = self._refused(Reply.of_raw(raw), phase)
            if self.reusable:
                await self._clear(phase, replies)
            return failure
        raise broken(_ENVELOPE[len(replies)], self._wire)

    async def _clear(self, refused: Phase, replies: list[RawReply]) -> None:
        """End a transaction of which a part was refused."""
        if len(replies) == len(_ENVELOPE) and replies[-1].code == _START_INPUT:
            # The relay waits for a mail that has no recipient: this one is empty, and ends.
            self.reusable = False
            answered = await self._ask([b".\r\n"])
            self.reusable = bool(answered) and answered[0].code != CLOSING and self.is_open
        elif refused is not Phase.MAIL:
            self._needs_reset = True

    async def _hand_over(self, message: Message) -> Outcome:
        wire = self._wire
        if wire.fault is not None:
            raise broken(Phase.DATA, wire)
        began = self._watch.now()
        content = message.wire_form()
        envelope = self._announce() if len(content) <= _LARGEST_LED else b""
        replies_due = 1 + len(_ENVELOPE) if envelope else 1
        wire.send(content + envelope, replies_due, tail=len(envelope))
        if wire.unsent:
            await wire.make_room(self._timeouts.command)
        replies = await wire.receive(1, self._timeouts.end_of_data)
        if not replies:
            # With an envelope behind it, the mail may be out although not all is.
            if wire.unsent and not envelope:
                raise broken(Phase.DATA, wire)
            return Ambiguous(f"no reply to the end of the mail: {_why(wire)}")
        self._watch.dot.add(self._watch.now() - began)
        (raw,) = replies
        if _is_positive(raw) and not wire.answered_early:
            self.reusable = wire.stands
            return Accepted(_accepted(raw))
        return self._not_accepted(Reply.of_raw(raw))

    def _announce(self) -> bytes:
        """Return the envelope of the mail that comes next; nothing where there is none."""
        if not self._pipelining:
            return b""
        self._announced = self.promise()
        return b"".join(self._envelope(self._announced)) if self._announced is not None else b""

    def _not_accepted(self, reply: Reply) -> Failure | Ambiguous:
        wire = self._wire
        early = wire.answered_early
        if early:
            wire.break_off(UNASKED_REPLY, f"answered before the mail was out: {reply}")
        if reply.code >= 400:
            return self._refused(reply, Phase.DOT)
        if early or (wire.unsent and self._announced is None):
            raise broken(Phase.DATA, wire)
        return Ambiguous(f"the end of the mail was answered out of step: {reply}")

    def _refused(self, reply: Reply, phase: Phase) -> Failure:
        """Classify a refusal; the session goes on unless the relay ends it or is out of step."""
        failure = self.classify(reply, phase)
        in_step = 400 <= reply.code < 600 and reply.code not in _OUT_OF_STEP
        if phase is Phase.MAIL and reply.code in _NOT_UNDERSTOOD:
            in_step = False
        self.reusable = in_step and reply.code != CLOSING and self.is_open
        return failure


def broken(phase: Phase, wire: Wire) -> SessionFailed:
    """Return the failure of a session that broke in a phase, before any final dot."""
    rule = wire.fault.rule if wire.fault else CONNECTION_LOST
    return SessionFailed(Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, phase, _why(wire), rule))


def _why(wire: Wire) -> str:
    return wire.fault.text if wire.fault else "the session is over"


def _unfit(text: str, rule: str) -> Failure:
    return Failure(Scope.MESSAGE, FailureClass.PERMANENT, Phase.MAIL, text, rule)


def _is_positive(reply: RawReply) -> bool:
    return 200 <= reply.code < 300


def _is_open(mail: RawReply, rcpt: RawReply, data: RawReply) -> bool:
    return _is_positive(mail) and _is_positive(rcpt) and data.code == _START_INPUT


def _accepted(raw: RawReply) -> str:
    """Return what the ledger keeps. Most replies are short and plain, and stay as they are."""
    text = raw.text.decode("utf-8", "surrogateescape")
    if len(text) <= 400 and text.isascii() and text.isprintable():
        return f"{raw.code} {text}".rstrip()
    return str(Reply.of_raw(raw))
