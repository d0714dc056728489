"""The API in memory: a publisher that keeps what it gets, a clock set by hand, a client."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from ingest.app import Parts, build_app
from ingest.keys import KeyFile, hash_key
from ingest.status_routes import Pipeline
from ingest.status_view import StatusView
from runtime.kafka.pending import Publishable
from runtime.kafka.published import PublishError
from runtime.metric_catalogue import INGEST_METRICS
from runtime.metrics import Metrics
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.codec import encode
from tests.support.clock import ManualClock
from tests.support.statuses import MemoryStatuses

KEY = "mck_test"
TENANT = "shop"


@dataclass
class MemoryPublisher:
    """Acknowledges records at once, or answers with the failures that a test put into it."""

    records: list[Publishable] = field(default_factory=list)
    failures: list[PublishError] = field(default_factory=list)
    down: str = ""
    fatal: bool = False

    @property
    def reason(self) -> str:
        return self.down

    def healthy(self) -> bool:
        return not self.down

    async def publish_many(self, records: Sequence[Publishable]) -> dict[int, PublishError]:
        failed = {index: self.failures.pop(0) for index, _ in enumerate(records) if self.failures}
        self.records += [record for index, record in enumerate(records) if index not in failed]
        return failed


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue.load(DEFAULT_DIRECTORY)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(INGEST_METRICS)


@pytest.fixture
def statuses() -> MemoryStatuses:
    return MemoryStatuses()


@pytest.fixture
def view(statuses: MemoryStatuses, clock: ManualClock) -> Iterator[StatusView]:
    view = StatusView(statuses, clock)
    yield view
    view.close()


@pytest.fixture
def parts(
    tmp_path: Path,
    clock: ManualClock,
    publisher: MemoryPublisher,
    catalogue: Catalogue,
    metrics: Metrics,
    view: StatusView,
) -> Parts:
    keys = tmp_path / "keys"
    keys.write_text(f"{TENANT}:{hash_key(KEY)}\n")
    return Parts(
        topic="mails",
        publisher=publisher,
        catalogue=catalogue,
        clock=clock,
        metrics=metrics,
        keys=KeyFile(keys, clock),
        encode=encode,
        ids=(str(UUID(int=number)) for number in count(1)),
        body_seconds=5.0,
        view=view,
        pipeline=Pipeline("mails.control", retries=3),
        operators=None,
        tracer=None,
    )


@pytest.fixture
def app(parts: Parts) -> FastAPI:
    return build_app(parts)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that sends a valid key."""
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app),
        base_url="http://ingest",
        headers={"Authorization": f"Bearer {KEY}"},
    ) as client:
        yield client
