"""What every broker of the stack can do, whichever rung it stands on."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from console.stack.rungs import Kind

READY_SECONDS: Final = 90.0


class BrokerFailed(RuntimeError):
    """The broker did not start, or did not answer; the message carries its last log lines."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a broker keeps its files and listens. Without a port, free ones are taken."""

    directory: Path
    port: int | None = None


class KafkaBroker(Protocol):
    """A broker that the caller owns, as a context manager that starts and stops it."""

    @property
    def kind(self) -> Kind:
        """The rung it stands on."""

    @property
    def bootstrap(self) -> str:
        """What clients connect to; the same after a restart."""

    @property
    def log(self) -> Path | None:
        """The file with its output, None where it is not on this machine."""

    def start(self) -> None:
        """Return once it answers a metadata request; raises `BrokerFailed`."""

    def stop(self) -> None:
        """End it in order. Its data stays for the next start."""

    def kill(self) -> None:
        """End it as a crash would."""

    def restart(self) -> None:
        """Stop it and start it on the same port with the same data."""

    def exit_code(self) -> int | None:
        """Return how it ended by itself, None while it runs or where that is not ours to know."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class ManagedBroker(ABC):
    """The part that brokers share: restart, and start and stop as a context manager."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    def restart(self) -> None:
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
