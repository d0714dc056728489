"""How long a mail takes from its POST to the mail server's acceptance, at a steady rate."""

import asyncio
import itertools
import json
import random
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import httpx2
import uvloop

from bench.http_load import post
from bench.pipeline import BenchFailed, Pipeline, Site
from bench.sink import serve
from bench.table import Row
from console.stack.plan import own_module
from console.stack.tally import percentile

SECONDS: Final = 15.0
QUICK_SECONDS: Final = 5.0
_PER_SECOND: Final = 200.0
#: What comes in the first seconds is not counted: connections open and templates compile.
_WARM_UP_SECONDS: Final = 2.0
_SETTLE_SECONDS: Final = 30.0
_READY_SECONDS: Final = 60.0
_ACCEPTED: Final = b"202"


@dataclass(slots=True)
class Passage:
    """The moments of one signup, in seconds of the monotonic clock."""

    posted_at: float
    answered_at: float = 0.0
    accepted_at: float = 0.0


def run(site: Site, seconds: float) -> list[Row]:
    """Post signups for so long; return the rows to print. Raises BenchFailed."""
    with Pipeline(site, "latency") as pipeline:
        pipeline.start_workers(1)
        pipeline.start("ingest", own_module("console", "ingest"))
        pipeline.wait_until(lambda: _ready(pipeline), _READY_SECONDS, "the API is ready")
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        with site.interrupts.shielded(lambda: cancel_all(runner.get_loop())), runner:
            passages = runner.run(_measure(pipeline, seconds + _WARM_UP_SECONDS))
        pipeline.check_nothing_failed()
    return rows(passages)


def rows(passages: Sequence[Passage]) -> list[Row]:
    """Return the percentiles of what was posted after the warm-up."""
    start = passages[0].posted_at + _WARM_UP_SECONDS
    counted = [passage for passage in passages if passage.posted_at >= start]
    answers = [_microseconds(p.posted_at, p.answered_at) for p in counted]
    acceptances = [_microseconds(p.posted_at, p.accepted_at) for p in counted]
    took = counted[-1].posted_at - counted[0].posted_at
    return [
        ("signups/s posted", f"{(len(counted) - 1) / took:,.0f}"),
        ("POST to 202, p50 ms", _shown(answers, 0.5)),
        ("POST to 202, p99 ms", _shown(answers, 0.99)),
        ("POST to acceptance, p50 ms", _shown(acceptances, 0.5)),
        ("POST to acceptance, p99 ms", _shown(acceptances, 0.99)),
    ]


def arrivals(per_second: float, seconds: float, chance: random.Random) -> Iterator[float]:
    """Return the seconds at which people come who know nothing of each other."""
    gaps = (chance.expovariate(per_second) for _ in itertools.count())
    return itertools.takewhile(lambda at: at < seconds, itertools.accumulate(gaps))


def cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the loop's tasks; for a signal handler, which may interrupt the loop anywhere."""
    loop.call_soon_threadsafe(lambda: [task.cancel() for task in asyncio.all_tasks(loop)])


def _ready(pipeline: Pipeline) -> bool:
    try:
        url = f"http://127.0.0.1:{pipeline.ports.api}/readyz"
        return httpx2.get(url, timeout=2.0).status_code == 200
    except httpx2.TransportError:
        return False


async def _measure(pipeline: Pipeline, seconds: float) -> list[Passage]:
    passages: dict[str, Passage] = {}

    def accepted(recipient: str, at: float) -> None:
        passages[recipient].accepted_at = at

    sink = await serve(pipeline.ports.smtp, accepted)
    clients = _Clients(pipeline.ports.api)
    start = time.monotonic()
    posting = []
    for number, at in enumerate(arrivals(_PER_SECOND, seconds, random.Random(1))):
        await asyncio.sleep(start + at - time.monotonic())
        address = f"person{number}@example.com"
        passages[address] = Passage(time.monotonic())
        posting.append(asyncio.create_task(clients.sign_up(address, passages[address])))
    await asyncio.gather(*posting)
    await _settled(passages, pipeline)
    clients.close()
    sink.close()
    return list(passages.values())


async def _settled(passages: dict[str, Passage], pipeline: Pipeline) -> None:
    give_up_at = time.monotonic() + _SETTLE_SECONDS
    while missing := sum(not passage.accepted_at for passage in passages.values()):
        pipeline.check()
        if time.monotonic() > give_up_at:
            raise BenchFailed(f"{missing} of {len(passages)} mails did not arrive")
        await asyncio.sleep(0.1)


class _Clients:
    """Kept connections to the API. A POST takes an idle one or opens one, so none waits.

    The one that was idle longest goes first, so that the API closes none for being idle.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()

    async def sign_up(self, address: str, passage: Passage) -> None:
        """Post a signup and note when it was answered; raises BenchFailed unless with 202."""
        body = {
            "email": address,
            "name": "Ada Lovelace",
            "confirm_url": "https://app.example.com/confirm?token=0123456789abcdef",
        }
        reader, writer = self._idle.popleft() if self._idle else await self._open()
        writer.write(post("/v1/signups", json.dumps(body).encode()))
        head = await reader.readuntil(b"\r\n\r\n")
        _, _, rest = head.partition(b"content-length: ")
        answer = await reader.readexactly(int(rest.partition(b"\r\n")[0]))
        passage.answered_at = time.monotonic()
        if head[9:12] != _ACCEPTED:
            raise BenchFailed(f"the API answered {head[9:12].decode()}: {answer.decode()}")
        self._idle.append((reader, writer))

    def close(self) -> None:
        """Close what is idle, which is all after the last answer."""
        for _, writer in self._idle:
            writer.close()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)


def _microseconds(began: float, ended: float) -> int:
    return round((ended - began) * 1e6)


def _shown(microseconds: Sequence[int], share: float) -> str:
    value = percentile(microseconds, share)
    return "-" if value is None else f"{value / 1000:.1f}"
