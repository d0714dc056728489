"""How many members a consumer group has right now, by either group protocol."""

from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from runtime.kafka.client import Properties
from runtime.kafka.errors import translate

_SECONDS: Final = 10.0
#: What the client would log is in the error that we raise, so it keeps to emergencies.
_QUIET: Final = 0


def members_of(properties: Properties, group: str) -> int:
    """Return the number of members; a group that does not exist has none.

    Raises:
        KafkaFault: the brokers do not answer, or refuse.
    """
    client = AdminClient({**properties, "log_level": _QUIET})
    futures = client.describe_consumer_groups([group], request_timeout=_SECONDS)
    try:
        return len(futures[group].result().members)
    except KafkaException as error:
        raise translate(error, str(properties["bootstrap.servers"])) from error
