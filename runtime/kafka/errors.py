"""What can go wrong between us and Kafka.

::

    KafkaFault
    ├── KafkaUnreachable    nobody answers at the address, or not in time
    ├── KafkaRefused        a broker answered, and said no for good
    │   ├── KafkaDenied     the credentials may not do this: an ACL is missing
    │   └── TopicMissing    a topic does not exist
    └── KafkaRetriable      a broker answered that now is not the time

A `KafkaFault` is about Kafka, never about a record: whoever meets one keeps the record.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from confluent_kafka import KafkaError, KafkaException


class KafkaFault(Exception):
    """Root of the tree. `code` is Kafka's own name of the error."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class KafkaUnreachable(KafkaFault):
    """Nobody answers at `address`; `hint` says what to look at."""

    def __init__(self, address: str, hint: str, code: str = "") -> None:
        super().__init__(f"no Kafka answers at {address}: {hint}", code)
        self.address = address
        self.hint = hint


class KafkaRefused(KafkaFault):
    """A broker answered, and asking again would not help."""


class KafkaDenied(KafkaRefused):
    """The brokers know who we are, and do not let us; the message names the ACL (`denial`)."""


class TopicMissing(KafkaRefused):
    """The topic or partition does not exist."""

    @classmethod
    def named(cls, *topics: str) -> Self:
        """Return the error about these topics, with what to do about it."""
        return cls(
            f"there is no topic {', '.join(topics)}; `mailcascade topics apply` creates what is "
            "missing, if MAILCASCADE_TOPIC_PREFIX is right"
        )


@contextmanager
def properties_taken() -> Iterator[None]:
    """Tell that the client library does not take its properties, such as a file that is missing.

    Raises:
        KafkaRefused: with the library's words, and the setting that they are about.
    """
    try:
        yield
    except KafkaException as error:
        fault = error.args[0]
        raise KafkaRefused(
            f"MAILCASCADE_KAFKA_PROPERTIES: the Kafka client does not take them: {fault.str()}",
            fault.name(),
        ) from error


class KafkaRetriable(KafkaFault):
    """A broker answered that it cannot do it now; asking again may help."""


_UNREACHABLE = {
    KafkaError._TRANSPORT: "the connection is refused or breaks",
    KafkaError._ALL_BROKERS_DOWN: "no broker of the list can be connected to",
    KafkaError._RESOLVE: "the host name is unknown",
    KafkaError._TIMED_OUT: "there was no answer in time",
    KafkaError._SSL: "the TLS handshake failed; look at security.protocol and ssl.*",
    KafkaError._AUTHENTICATION: "the credentials are refused; look at sasl.*",
    KafkaError.SASL_AUTHENTICATION_FAILED: "the credentials are refused; look at sasl.*",
}
#: What the protocol calls retriable: leaders, coordinators and epochs move, replicas fall behind.
#: The client library's own flag is set on the errors of some calls only.
_PASSING = frozenset(
    {
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError.NOT_CONTROLLER,
        KafkaError.CONCURRENT_TRANSACTIONS,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.FETCH_SESSION_ID_NOT_FOUND,
        KafkaError.INVALID_FETCH_SESSION_EPOCH,
        KafkaError.LISTENER_NOT_FOUND,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.PREFERRED_LEADER_NOT_AVAILABLE,
        KafkaError.ELIGIBLE_LEADERS_NOT_AVAILABLE,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        KafkaError.THROTTLING_QUOTA_EXCEEDED,
        KafkaError._WAIT_COORD,
    }
)
_DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "group",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "transactional id",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "cluster",
}
_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})


def denial(error: KafkaError, need: str = "") -> str:
    """Return which ACL is missing and what prints those that are needed; "" for other errors.

    `need` names the ACL where the caller knows more than its kind, such as `Write on the topic X`.
    """
    kind = _DENIED.get(error.code())
    if kind is None:
        return ""
    return (
        f"Kafka does not let these credentials do it ({error.str().rstrip('. ')}): the ACL "
        f"{need or f'on the {kind}'} is missing; `mailcascade doctor --acls` prints those that "
        "each part needs"
    )


def translate(error: KafkaException | KafkaError, address: str, need: str = "") -> KafkaFault:
    """Return our error for the client library's. `address` is where we expected Kafka.

    `need` is the ACL that the call takes (see `denial`).
    """
    kafka_error = error.args[0] if isinstance(error, KafkaException) else error
    if not isinstance(kafka_error, KafkaError):
        return KafkaFault(str(kafka_error))
    code, name = kafka_error.code(), kafka_error.name()
    if code in _UNREACHABLE:
        hint = f"{_UNREACHABLE[code]} (MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS names the brokers)"
        return KafkaUnreachable(address, hint, name)
    if code in _DENIED:
        return KafkaDenied(denial(kafka_error, need), name)
    if code in _MISSING:
        return TopicMissing(kafka_error.str(), name)
    if is_passing(kafka_error):
        return KafkaRetriable(kafka_error.str(), name)
    return KafkaRefused(kafka_error.str(), name)


def is_passing(error: KafkaError) -> bool:
    """Tell whether a broker means that it cannot do it now, and a little later may."""
    return error.retriable() or error.code() in _PASSING
