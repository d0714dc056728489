"""What clients and operators ask of a lane: the control topic's records, keyed by lane key."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from schemas.errors import Undecodable
from schemas.framing import framing

KIND: Final = "control_command"


class ControlAction(StrEnum):
    """What can be asked."""

    CANCEL = "cancel"
    DISCARD = "discard"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"


@dataclass(frozen=True, slots=True)
class ControlCommand:
    """One demand. `event_id` for cancel and discard, `address` (normalised) for the other two.

    `tenant` is who asks: it can cancel only mails of its own. Empty is the operator.
    """

    action: ControlAction
    at: int
    event_id: str | None = None
    address: str | None = None
    tenant: str = ""
    by: str = ""
    reason: str = ""


def write_command(command: ControlCommand) -> bytes:
    """Return the command as the control topic holds it."""
    return framing(KIND).write(asdict(command))


def read_command(value: bytes | None) -> ControlCommand:
    """Return the command in a control record's value.

    Raises:
        Undecodable: the bytes are no command, or of an action that this release does not know.
    """
    fields = framing(KIND).read(value)
    if fields["action"] == "unknown":
        raise Undecodable("the command's action is none that this release knows")
    command = ControlCommand(ControlAction(fields.pop("action")), **fields)
    needs_event = command.action in (ControlAction.CANCEL, ControlAction.DISCARD)
    if (command.event_id if needs_event else command.address) is None:
        raise Undecodable(f"the command {command.action} does not say whom it means")
    return command
