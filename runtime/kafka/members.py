"""How many members a consumer group has right now, by either group protocol."""

from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runtime.kafka.client import Properties
from runtime.kafka.errors import properties_taken, translate

_SECONDS: Final = 10.0
#: What the client would log is in the error that we raise, so it keeps to emergencies.
_QUIET: Final = 0


class Members:
    """Counts a group's members, by one connection that is kept. Thread-safe."""

    def __init__(
        self, properties: Properties, group: str, timeout_seconds: float = _SECONDS
    ) -> None:
        with properties_taken():
            self._client = AdminClient({**properties, "log_level": _QUIET})
        self._address = str(properties["bootstrap.servers"])
        self._group = group
        self._timeout = timeout_seconds

    def count(self) -> int:
        """Return the number of members; a group that does not exist has none.

        Raises:
            KafkaFault: the brokers do not answer, or refuse.
        """
        futures = self._client.describe_consumer_groups(
            [self._group], request_timeout=self._timeout
        )
        try:
            return len(futures[self._group].result().members)
        except KafkaException as error:
            need = f"Describe on the group {self._group}"
            raise translate(error, self._address, need) from error
