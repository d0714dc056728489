"""What the tests of crashes share."""

from collections.abc import Iterator

import pytest

from console.stack.catcher.threaded import CatcherThread


@pytest.fixture
def catcher() -> Iterator[CatcherThread]:
    with CatcherThread() as running:
        yield running
