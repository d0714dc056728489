"""Posts signups to the API as a web application would: many at a time, over kept connections."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import httpx2

from console.stack.signups import Signup
from runtime.clock import Clock

CLIENTS: Final = 16
PER_SECOND: Final = 100.0
_TIMEOUT_SECONDS: Final = 15.0
_ACCEPTED: Final = 202


@dataclass(frozen=True, slots=True)
class Posted:
    """What came of one POST. `mail_id` is None where it was not accepted; `answer` says why."""

    signup: Signup
    posted_at: int
    mail_id: str | None
    answer: str


async def post_all(
    api_url: str, everyone: Sequence[Signup], clock: Clock, progress: Callable[[Posted], None]
) -> list[Posted]:
    """Post the signups at an even pace, however long each answer takes.

    The pace is kept as long as there are idle clients; `progress` is told of each answer.
    """
    limits = httpx2.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    results: list[Posted] = []
    async with httpx2.AsyncClient(
        base_url=api_url, limits=limits, timeout=_TIMEOUT_SECONDS
    ) as client:
        await asyncio.gather(*(client.get("/livez") for _ in range(CLIENTS)))
        start = clock.monotonic()

        async def post(number: int, signup: Signup) -> None:
            await asyncio.sleep(max(0.0, start + number / PER_SECOND - clock.monotonic()))
            posted = await _post(client, signup, clock)
            results.append(posted)
            progress(posted)

        await asyncio.gather(*(post(number, signup) for number, signup in enumerate(everyone)))
    return results


async def _post(client: httpx2.AsyncClient, signup: Signup, clock: Clock) -> Posted:
    body = {
        "email": signup.address,
        "name": signup.name,
        "locale": signup.locale,
        "confirm_url": signup.confirm_url,
    }
    posted_at = clock.now_ms()
    try:
        answer = await client.post("/v1/signups", json=body)
    except httpx2.TransportError as error:
        return Posted(signup, posted_at, None, f"{type(error).__name__}: {error}")
    if answer.status_code != _ACCEPTED:
        return Posted(signup, posted_at, None, f"{answer.status_code}: {answer.text[:500]}")
    return Posted(signup, posted_at, answer.json()["id"], "")
