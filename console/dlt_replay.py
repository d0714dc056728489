"""`mailcascade dlt replay` and its kin: plans, jobs, and what is settled without a replay."""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING

import typer

from console.dlt_options import (
    CANARY_WAIT,
    WAIT,
    AsNew,
    Canary,
    CanaryWait,
    Code,
    Everything,
    Force,
    Group,
    JobId,
    Json,
    Named,
    PlanOnly,
    Rate,
    Reason,
    Recipient,
    RenewExpiry,
    SetData,
    SetTemplate,
    Since,
    State,
    StopIfFailing,
    Template,
    Tenant,
    Transform,
    Until,
    Wait,
    Yes,
)
from console.failures import CommandFailed, ExitCode
from runtime.clock import SystemClock

if TYPE_CHECKING:
    from retry_topics.dlt.desk import Desk
    from schemas.replay_jobs import ReplayJob, Selection


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    app.command()(replay)
    app.command("jobs")(list_jobs)
    app.command("job")(show_job)
    app.command()(resume)
    app.command()(cancel)
    app.command()(settle)
    app.command()(discard)


def replay(  # noqa: PLR0913 - a parameter for each option
    named: Named = None,
    since: Since = None,
    until: Until = None,
    template: Template = None,
    tenant: Tenant = None,
    recipient: Recipient = None,
    code: Code = None,
    group: Group = None,
    state: State = None,
    everything: Everything = False,
    plan: PlanOnly = False,
    rate: Rate = None,
    canary: Canary = 0,
    stop_if_failing: StopIfFailing = None,
    canary_wait: CanaryWait = CANARY_WAIT,
    set_template: SetTemplate = None,
    set_data: SetData = None,
    transform: Transform = None,
    renew_expiry: RenewExpiry = None,
    as_new: AsNew = False,
    yes: Yes = False,
    force: Force = False,
    reason: Reason = "",
    wait: Wait = WAIT,
    as_json: Json = False,
) -> None:
    """Send dead mails again, as a job that can be paused, resumed and called off."""
    from console import dlt_words as words  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415

    typed = words.Words(named, since, until, template, tenant, recipient, code, group, state)
    selection = words.meant(words.selection_of(typed, SystemClock().now_ms()), everything)
    edit = words.edit_of(set_template, set_data or (), transform, renew_expiry, as_new)
    pace = words.pace_of(rate, canary, stop_if_failing, canary_wait, force)
    wait_ms = words.wait_of(wait)
    with desk_of(os.environ) as desk:
        job = desk.order(selection, edit, pace, reason)
        sure(as_new and not yes and not plan)
        plan_or_run(desk, job, How(plan, wait_ms, as_json))


def list_jobs(as_json: Json = False) -> None:
    """List replay jobs and saved plans, the newest first."""
    from console.dlt_jobs_shown import job_line  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415
    from retry_topics.dlt.told import job_told  # noqa: PLC0415

    with desk_of(os.environ) as desk:
        found = desk.jobs()
    if as_json:
        print(json.dumps([job_told(job) for job in found], indent=2))
        return
    for job in found:
        print(job_line(job))
    print(f"{len(found)} jobs")


def show_job(job: JobId, as_json: Json = False) -> None:
    """Show one job: how far it is, what came of it, what it left out and why."""
    from console.dlt_jobs_shown import job_lines  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415
    from retry_topics.dlt.told import job_told  # noqa: PLC0415

    with desk_of(os.environ) as desk:
        found = desk.by_now(_named_job(desk, job))
    print(json.dumps(job_told(found), indent=2) if as_json else "\n".join(job_lines(found)))


def resume(job: JobId, wait: Wait = WAIT, as_json: Json = False) -> None:
    """Run a saved plan, or go on with a job that is paused, stopped, or whose process died."""
    from console.dlt_words import wait_of  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415
    from schemas.replay_jobs import JobState  # noqa: PLC0415

    wait_ms = wait_of(wait)
    with desk_of(os.environ) as desk:
        found = _named_job(desk, job)
        if found.state is JobState.PLANNED:
            raise typer.Exit(_begin_and_run(desk, found, wait_ms, as_json))
        raise typer.Exit(_run(desk, found, wait_ms, as_json))


def cancel(job: JobId) -> None:
    """Call a job off: what it has not replayed is open again."""
    from console.dlt_jobs_shown import progress_words  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415

    with desk_of(os.environ) as desk:
        found = desk.cancel(_named_job(desk, job))
    print(f"{found.id}: cancelled; {progress_words(found)}")


