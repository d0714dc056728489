"""A broker that somebody else runs: used as it is, never started, stopped or replaced."""

from console.stack.kafka.broker import BrokerFailed, ManagedBroker
from console.stack.rungs import Kind


class ExternalBroker(ManagedBroker):
    """The Kafka that a setting names."""

    kind = Kind.EXTERNAL
    log = None

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def kill(self) -> None:
        raise BrokerFailed(f"the Kafka at {self.bootstrap} is not ours to end")

    def restart(self) -> None:
        raise BrokerFailed(f"the Kafka at {self.bootstrap} is not ours to restart")

    def exit_code(self) -> int | None:
        return None
