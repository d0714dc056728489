"""From a record's bytes to its event; where the registry has to be asked, through an outage."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from consumers.mailer.gate import Answered, Out, Pass, RegistryGate
from retry_topics.failure import Failure, FailureClass, Phase, Scope
from schemas.codec import EventCodec
from schemas.errors import RegistryUnavailable, Undecodable
from schemas.events import SignupEvent

_CONFLUENT_MAGIC: Final = b"\x00"


class Decoder:
    """Decodes events. A registry that does not answer is waited for; it is no fault of a record."""

    def __init__(self, codec: EventCodec, gate: RegistryGate) -> None:
        self._codec = codec
        self._gate = gate

    def decode(self, value: bytes | None) -> SignupEvent | Awaitable[SignupEvent]:
        """Return the event, or where the registry may have to be asked what to wait for.

        Raises:
            Undecodable: the bytes are none.
            UnknownSchema: nobody knows the schema that they name.
        """
        if value is None:
            raise Undecodable("the record has no value")
        if not value.startswith(_CONFLUENT_MAGIC):
            return self._codec.decode(value)
        return self._gate.through(lambda: self._registered(value))

    async def _registered(self, value: bytes) -> Pass[SignupEvent]:
        """Decode what names a schema of the registry, which may have to be asked."""
        try:
            return Answered(await asyncio.to_thread(self._codec.decode, value))
        except RegistryUnavailable as error:
            text, rule = str(error), "registry-unavailable"
            failure = Failure(Scope.ENDPOINT, FailureClass.TRANSIENT, Phase.DECODE, text, rule)
            return Out(failure)
