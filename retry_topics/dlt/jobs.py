"""A replay job's life as values: its numbers, who may run it, and what each step makes of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from retry_topics.dlt.decision import Skip
from retry_topics.dlt.plan import Plan, numbers_of
from schemas.replay_jobs import ENDED, JobState, ReplayJob

#: A job whose owner has been silent for so long may be taken over, in milliseconds.
SILENCE_MS: Final = 60_000

#: The names of a job's numbers; `skip:` is followed by a word of `Skip`. `late:` are those that
#: were chosen and could not go out any more when their turn came.
SELECTED: Final = "selected"
CHOSEN: Final = "chosen"
REPLAYED: Final = "replayed"
SENT: Final = "sent"
DEAD_AGAIN: Final = "dead_again"
ENDED_OTHERWISE: Final = "ended"
RETRYING: Final = "retrying"
GONE: Final = "late:gone"
CANARY_PASSED: Final = "canary_passed"
SKIPPED: Final = "skip:"
LATE: Final = "late:"


class NotNow(Exception):
    """A job cannot do what is asked of it as it is; the message says why and what can be done."""


def planned(job: ReplayJob, plan: Plan) -> ReplayJob:
    """Return the job with the numbers of its plan."""
    return replace(job, counts=numbers_of(plan))


def with_claims(job: ReplayJob, got: int) -> ReplayJob:
    """Return a planned job that got so many of those that it chose; others took the rest."""
    taken = f"{SKIPPED}{Skip.TAKEN}"
    lost = job.counts.get(CHOSEN, 0) - got
    return counted(job, {CHOSEN: got, taken: job.counts.get(taken, 0) + lost})


def takeable(job: ReplayJob, now: int, owner_is_gone: bool) -> None:
    """Make sure that somebody may run a job.

    Raises:
        NotNow: it has ended, or somebody else runs it.
    """
    if job.state in ENDED:
        raise NotNow(f"{job.id}: is {job.state}; begin a new replay")
    silent = now - job.beat_at
    if job.owner and not owner_is_gone and silent < SILENCE_MS:
        left = (SILENCE_MS - silent) // 1_000
        raise NotNow(
            f"{job.id}: {job.owner} runs it, and gave a sign of life {max(0, silent) // 1_000} s "
            f"ago; it can be taken over once that is silent for {left} s more"
        )


def run_by(job: ReplayJob, owner: str, now: int) -> ReplayJob:
    """Return the job as somebody takes it into his hands."""
    return replace(job, state=JobState.RUNNING, owner=owner, beat_at=now, note="")


def put_down(job: ReplayJob, state: JobState, note: str, now: int) -> ReplayJob:
    """Return the job as nobody's, in a state and with a note that tells why."""
    return replace(job, state=state, owner="", beat_at=now, note=note)


def waits_for(outcomes: int) -> str:
    """Return what is told of a job that has replayed everything, and does not know all outcomes."""
    return f"all is replayed; {outcomes} outcomes are to come"


def counted(job: ReplayJob, counts: Mapping[str, int]) -> ReplayJob:
    """Return the job with these numbers put into its own."""
    return replace(job, counts={**job.counts, **counts})


def skips_of(job: ReplayJob) -> dict[Skip, int]:
    """Return why letters were skipped when the job was planned, and how many."""
    known = {f"{SKIPPED}{skip}": skip for skip in Skip}
    return {known[name]: count for name, count in job.counts.items() if name in known and count}


def late_of(job: ReplayJob) -> dict[str, int]:
    """Return why letters that were chosen did not go out, and how many; `gone` or a `Skip`."""
    start = len(LATE)
    return {
        name[start:]: count for name, count in job.counts.items() if name.startswith(LATE) and count
    }
