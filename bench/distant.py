"""What a worker makes of many connections to a relay that is far away, beside what there is."""

from typing import Final

from bench.backlog import Backlog
from bench.distant_relay import mails_per_second
from bench.pipeline import Pipeline, Site
from bench.table import Row
from console.stack.plan import own_module
from console.stack.ports import is_free

MAILS: Final = 15_000
QUICK_MAILS: Final = 4_000
CONNECTIONS: Final = 64
#: Until this many are sent, connections are still opened one after the other.
_WARM_UP_MAILS: Final = 3_000
_READY_SECONDS: Final = 30.0


def run(site: Site, mails: int) -> list[Row]:
    """Measure with so many mails; return the rows to print. Raises BenchFailed."""
    with Pipeline(site, "distant", MAILCASCADE_SMTP_CONNECTIONS=str(CONNECTIONS)) as pipeline:
        port = pipeline.ports.smtp
        pipeline.start("distant-relay", own_module("bench.distant_relay", str(port)))
        pipeline.wait_until(lambda: not is_free(port), _READY_SECONDS, "the relay listens")
        backlog = Backlog(pipeline, pipeline.start_workers(1))
        backlog.drain(_WARM_UP_MAILS)
        drained = backlog.drain(mails)
        pipeline.check_nothing_failed()
    rate, most = drained.mails / drained.seconds, mails_per_second(CONNECTIONS)
    return [
        ("connections", f"{CONNECTIONS}"),
        ("mails/s that arithmetic allows", f"{most:,.0f}"),
        ("1 worker process, mails/s", f"{rate:,.0f}"),
        ("1 worker process / arithmetic", f"{rate / most:.2f}"),
        ("1 worker process, CPU us/mail", f"{drained.cpu_seconds / drained.mails * 1e6:,.0f}"),
    ]
