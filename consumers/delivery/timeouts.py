"""How long a relay may take, phase by phase."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds. The end of data needs RFC 5321's ten minutes: who gives up
    earlier sends the mail twice."""

    connect: float = 10.0
    command: float = 60.0
    end_of_data: float = 600.0
