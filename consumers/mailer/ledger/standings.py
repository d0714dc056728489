"""How a standing is packed in a lane's store: 17 bytes."""

from struct import Struct, error
from typing import Final

from consumers.mailer.ledger.faults import StoreBroken
from schemas.ledger import OWNER_BYTES, Standing
from schemas.mail_states import MailState

#: Generation, step and attempts have so many bits each and no sign.
NUMBER_BITS: Final = 32

_PACKED: Final = Struct(f"<BIII{OWNER_BYTES}s")
_STATES: Final = tuple(MailState)
_NUMBERS: Final = {state: number for number, state in enumerate(_STATES)}


def pack(standing: Standing) -> bytes:
    """Return the standing as it is stored; its numbers fit into `NUMBER_BITS`."""
    return _PACKED.pack(
        _NUMBERS[standing.state],
        standing.generation,
        standing.step,
        standing.attempts,
        standing.owner,
    )


def unpack(packed: bytes) -> Standing:
    """Return the standing that was stored.

    Raises:
        StoreBroken: nothing of ours is packed like this.
    """
    try:
        state, generation, step, attempts, owner = _PACKED.unpack(packed)
        return Standing(_STATES[state], generation, step, attempts, owner)
    except (IndexError, error) as fault:
        raise StoreBroken(f"{len(packed)} bytes are no standing") from fault
