"""The API in memory: a publisher that keeps what it gets, a clock set by hand, a client."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from fastapi import FastAPI

from ingest.app import Parts, build_app
from ingest.keys import KeyFile, hash_key
from runtime.kafka.published import Delivered, PublishError
from runtime.kafka.records import OutRecord, Partition
from runtime.metric_catalogue import INGEST_METRICS
from runtime.metrics import Metrics
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.codec import encode
from tests.support.clock import ManualClock

KEY = "mck_test"
TENANT = "shop"


@dataclass
class MemoryPublisher:
    """Acknowledges records at once, or answers with the failures that a test put into it."""

    records: list[OutRecord] = field(default_factory=list)
    failures: list[PublishError] = field(default_factory=list)
    down: str = ""
    fatal: bool = False

    @property
    def reason(self) -> str:
        return self.down

    def healthy(self) -> bool:
        return not self.down

    async def publish_many(self, records: Sequence[OutRecord]) -> list[Delivered | PublishError]:
        return [self._publish(record) for record in records]

    def _publish(self, record: OutRecord) -> Delivered | PublishError:
        if self.failures:
            return self.failures.pop(0)
        self.records.append(record)
        return Delivered(Partition(record.topic, 0), len(self.records) - 1)


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
def app(
    tmp_path: Path,
    clock: ManualClock,
    publisher: MemoryPublisher,
    catalogue: Catalogue,
    metrics: Metrics,
) -> FastAPI:
    keys = tmp_path / "keys"
    keys.write_text(f"{TENANT}:{hash_key(KEY)}\n")
    numbers = iter(range(1, 10**6))
    return build_app(
        Parts(
            topic="mails",
            publisher=publisher,
            catalogue=catalogue,
            clock=clock,
            metrics=metrics,
            keys=KeyFile(keys, clock),
            encode=encode,
            new_id=lambda: UUID(int=next(numbers)),
        )
    )


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A client that sends a valid key."""
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app),
        base_url="http://ingest",
        headers={"Authorization": f"Bearer {KEY}"},
    ) as client:
        yield client
