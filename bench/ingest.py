"""How many requests the API takes: a single POST and batches, beside a FastAPI route without work.

`python -m bench.ingest HOST:PORT` runs it alone. All servers run as they do in production, one
process each; rounds alternate, so that a noisy machine is noisy for all, and the best one counts.
"""

import asyncio
import itertools
import json
import os
import signal
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import httpx2
import uvicorn
from fastapi import FastAPI

from bench.http_load import Load, drive, post
from ingest.serve import run as serve
from runtime.kafka.admin import TopicAdmin
from runtime.kafka.client import client_properties
from runtime.kafka.topics import TopicSpec
from runtime.logs import configure_logs
from runtime.settings import load_settings

_PARTITIONS: Final = 8
_ROUNDS: Final = 3
_SECONDS: Final = 4.0
_BATCH: Final = 1000
_BATCH_CONNECTIONS: Final = 2
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class _Round(NamedTuple):
    load: Load
    cpu_seconds: float


async def run(bootstrap: str) -> list[tuple[str, str]]:
    """Measure against a Kafka; return (what, figure) pairs to print."""
    topic = f"bench-ingest-{uuid.uuid4().hex[:8]}"
    environ = {
        "MAILCASCADE_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "MAILCASCADE_TOPIC_PREFIX": topic,
        "MAILCASCADE_LOG_LEVEL": "warning",
    }
    admin = TopicAdmin(client_properties(load_settings(environ), role="bench"))
    admin.create([TopicSpec(topic, _PARTITIONS, 1, {})])
    no_op_port, api_port = _free_port(), _free_port()
    no_op = await _start("no-op", no_op_port, environ)
    api = await _start("api", api_port, {**environ, "MAILCASCADE_HTTP_PORT": str(api_port)})
    try:
        await asyncio.to_thread(_await_ready, f"http://127.0.0.1:{api_port}/readyz")
        await asyncio.to_thread(_await_ready, f"http://127.0.0.1:{no_op_port}/no-op")
        return await asyncio.to_thread(_measure, (no_op.pid, no_op_port), (api.pid, api_port))
    finally:
        for process in (no_op, api):
            process.send_signal(signal.SIGTERM)
            await process.wait()


def _measure(no_op: tuple[int, int], api: tuple[int, int]) -> list[tuple[str, str]]:
    nothing, single, batch = [], [], []
    for _ in range(_ROUNDS):
        nothing.append(_round(no_op, _endless(post("/no-op", _email(0))), 32, 200))
        single.append(_round(api, _emails(), 32, 202))
        batch.append(_round(api, _batches(), _BATCH_CONNECTIONS, 202))
    no_op_rate, single_rate = _best(nothing).load.rate, _best(single).load.rate
    best = _best(batch)
    events = best.load.requests * _BATCH
    return [
        ("no-op FastAPI route, requests/s", f"{no_op_rate:,.0f}"),
        ("no-op, CPU us/request", _microseconds(_best(nothing), 1)),
        ("single POST, requests/s", f"{single_rate:,.0f}"),
        ("single POST / no-op", f"{single_rate / no_op_rate:.2f}"),
        ("single POST, CPU us/request", _microseconds(_best(single), 1)),
        ("batch of 1,000, events/s", f"{best.load.rate * _BATCH:,.0f}"),
        ("batch, CPU us/event", _microseconds(best, _BATCH)),
        ("batch, events/s on one core", f"{events / best.cpu_seconds:,.0f}"),
    ]


def _round(server: tuple[int, int], requests: Iterator[bytes], clients: int, expect: int) -> _Round:
    pid, port = server
    before = _cpu_seconds(pid)
    load = drive(port, requests, _SECONDS, clients, expect)
    if load.unexpected:
        raise RuntimeError(f"unexpected answers: {sorted(set(load.unexpected))}")
    return _Round(load, _cpu_seconds(pid) - before)


def _best(rounds: list[_Round]) -> _Round:
    return max(rounds, key=lambda measured: measured.load.rate)


def _microseconds(measured: _Round, per_request: int) -> str:
    return f"{measured.cpu_seconds / (measured.load.requests * per_request) * 1e6:.0f}"


def _email(number: int) -> bytes:
    return json.dumps(_item(number)).encode()


def _item(number: int) -> dict[str, object]:
    return {
        "template": "signup-confirmation",
        "to": {"address": f"person{number}@example{number % 50}.com", "name": "Ada Lovelace"},
        "data": {"confirm_url": f"https://app.example.com/confirm?token={number:016x}"},
        "locale": "en",
    }


def _endless(request: bytes) -> Iterator[bytes]:
    return itertools.repeat(request)


def _emails() -> Iterator[bytes]:
    prepared = [post("/v1/emails", _email(number)) for number in range(2_000)]
    return itertools.cycle(prepared)


def _batches() -> Iterator[bytes]:
    prepared = [
        post(
            "/v1/emails/batch",
            json.dumps([_item(batch * _BATCH + number) for number in range(_BATCH)]).encode(),
        )
        for batch in range(10)
    ]
    return itertools.cycle(prepared)


async def _start(kind: str, port: int, environ: dict[str, str]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.ingest", kind, str(port), env={**os.environ, **environ}
    )


def _await_ready(url: str) -> None:
    for _ in range(600):
        try:
            if httpx2.get(url).status_code in (200, 405):
                return
        except httpx2.TransportError:
            pass  # it does not listen yet
        time.sleep(0.05)
    raise TimeoutError(f"{url} did not become ready")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _serve_no_op(port: int) -> None:
    app = FastAPI()

    @app.post("/no-op")
    async def no_op() -> dict[str, str]:
        return {"id": "none"}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["no-op", port]:
            _serve_no_op(int(port))
        case ["api", _]:
            configure_logs("warning", sys.stderr)
            sys.exit(serve(load_settings(os.environ)))
        case [bootstrap]:
            for what, figure in asyncio.run(run(bootstrap)):
                print(f"{what:34} {figure:>10}")
        case _:
            sys.exit("usage: python -m bench.ingest HOST:PORT")