def settle() -> None:
    """Write down what came of replays that nobody waited for, before the ledger forgets it."""
    from console.dlt_jobs_shown import job_line  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415
    from schemas.replay_jobs import JobState  # noqa: PLC0415

    with desk_of(os.environ) as desk:
        for job in desk.jobs():
            if job.state is JobState.WAITING:
                print(job_line(desk.run(job, threading.Event(), lambda _: None, 0)))


def discard(  # noqa: PLR0913 - a parameter for each option
    reason: Reason,
    named: Named = None,
    since: Since = None,
    until: Until = None,
    template: Template = None,
    tenant: Tenant = None,
    recipient: Recipient = None,
    code: Code = None,
    group: Group = None,
    everything: Everything = False,
) -> None:
    """Settle open records without a replay, with who and why."""
    from console.dlt_words import Words, meant, selection_of  # noqa: PLC0415
    from console.dlt_work import desk_of  # noqa: PLC0415

    words = Words(named, since, until, template, tenant, recipient, code, group)
    selection: Selection = meant(selection_of(words, SystemClock().now_ms()), everything)
    with desk_of(os.environ) as desk:
        done, selected = desk.discard(selection, reason)
    left = selected - done
    rest = f"; {left} others are settled, held or taken already" if left else ""
    print(f"{done} records discarded{rest}")


@dataclass(frozen=True, slots=True)
class How:
    """How a new job is dealt with: only planned or run, how long it is waited for, how told."""

    plan: bool
    wait_ms: int
    as_json: bool


def plan_or_run(desk: "Desk", job: "ReplayJob", how: How) -> None:
    """Plan a new job and tell, or run it and end the command with its exit code."""
    if how.plan:
        _plan(desk, job, how.as_json)
        return
    raise typer.Exit(_begin_and_run(desk, job, how.wait_ms, how.as_json))


def _plan(desk: "Desk", job: "ReplayJob", as_json: bool) -> None:
    from console.dlt_jobs_shown import plan_lines  # noqa: PLC0415
    from retry_topics.dlt.told import plan_told  # noqa: PLC0415

    planned = desk.plan(job, _told)
    job = desk.save(job, planned)
    samples = desk.samples(job, planned)
    if as_json:
        print(json.dumps(plan_told(job, planned, samples), indent=2))
        return
    print("\n".join(plan_lines(job, planned, samples)))
    print(f"run it: mailcascade dlt resume {job.id}")


def _begin_and_run(desk: "Desk", job: "ReplayJob", wait_ms: int, as_json: bool) -> int:
    begun = desk.begin(job, _told)
    lost = begun.plan.chosen - begun.got
    others = f"; {lost} were taken by others meanwhile" if lost else ""
    print(
        f"job {begun.job.id}: replays {begun.got} of {begun.plan.selected} selected{others}",
        file=sys.stderr,
        flush=True,
    )
    return _run(desk, begun.job, wait_ms, as_json)


def _run(desk: "Desk", job: "ReplayJob", wait_ms: int, as_json: bool) -> int:
    """Run a job with a bar; Ctrl-C pauses it, a second one ends the command at once."""
    from console.dlt_bar import Bar  # noqa: PLC0415
    from console.dlt_jobs_shown import job_lines  # noqa: PLC0415
    from retry_topics.dlt.told import job_told  # noqa: PLC0415
    from schemas.replay_jobs import JobState  # noqa: PLC0415

    with _pausing() as stop, Bar(sys.stderr) as bar:
        done = desk.run(job, stop, bar.show, wait_ms)
    print(json.dumps(job_told(done), indent=2) if as_json else "\n".join(job_lines(done)))
    return ExitCode.FAILED if done.state is JobState.STOPPED else ExitCode.OK


@contextmanager
def _pausing() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set; a second Ctrl-C is the usual one."""
    stop = threading.Event()

    def pause(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, pause) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _named_job(desk: "Desk", text: str) -> "ReplayJob":
    from console.dlt_work import only  # noqa: PLC0415

    found = {job.id: job for job in desk.jobs()}
    return found[only(list(found), text)]


def sure(ask: bool) -> None:
    """Ask, where that is wanted, whether mails may be sent as new ones.

    Raises:
        CommandFailed: they may not.
    """
    question = "these may have been sent before, and would be sent once more; go on?"
    if ask and not typer.confirm(question, err=True):
        raise CommandFailed("nothing was done")


def _told(selected: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{selected} records looked at", end="", file=sys.stderr, flush=True)
