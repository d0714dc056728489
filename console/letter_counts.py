"""Dead letters as `mailcascade status` shows them: one of a mail, and all by state and job."""

from typing import Any

from consumers.status.letters import (
    JobStatus,
    LetterCounts,
    LetterStatus,
    letter_words,
)
from schemas.instants import show_instant, write_instant


def letter_line(letter: LetterStatus) -> str:
    """Return a mail's dead letter as a line."""
    words = letter_words(letter) or f"{letter.state} since {show_instant(letter.at)}"
    return f"{letter.position}  {words}"


def letter_count_lines(counts: LetterCounts) -> list[str]:
    """Return the counts as lines for a person."""
    lines = [f"{state:<10} {count:>9}" for state, count in counts.states.items()]
    for job in counts.jobs:
        lines.append("")
        lines += _job_lines(job)
    return lines or ["no dead letters"]


def letters_json(counts: LetterCounts) -> dict[str, Any]:
    """Return the counts for programs."""
    return {
        "states": {state.value: count for state, count in counts.states.items()},
        "jobs": [_job_json(job) for job in counts.jobs],
    }


def _job_lines(job: JobStatus) -> list[str]:
    because = f" because: {job.reason}" if job.reason else ""
    note = f" ({job.note})" if job.note else ""
    begun = f"begun by {job.by} at {show_instant(job.created_at)}{because}"
    lines = [
        f"{job.id}  {job.state}{note}, {begun}",
        f"  selects {job.selection}; last heard of at {show_instant(job.updated_at)}",
    ]
    if job.letters:
        states = ", ".join(f"{count} {state}" for state, count in sorted(job.letters.items()))
        lines.append(f"  letters: {states}")
    return lines


def _job_json(job: JobStatus) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": job.state.value,
        "by": job.by,
        "reason": job.reason or None,
        "note": job.note or None,
        "selection": job.selection,
        "counts": dict(job.counts),
        "created_at": write_instant(job.created_at),
        "updated_at": write_instant(job.updated_at),
        "letters": {state.value: count for state, count in job.letters.items()},
    }
