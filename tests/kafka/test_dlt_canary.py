"""Replays with workers and a mail server: outcomes are heard, and a canary protects the rest."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.stack.catcher.threaded import CatcherThread
from retry_topics.dlt import jobs
from retry_topics.dlt.selection import EVERYTHING
from retry_topics.dlt.states import RecordState
from schemas.replay_jobs import Edit, JobState, Pace, ReplayJob, Selection
from tests.conftest import TopicsFactory
from tests.support.broker import BrokerAddress
from tests.support.catcher import recipients
from tests.support.graveyard import Graveyard, graveyard
from tests.support.mailer import signup, start_worker, worker_environ
from tests.support.wait import wait_until


@pytest.fixture
def yard(broker: BrokerAddress, topics: TopicsFactory) -> Graveyard:
    return graveyard(broker.bootstrap, topics(partitions=4))


@pytest.fixture
def worker(yard: Graveyard, catcher: CatcherThread, tmp_path: Path) -> Iterator[None]:
    environ = worker_environ(yard.kafka, catcher.smtp_url, tmp_path / "state")
    with start_worker(environ, tmp_path / "worker.log"):
        yield


def silent(_: object) -> None:
    """Nobody listens."""


def replay(yard: Graveyard, selection: Selection, pace: Pace, wait_ms: int = 30_000) -> ReplayJob:
    with yard.desk() as desk:
        job = desk.begin(desk.order(selection, Edit(), pace, ""), silent).job
        return desk.run(job, threading.Event(), silent, wait_ms)


@pytest.mark.usefixtures("worker")
def test_a_canary_decides_whether_the_rest_goes_out(
    yard: Graveyard, catcher: CatcherThread
) -> None:
    """A relay that still refuses costs ten mails; one that takes them again gets all, each once."""
    graves = yard.bury(["policy"] * 200)
    yard.bury(["unknown"] * 200, event=lambda n: signup(f"u{n}+bounce@example.com"))
    with yard.desk() as desk:
        open_groups = {
            t.group.cause.rule: t.group.fingerprint for t in desk.groups(EVERYTHING).open
        }
    broken, fixed = (
        Selection(groups=frozenset({open_groups[rule]})) for rule in ("no-such-user", "policy")
    )
    pace = Pace(canary=10, stop_at=0.1)

    stopped = replay(yard, broken, pace)
    assert (stopped.state, stopped.counts[jobs.REPLAYED]) == (JobState.STOPPED, 10)
    assert "10 of 10 mails failed again" in stopped.note
    assert stopped.counts[jobs.DEAD_AGAIN] == 10

    done = replay(yard, fixed, pace)
    assert (done.state, done.counts[jobs.SENT]) == (JobState.FINISHED, 200)
    assert len(yard.replayed()) == 210
    caught = sorted(recipients(catcher).elements())
    assert caught == sorted(grave.event.recipient.address for grave in graves)
    with yard.desk() as desk:
        states = {
            state: count
            for tally in desk.groups(fixed).settled
            for state, count in tally.states.items()
        }
        assert states == {RecordState.SENT: 200}


def test_a_canary_of_which_nothing_is_heard_stops_the_job(yard: Graveyard) -> None:
    """No worker runs, or the relay is away: the rest stays where it is, and can go on later."""
    yard.bury(["policy"] * 50)
    stopped = replay(yard, EVERYTHING, Pace(canary=5, stop_at=0.1, canary_wait_ms=300))

    assert (stopped.state, stopped.counts[jobs.REPLAYED]) == (JobState.STOPPED, 5)
    assert "5 of 5 canary mails had no outcome" in stopped.note
    with yard.desk() as desk:
        done = desk.run(desk.job(stopped.id), _after_canary(yard), silent, 0)
    assert done.counts[jobs.REPLAYED] == 10, (done, len(yard.replayed()))


def _after_canary(yard: Graveyard) -> threading.Event:
    """Return what pauses a job once the next canary is out."""
    stop = threading.Event()

    def watch() -> None:
        wait_until(lambda: len(yard.replayed()) >= 10, 20)
        stop.set()

    threading.Thread(target=watch, daemon=True).start()
    return stop
