"""Plans and replay jobs as a person and a program see them."""

from collections.abc import Sequence

from console.dlt_shown import cause_words
from retry_topics.dlt import jobs
from retry_topics.dlt.decision import SKIP_WORDS, Skip
from retry_topics.dlt.desk import Sample
from retry_topics.dlt.plan import Plan
from retry_topics.dlt.told import event_told
from schemas.instants import show_instant
from schemas.privacy import mask_address
from schemas.replay_jobs import JobState, ReplayJob


def plan_lines(job: ReplayJob, plan: Plan, samples: Sequence[Sample]) -> list[str]:
    """Return a plan as lines: how many, by group, what is skipped and why, how long, samples."""
    lines = [f"plan {job.id}: {plan.chosen} of {plan.selected} selected records would be replayed"]
    for group, counter in sorted(plan.groups.items(), key=lambda item: -item[1].total()):
        goes = counter[None]
        skipped = counter.total() - goes
        rest = f", {skipped} skipped" if skipped else ""
        cause = group.cause
        code = "" if cause.code is None else f" {cause.code}"
        lines.append(
            f"  {group.fingerprint}  {group.template or '-'}: {cause.reason}{code}: {goes}{rest}"
        )
    lines += [f"  skipped {count}: {SKIP_WORDS[skip]}" for skip, count in _skips(plan)]
    lines.append(f"  {duration_words(plan.chosen, job)}")
    for sample in samples:
        lines += _sample_lines(sample)
    return lines


def job_line(job: ReplayJob) -> str:
    """Return a job as one line of a list."""
    return (
        f"{job.id}  {show_instant(job.created_at)}  {job.state:<9}  {progress_words(job)}"
        f"  {job.by}{f': {job.reason}' if job.reason else ''}"
    )


def job_lines(job: ReplayJob) -> list[str]:
    """Return everything about a job as lines: the report."""
    counts = job.counts
    rows = [
        ("state", f"{job.state}{f': {job.note}' if job.note else ''}"),
        ("by", job.by),
        ("reason", job.reason),
        ("owner", f"{job.owner} ({show_instant(job.beat_at)})" if job.owner else ""),
        ("begun", show_instant(job.created_at)),
        ("selected", str(counts.get(jobs.SELECTED, 0))),
        ("chosen", str(counts.get(jobs.CHOSEN, 0))),
        ("replayed", str(counts.get(jobs.REPLAYED, 0))),
        ("sent", str(counts.get(jobs.SENT, 0))),
        ("dead again", str(counts.get(jobs.DEAD_AGAIN, 0))),
        ("ended", _some(counts.get(jobs.ENDED_OTHERWISE, 0), "in another way")),
        ("retrying", _some(counts.get(jobs.RETRYING, 0), "have failed once more, and wait")),
    ]
    lines = [f"job {job.id}", *(f"  {name:<10} {value}" for name, value in rows if value)]
    lines += [
        f"  skipped    {count}: {SKIP_WORDS[skip]}" for skip, count in jobs.skips_of(job).items()
    ]
    lines += [
        f"  too late   {count}: {_late_words(word)}" for word, count in jobs.late_of(job).items()
    ]
    if job.state in (JobState.PAUSED, JobState.STOPPED, JobState.WAITING):
        lines.append(f"  go on with: mailcascade dlt resume {job.id}")
    if job.state in (JobState.PAUSED, JobState.STOPPED):
        lines.append(f"  or free what is left: mailcascade dlt cancel {job.id}")
    return lines


def progress_words(job: ReplayJob) -> str:
    """Return how far a job is, in short."""
    counts = job.counts
    return (
        f"replayed {counts.get(jobs.REPLAYED, 0)} of {counts.get(jobs.CHOSEN, 0)}, "
        f"sent {counts.get(jobs.SENT, 0)}, dead again {counts.get(jobs.DEAD_AGAIN, 0)}"
    )


def duration_words(count: int, job: ReplayJob) -> str:
    """Return how long so many records take at the job's rate."""
    if job.pace.rate is None:
        return "as fast as it goes; --rate makes it slower"
    seconds = round(count / job.pace.rate)
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"some {hours}:{minutes:02d}:{rest:02d} at {job.pace.rate:g} a second"


def _skips(plan: Plan) -> list[tuple[Skip, int]]:
    return sorted(plan.skips.items(), key=lambda item: -item[1])


def _sample_lines(sample: Sample) -> list[str]:
    letter, event, changed = sample
    head = f"  such as {letter.position}  {mask_address(event.recipient.address)}  {event.template}"
    lines = [f"{head}: {cause_words(letter)}"]
    if changed is None:
        return lines
    before, after = event_told(event, reveal=False), event_told(changed, reveal=False)
    for name, value in after.items():
        if value != before[name]:
            lines.append(f"    {name}: {before[name]} -> {value}")
    for name in changed.data.keys() | event.data.keys():
        if changed.data.get(name) != event.data.get(name):
            lines.append(f"    data.{name} changes")
    return lines


def _some(count: int, words: str) -> str:
    return f"{count} {words}" if count else ""


def _late_words(word: str) -> str:
    if word == "gone":
        return "deleted by retention before their turn"
    return SKIP_WORDS[Skip(word)] if word in list(Skip) else word
