"""A producer's fatal error, which the client library may tell in more than one way."""

from collections.abc import Mapping

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime.clock import Deadline
from runtime.kafka import transactions
from runtime.kafka.records import OutRecord
from runtime.kafka.transactions import TransactionalProducer, TransactionFenced, TransactionInDoubt
from tests.support.clock import ManualClock

FENCED = KafkaError(KafkaError._FENCED, "fenced by a newer instance", fatal=True)
#: What Python says where the client set an error inside of a report that cleared it.
LOST = "<method 'flush' of 'cimpl.Producer' objects> returned NULL without setting an exception"


class Client:
    """Stands for the client's producer, whose `flush` fails."""

    def __init__(self, flushing: BaseException, aborting: KafkaError | None) -> None:
        self._flushing = flushing
        self._aborting = aborting

    def begin_transaction(self) -> None:
        """Begin."""

    def produce(self, *_: object, **__: object) -> None:
        """Take a record."""

    def flush(self, _seconds: float) -> int:
        """Fail."""
        raise self._flushing

    def abort_transaction(self, _seconds: float) -> None:
        """Tell the fatal error, if there is one."""
        if self._aborting is not None:
            raise KafkaException(self._aborting)


def write(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write one record by way of the client."""

    def create(_properties: Mapping[str, object], logger: object) -> Client:
        assert logger is not None
        return client

    monkeypatch.setattr(transactions, "Producer", create)
    producer = TransactionalProducer({"transactional.id": "one"}, lambda _: None)
    record = OutRecord("topic", b"key", b"value", (), 0)
    producer.write([record], Deadline(ManualClock(), 10))


def chained() -> SystemError:
    """Return what Python makes of an error that is set while a report is served."""
    error = SystemError("returned a result with an exception set")
    error.__cause__ = KafkaException(FENCED)
    return error


@pytest.mark.parametrize("told", [KafkaException(FENCED), chained(), SystemError(LOST)], ids=repr)
def test_a_fence_is_a_fence_however_it_is_told(
    told: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is fenced is to stop; a `SystemError` would look like a fault of ours."""
    with pytest.raises(TransactionFenced, match="fenced by a newer instance"):
        write(Client(told, FENCED), monkeypatch)


def test_an_error_that_nobody_knows_leaves_the_transaction_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the transaction could be aborted: a producer that lost an error is replaced."""
    with pytest.raises(TransactionInDoubt, match="returned NULL"):
        write(Client(SystemError(LOST), None), monkeypatch)
