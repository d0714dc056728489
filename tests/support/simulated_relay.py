"""A relay that answers when it is told to, and remembers which mails it has taken."""

import asyncio
from dataclasses import dataclass
from enum import Enum

from consumers.delivery.message import Message
from retry_topics.failure import (
    Accepted,
    Ambiguous,
    Failure,
    FailureClass,
    Outcome,
    Phase,
    Scope,
)


class Answer(Enum):
    """What becomes of one handing over."""

    ACCEPT = "accepted"
    ACCEPT_IN_SILENCE = "accepted, the reply is on its way"
    NO_SUCH_RECIPIENT = "5.1.1"
    REFUSED = "5.7.1"
    LATER = "4.2.0"
    BLOCKED = "the recipient's domain has us on a block list"
    SPAM = "the content is refused"
    BROKEN = "accepted, and the connection broke before the reply"
    BROKEN_BEFORE = "the connection broke behind the final dot, and nothing was accepted"


NO_SUCH_RECIPIENT = Failure(
    Scope.RECIPIENT,
    FailureClass.PERMANENT,
    Phase.RCPT,
    "5.1.1 no such user",
    "no-such-recipient",
    550,
    "5.1.1",
    bad_address=True,
)
REFUSED = Failure(
    Scope.RECIPIENT, FailureClass.PERMANENT, Phase.RCPT, "5.7.1 no", "refused", 550, "5.7.1"
)
LATER = Failure(
    Scope.RECIPIENT, FailureClass.TRANSIENT, Phase.RCPT, "4.2.0 later", "later", 450, "4.2.0"
)
BLOCKED = Failure(
    Scope.SENDER, FailureClass.TRANSIENT, Phase.RCPT, "blocked by a list", "address-blocked", 554
)
SPAM = Failure(Scope.MESSAGE, FailureClass.PERMANENT, Phase.DOT, "spam", "content-refused", 554)
OUTAGE = Failure(
    Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.CONNECT, "connection refused", "unreachable"
)
_REPLIES: dict[Answer, Outcome] = {
    Answer.ACCEPT: Accepted("250 2.0.0 Ok"),
    Answer.NO_SUCH_RECIPIENT: NO_SUCH_RECIPIENT,
    Answer.REFUSED: REFUSED,
    Answer.LATER: LATER,
    Answer.BLOCKED: BLOCKED,
    Answer.SPAM: SPAM,
    Answer.BROKEN: Ambiguous("connection reset"),
    Answer.BROKEN_BEFORE: Ambiguous("connection reset"),
}
_TAKES = (Answer.ACCEPT, Answer.ACCEPT_IN_SILENCE, Answer.BROKEN)


@dataclass(slots=True, eq=False)
class Handover:
    """One mail on the wire. `taken`: the relay has it; `read`: the worker has its reply."""

    by: object
    mail: str
    reply: "asyncio.Future[Outcome]"
    taken: bool = False
    read: bool = False
    ambiguous: bool = False


class MemoryRelay:
    """The relay that all workers share."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.is_up = True
        #: Cleared while a mail has to wait for its turn.
        self.turn = asyncio.Event()
        self.turn.set()
        #: Those that wait for an answer, in the order in which they came.
        self.waiting: list[Handover] = []
        #: All of which the relay has the mail, in the order in which it took them.
        self.taken: list[Handover] = []
        #: Those that a worker gave up.
        self.given_up: list[Handover] = []

    async def hand_over(self, by: object, message: Message) -> Outcome:
        """Take part in one handing over."""
        if not self.is_up:
            return OUTAGE
        handover = Handover(by, message.message_id, self._loop.create_future())
        self.waiting.append(handover)
        try:
            outcome = await handover.reply
        finally:
            if handover in self.waiting:
                self.waiting.remove(handover)
                self.given_up.append(handover)
        handover.read = isinstance(outcome, Accepted)
        return outcome

    def answer(self, handover: Handover, answer: Answer) -> None:
        """Let one handing over go on. One whose mail was taken can only be accepted or break."""
        if handover.taken and answer is not Answer.BROKEN:
            answer = Answer.ACCEPT
        if answer in _TAKES and not handover.taken:
            handover.taken = True
            self.taken.append(handover)
        if answer is Answer.ACCEPT_IN_SILENCE:
            return
        handover.ambiguous = answer is Answer.BROKEN
        self._reply(handover, _REPLIES[answer])

    def go_down(self) -> None:
        """Answer nobody any more; whoever waits hears of it."""
        self.is_up = False
        for handover in list(self.waiting):
            if handover.taken:
                self.answer(handover, Answer.BROKEN)
            else:
                self._reply(handover, OUTAGE)

    def come_up(self) -> None:
        """Answer again."""
        self.is_up = True

    def _reply(self, handover: Handover, outcome: Outcome) -> None:
        self.waiting.remove(handover)
        if not handover.reply.done():
            handover.reply.set_result(outcome)
