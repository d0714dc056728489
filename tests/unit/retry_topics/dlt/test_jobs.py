"""A job's life: who may take it, and when."""

import pytest

from retry_topics.dlt.jobs import (
    SILENCE_MS,
    NotNow,
    put_down,
    run_by,
    takeable,
    with_claims,
)
from schemas.replay_jobs import JobState
from tests.support.letters import JOB


def test_a_job_is_its_owner_s_for_a_minute_of_silence() -> None:
    """Then, or when the owner is gone for certain, somebody else may take it."""
    with pytest.raises(NotNow, match="host/1/a runs it"):
        takeable(JOB, 1_000 + SILENCE_MS - 1, owner_is_gone=False)
    takeable(JOB, 1_000 + SILENCE_MS, owner_is_gone=False)
    takeable(JOB, 1_001, owner_is_gone=True)


@pytest.mark.parametrize("state", [JobState.PAUSED, JobState.STOPPED, JobState.WAITING])
def test_a_job_that_was_put_down_is_anybody_s(state: JobState) -> None:
    """At once."""
    takeable(put_down(JOB, state, "why", 2_000), 2_000, owner_is_gone=False)


@pytest.mark.parametrize("state", [JobState.FINISHED, JobState.CANCELLED])
def test_a_job_that_has_ended_is_nobody_s(state: JobState) -> None:
    """Even after a long time."""
    with pytest.raises(NotNow, match="begin a new replay"):
        takeable(put_down(JOB, state, "", 2_000), 10**9, owner_is_gone=True)


def test_whoever_takes_a_job_signs_for_it() -> None:
    """And the note about why it stood still is gone."""
    taken = run_by(put_down(JOB, JobState.STOPPED, "why", 2_000), "host/2/b", 3_000)

    assert (taken.state, taken.owner, taken.beat_at, taken.note) == (
        JobState.RUNNING,
        "host/2/b",
        3_000,
        "",
    )


def test_what_others_took_meanwhile_is_counted_as_taken() -> None:
    """So that the numbers add up to what was selected."""
    counts = with_claims(JOB, 5).counts

    assert (counts["chosen"], counts["skip:taken"]) == (5, 4)
