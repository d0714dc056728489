"""A client's own word tells whether a broker is connected."""

import pytest

from runtime.kafka.connection import Connection
from tests.support.clock import ManualClock


def statistics(*states: str) -> str:
    brokers = ",".join(f'"b{n}": {{"state": "{state}"}}' for n, state in enumerate(states))
    return f'{{"name": "client", "brokers": {{{brokers}}}}}'


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def connection(clock: ManualClock) -> Connection:
    return Connection(clock, "test")


def test_one_broker_is_enough(connection: Connection) -> None:
    """Until then it says that there is none yet."""
    assert (connection.connected, connection.reason) == (False, "no broker is connected yet")
    connection.counted(statistics("DOWN", "UP"))

    assert (connection.connected, connection.reason, connection.down_seconds()) == (True, "", 0)


def test_none_is_told_with_a_reason_and_since_when(
    connection: Connection, clock: ManualClock
) -> None:
    """By the client's fault at once, else by its statistics; the first moment counts."""
    connection.counted(statistics("UP"))
    connection.faulted("_TRANSPORT", False)
    assert connection.connected
    connection.faulted("_ALL_BROKERS_DOWN", False)
    clock.advance(3)
    connection.counted(statistics("TRY_CONNECT"))

    assert not connection.connected
    assert "_ALL_BROKERS_DOWN" in connection.reason
    assert connection.down_seconds() == 3
    connection.counted(statistics("UP"))
    assert connection.connected


def test_statistics_alone_tell_that_nobody_is_connected(connection: Connection) -> None:
    """Also without any broker in them."""
    for text in (statistics("INIT"), statistics()):
        connection.counted(statistics("UP"))
        connection.counted(text)
        assert not connection.connected
        assert "no broker is connected" in connection.reason
