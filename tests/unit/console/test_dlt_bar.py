"""The bar of a replay: how far it is, and what comes of it."""

import io
from collections.abc import Mapping
from dataclasses import replace

from console.dlt_bar import Bar
from retry_topics.dlt import jobs
from schemas.replay_jobs import ReplayJob
from tests.support.letters import JOB


class Screen(io.StringIO):
    """What somebody sits in front of."""

    def isatty(self) -> bool:
        return True


def job(counts: Mapping[str, int]) -> ReplayJob:
    return replace(JOB, counts=counts)


def test_outcomes_are_told_as_they_come_in() -> None:
    """Beside how many are replayed of those that were chosen."""
    screen = Screen()
    with Bar(screen) as bar:
        bar.show(job({jobs.CHOSEN: 8, jobs.REPLAYED: 5}))
        bar.show(job({jobs.CHOSEN: 8, jobs.REPLAYED: 8, jobs.SENT: 6, jobs.DEAD_AGAIN: 2}))

    assert "8/8" in screen.getvalue()
    assert "sent 6  dead again 2" in screen.getvalue()


def test_nothing_is_drawn_where_nobody_watches() -> None:
    """A log gets no bar."""
    log = io.StringIO()
    with Bar(log) as bar:
        bar.show(job({jobs.CHOSEN: 8}))

    assert log.getvalue() == ""
