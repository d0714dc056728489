"""A span for each mail that is handed to a relay, within the trace of its attempt."""

from collections.abc import Sequence

from consumers.delivery.figures import RelayFigures
from consumers.delivery.message import Message
from consumers.delivery.protocol import Begins, Delivery
from retry_topics.failure import Accepted, Failure, Outcome
from runtime.trace_context import CURRENT
from runtime.tracing import Beginning, Span, SpanKind, Tracer


class TracedDelivery:
    """A `Delivery` to one relay, by its name, that tells of what another hands over."""

    def __init__(self, delivery: Delivery, tracer: Tracer, relay: str) -> None:
        self._delivery = delivery
        self._tracer = tracer
        self._relay = relay

    async def send(self, message: Message, begins: Begins | None = None) -> Outcome:
        """Hand over one mail and say what came of it; see `Delivery.send`."""
        current = CURRENT.get()
        if current is None or not current.sampled:
            return await self._delivery.send(message, begins)
        attributes = {"mailcascade.relay": self._relay}
        beginning = Beginning("deliver", SpanKind.CLIENT, attributes, current)
        with self._tracer.begin(beginning) as span:
            outcome = await self._delivery.send(message, begins)
            _tell(span, outcome)
            return outcome

    def figures(self) -> Sequence[RelayFigures]:
        """Return how the relay stands. From any thread."""
        return self._delivery.figures()

    async def close(self) -> None:
        """Give up every connection."""
        await self._delivery.close()


def _tell(span: Span, outcome: Outcome) -> None:
    if isinstance(outcome, Accepted):
        return
    if not isinstance(outcome, Failure):
        span.tell({"mailcascade.smtp.phase": "dot", "mailcascade.outcome.class": "ambiguous"})
        span.fail("ambiguous")
        return
    told: dict[str, str | int] = {
        "mailcascade.outcome.scope": outcome.scope,
        "mailcascade.outcome.class": outcome.kind,
        "mailcascade.smtp.phase": outcome.phase,
    }
    if outcome.code is not None:
        told["mailcascade.smtp.code"] = outcome.code
    if outcome.enhanced is not None:
        told["mailcascade.smtp.enhanced_code"] = outcome.enhanced
    span.tell(told)
    span.fail(outcome.rule)
