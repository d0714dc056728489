"""What the tests of the SMTP client share: a server to script, a delivery to it, certificates."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from consumers.delivery.endpoint import RelayEndpoint
from consumers.delivery.message import Message
from consumers.delivery.smtp import SmtpDelivery
from consumers.delivery.timeouts import Timeouts
from tests.support.certificates import Authority
from tests.support.clock import ManualClock
from tests.support.smtp_server import ScriptedServer

#: Tests of what comes after a timeout wait for it, so it is short; the others never reach it.
SHORT = Timeouts(connect=5.0, command=0.4, end_of_data=0.4)

Connect = Callable[..., SmtpDelivery]


@pytest.fixture
def clock() -> ManualClock:
    """The clock by which connections age."""
    return ManualClock()


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """A friendly server until it is scripted."""
    async with ScriptedServer() as server:
        yield server


@pytest.fixture
async def connect(clock: ManualClock) -> AsyncIterator[Connect]:
    """Make deliveries that are closed when the test ends."""
    made: list[SmtpDelivery] = []

    def make(url: str, connections: int = 1, timeouts: Timeouts | None = None) -> SmtpDelivery:
        endpoint = replace(RelayEndpoint.parse(url), timeouts=timeouts or Timeouts())
        delivery = SmtpDelivery(endpoint, connections, clock)
        made.append(delivery)
        return delivery

    yield make
    for delivery in made:
        await delivery.close()


@pytest.fixture
def delivery(server: ScriptedServer, connect: Connect) -> SmtpDelivery:
    """A delivery to the server over one connection."""
    return connect(server.url())


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that only an endpoint with `ca=` trusts."""
    directory: Path = tmp_path_factory.mktemp("authority")
    return Authority(directory)


@pytest.fixture
def message() -> Message:
    """A mail with a line that needs dot-stuffing."""
    content = b"Subject: hello\r\n\r\nbefore\r\n.\r\n..dots\r\nafter\r\n"
    return Message("<1@example.com>", "app@example.com", "ada@example.org", content)
