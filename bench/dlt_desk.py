"""`python -m bench.dlt_desk`: groups, plans and replays dead letters in a process of its own.

The process has what `mailcascade dlt` has and nothing else, so its memory is the tool's.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from bench.process import peak_mib
from retry_topics.dlt import jobs
from retry_topics.dlt.desk import Desk, Operator
from retry_topics.dlt.opening import open_desk
from retry_topics.dlt.operators import is_gone, new_job_id, process_name
from retry_topics.dlt.selection import EVERYTHING
from runtime.clock import SystemClock
from runtime.garbage import spare_collections
from runtime.settings import load_settings
from schemas.catalogue import DEFAULT_DIRECTORY, Catalogue
from schemas.codec import EventCodec
from schemas.replay_jobs import Edit, Pace, ReplayJob, Selection

#: The tenants by whose mails parts of the topic are selected.
FAST: Final = "fast"
SLOW: Final = "slow"


@dataclass(frozen=True, slots=True)
class Done:
    """What it took. `peak_mib` is that of grouping and planning everything.

    `rate` is that of the job with a rate, between its first batch and its last.
    """

    grouped: int
    group_seconds: float
    group_cpu_seconds: float
    planned: int
    plan_seconds: float
    plan_cpu_seconds: float
    peak_mib: float
    replayed: int
    replay_seconds: float
    replay_cpu_seconds: float
    rate: float


def done(desk: Desk, rate: float) -> Done:
    """Group and plan everything, replay what is `FAST` at once, and what is `SLOW` at a rate."""
    began, begin_used = time.monotonic(), time.process_time()
    groups = desk.groups(EVERYTHING)
    grouped, used = time.monotonic(), time.process_time()
    plan = desk.plan(desk.order(EVERYTHING, Edit(), Pace(), ""), _nobody)
    planned, plan_used = time.monotonic(), time.process_time()
    peak = peak_mib(os.getpid())
    job = _begun(desk, FAST, Pace())
    before, replay_used = time.monotonic(), time.process_time()
    fast = desk.run(job, threading.Event(), _nothing, 0)
    after = time.monotonic()
    return Done(
        grouped=sum(tally.count for tally in groups.open),
        group_seconds=grouped - began,
        group_cpu_seconds=used - begin_used,
        planned=plan.chosen,
        plan_seconds=planned - grouped,
        plan_cpu_seconds=plan_used - used,
        peak_mib=peak,
        replayed=fast.counts[jobs.REPLAYED],
        replay_seconds=after - before,
        replay_cpu_seconds=time.process_time() - replay_used,
        rate=_rate(desk, _begun(desk, SLOW, Pace(rate=rate))),
    )


def _begun(desk: Desk, tenant: str, pace: Pace) -> ReplayJob:
    selection = Selection(tenants=frozenset({tenant}))
    return desk.begin(desk.order(selection, Edit(), pace, ""), _nobody).job


def _rate(desk: Desk, job: ReplayJob) -> float:
    """Run a job and return how many records a second it replayed after its first batch."""
    seen: list[tuple[float, int]] = []

    def told(state: ReplayJob) -> None:
        replayed = state.counts.get(jobs.REPLAYED, 0)
        if replayed and (not seen or replayed > seen[-1][1]):
            seen.append((time.monotonic(), replayed))

    desk.run(job, threading.Event(), told, 0)
    (first, before), (last, after) = seen[0], seen[-1]
    return (after - before) / (last - first)


def _nobody(_: int) -> None:
    """Nobody looks on."""


def _nothing(_: ReplayJob) -> None:
    """Nobody looks on."""


def main(environ: Mapping[str, str], rate: float) -> Done:
    """Open a desk on the cluster that the environment names, and work there."""
    operator = Operator("bench", process_name(), is_gone, new_job_id)
    catalogue = Catalogue.load(DEFAULT_DIRECTORY)
    settings = load_settings(environ)
    desk = open_desk(settings, EventCodec(None), catalogue, SystemClock(), operator)
    spare_collections()
    return done(desk, rate)


if __name__ == "__main__":
    print(json.dumps(asdict(main(os.environ, float(sys.argv[1])))))
